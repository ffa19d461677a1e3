//! Appeals over HTTP: filing within the deadline, answering by somebody else, what comes of it, and the report.

use serde_json::{Value as Json, json};

use crate::app::TestApp;
use crate::base::Answer;
use crate::preconditions::is_sent_once;
use crate::process::until;
use crate::stability::{MANIFEST, close, decision, pack, score};

/// A customer who was closed as the worst, with the tokens of an account manager and of two managers.
struct Office {
    app: TestApp,
    id: String,
    ana: String,
    mia: String,
    leo: String,
}

fn office() -> Office {
    let app = TestApp::new(&pack(MANIFEST), "2018-01-02");
    let id = app.customer("X1", json!({"basic": {"opened_on": "2010-01-01"}, "business": {"score": "50"}}));
    close(&app);
    let [ana, mia, leo] = [("ana", "account_manager"), ("mia", "manager"), ("leo", "manager")].map(|(name, role)| {
        app.user(name, &[role]);
        app.sign_in(name)["access_token"].as_str().unwrap().to_owned()
    });
    Office { app, id, ana, mia, leo }
}

impl Office {
    fn file(&self, policy: &str) -> Answer {
        let body = json!({"customer_id": self.id, "policy": policy, "filed_for": "customer", "grounds": "The meter was read wrongly",
            "evidence": "protocol 4711"});
        self.app.send_as(&self.ana, "POST", "/v1/appeals", &[], &body)
    }

    fn answer(&self, by: &str, appeal: &Answer, body: Json) -> Answer {
        let path = format!("{}/resolution", appeal.header("Location"));
        self.app.send_as(by, "POST", &path, &[], &body)
    }

    fn listed(&self, query: &str) -> usize {
        let list = self.app.get(&format!("/v1/appeals{query}")).with(200).json;
        list["items"].as_array().unwrap().len()
    }
}

#[test]
fn somebody_else_answers_and_what_came_of_it_is_counted() {
    let office = office();
    let appeal = office.file("class").with(201);
    assert_eq!(
        (&appeal.json["outcome"], &appeal.json["answer_by"], &appeal.json["status"]),
        (&json!("C"), &json!("2018-01-17"), &json!("open"))
    );
    office.file("class").with(409);
    let assessment = appeal.json["assessment_id"].as_str().unwrap();
    office.app.get(&format!("/v1/assessments/{assessment}/explanation")).with(200);

    // Upheld: nothing changes. An account manager doesn't answer.
    let upheld = json!({"resolution": "upheld", "answer": "The reading is right"});
    office.answer(&office.ana, &appeal, upheld.clone()).with(403);
    let answered = office.answer(&office.mia, &appeal, upheld.clone()).with(200).json;
    assert_eq!(
        (&answered["status"], &answered["answer"]["reviewer"], &answered["overdue"]),
        (&json!("resolved"), &json!("mia"), &json!(false))
    );
    office.answer(&office.leo, &appeal, upheld.clone()).with(409);
    office.answer(&office.mia, &appeal, upheld).with(409);

    // Corrected: not before something was.
    let appeal = office.file("class").with(201);
    let corrected = json!({"resolution": "corrected", "answer": "The meter was read again"});
    let early = office.answer(&office.mia, &appeal, corrected.clone()).with(422);
    assert_eq!(early.faults(), [("/resolution", "not_possible")]);
    score(&office.app, &office.id, "75", json!({}));
    office.answer(&office.mia, &appeal, corrected).with(200);
    assert_eq!(decision(&office.app, &office.id, "class")["provisional"]["outcome"], "B");

    // Overridden: by whoever answers, and next time he who decided so doesn't answer.
    let appeal = office.file("class").with(201);
    let decided = |outcome: &str| {
        json!({"resolution": "overridden", "answer": "Only mill in the valley",
        "override": {"outcome": outcome, "expires_on": "2018-06-30"}})
    };
    let half = json!({"resolution": "overridden", "answer": "Only mill in the valley"});
    assert_eq!(office.answer(&office.mia, &appeal, half).with(422).faults(), [("/override", "required")]);
    let wrong = office.answer(&office.mia, &appeal, decided("D")).with(422);
    assert_eq!(wrong.faults(), [("/override/outcome", "unknown_outcome")]);
    let answered = office.answer(&office.mia, &appeal, decided("B")).with(200).json;
    until("B stands", || (decision(&office.app, &office.id, "class")["outcome"] == "B").then_some(()));
    let in_force = decision(&office.app, &office.id, "class")["override"].clone();
    assert_eq!((&in_force["id"], &in_force["author"]), (&answered["answer"]["override_id"], &json!("mia")));
    let appeal = office.file("class").with(201);
    assert_eq!(appeal.json["outcome"], "B");
    office.answer(&office.mia, &appeal, decided("A")).with(403);
    office.answer(&office.leo, &appeal, decided("A")).with(200);
    until("A stands", || (decision(&office.app, &office.id, "class")["outcome"] == "A").then_some(()));

    let report = office.app.get("/v1/appeal-report").with(200).json;
    let class = &report["items"][0];
    let counts: Vec<u64> = ["filed", "open", "late", "upheld", "corrected", "overridden", "overturned"]
        .iter()
        .map(|key| class[*key].as_u64().unwrap())
        .collect();
    // Three of four were overturned.
    assert_eq!((&class["policy"], counts), (&json!("class"), vec![4, 0, 0, 1, 1, 2, 3]));
    assert_eq!(class["overturned_share"], "0.75");
    let before = office.app.get("/v1/appeal-report?to=2018-01-01").with(200).json;
    assert!(before["items"].as_array().unwrap().iter().all(|one| one["filed"] == 0), "{before}");
    office.app.get("/v1/appeal-report?untill=2018-01-01").with(422);
    let backwards = office.app.get("/v1/appeal-report?from=2018-01-02&to=2018-01-01").with(422);
    assert_eq!(backwards.faults(), [("to", "out_of_range")]);
}

#[test]
fn deadlines_are_kept_and_broken_ones_show() {
    let office = office();
    let appeal = office.file("class").with(201);
    let told = || {
        let events = office.app.get("/v1/events?limit=500").with(200).json;
        events["items"].as_array().unwrap().iter().filter(|event| event["type"] == "appeal_overdue").count()
    };
    office.app.go_to("2018-01-17");
    assert_eq!(
        (office.listed("?overdue=true"), office.listed("?status=open&policy=class")),
        (0, 1),
        "the last day counts"
    );
    office.app.go_to("2018-01-18");
    assert_eq!(office.listed(&format!("?overdue=true&customer_id={}", office.id)), 1);
    until("it is told that the answer is late", || (told() == 1).then_some(()));
    let upheld = json!({"resolution": "upheld", "answer": "The reading is right"});
    assert_eq!(office.answer(&office.mia, &appeal, upheld).with(200).json["overdue"], true);
    assert_eq!((office.listed("?overdue=true"), office.listed("?status=resolved"), told()), (0, 1, 1));
    assert_eq!(office.app.get("/v1/appeal-report").with(200).json["items"][0]["late"], 1);

    // The outcome stands since the second of January: the thirtieth day after it is the first of February.
    office.app.go_to("2018-02-01");
    office.file("class").with(201);
    office.app.go_to("2018-02-02");
    let late = office.file("terms");
    assert_eq!(late.with(422).faults(), [("/policy", "out_of_range")]);
}

#[test]
fn what_is_wrong_with_an_appeal_is_told() {
    let manifest = format!("{MANIFEST}\n[appeals]\npolicies = [\"class\"]\nfile_within = 10\nanswer_within = 5\n");
    let app = TestApp::new(&pack(&manifest), "2018-01-02");
    let id = app.customer("X1", json!({"basic": {"opened_on": "2010-01-01"}}));
    app.run();
    let with = |key: &str, value: &str| {
        let mut body = json!({"customer_id": id, "policy": "class", "filed_for": "account_manager", "grounds": "A score is missing"});
        body[key] = json!(value);
        body
    };
    let refused = |body: Json| {
        let answer = app.post("/v1/appeals", &body).with(422);
        answer.faults().iter().map(|(pointer, code)| format!("{pointer} {code}")).collect::<Vec<_>>()
    };
    assert_eq!(refused(with("policy", "clas")), ["/policy unknown_policy"]);
    assert_eq!(refused(with("policy", "terms")), ["/policy not_possible"]);
    assert_eq!(refused(with("policy", "class")), ["/policy not_possible"], "without a score nothing was decided");
    assert_eq!(refused(with("grounds", "  ")), ["/grounds out_of_range"]);
    assert_eq!(refused(with("evidence", &"x".repeat(2001))), ["/evidence out_of_range"]);
    assert_eq!(refused(with("customer_id", "01a2008f-c5ab-7253-a9fc-1d735533f672")), ["/customer_id unknown_customer"]);
    score(&app, &id, "50", json!({}));
    let appeal = app.post("/v1/appeals", &with("policy", "class")).with(201);
    assert_eq!(appeal.json["answer_by"], "2018-01-07");
    is_sent_once(&app, appeal.header("Location"));
    // Who filed it doesn't answer it, whatever else he may.
    let own = app.post(
        &format!("{}/resolution", appeal.header("Location")),
        &json!({"resolution": "upheld", "answer": "So be it"}),
    );
    assert_eq!(own.with(403).json["detail"], "who filed an appeal doesn't answer it");
    app.get("/v1/appeals?status=late").with(422);
    app.get("/v1/appeals/01a2008f-c5ab-7253-a9fc-1d735533f672").with(404);
    let pack = app.get("/v1/pack").with(200).json;
    assert_eq!(pack["appeals"], json!({"file_within": 10, "answer_within": 5}));
}
