//! Evaluation of service staff over HTTP: three people of one area, computed by hand from the weights of the field, signed by both, and the
//! pool that is divided by their scores.

use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::preconditions::is_sent_once;
use crate::uploads::{FORM, form};

const MANIFEST: &str = r#"
[pack]
id = "service"
title = { en = "Service" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "job"
languages = ["en"]

[fields.area]
section = "network"
type = "choice"
choices = ["north", "south"]
maintenance = "dynamic"
filterable = true

[kinds.payment]
measures = ["amount"]

[kinds.refund]
subtracts_from = "payment"

[observations.absence]
subject = "employee"
value = false
[observations.early_leave]
subject = "employee"
value = false
[observations.late_arrival]
subject = "employee"
value = false
[observations.missed_job]
subject = "employee"
value = false
[observations.attitude]
subject = "employee"
min = "0"
max = "100"
[observations.solution]
subject = "employee"
min = "0"
max = "100"
[observations.dedication]
subject = "employee"
min = "0"
max = "100"
[observations.manager]
subject = "employee"
restricted = true
min = "0"
max = "100"
[observations.on_site]
subject = "employee"
min = "0"
max = "100"
[observations.later]
subject = "employee"
min = "0"
max = "100"
[observations.praise]
value = false

[metrics]
collected = { function = "sum", kind = "payment", measure = "amount", window = { full_months = 1 } }
praised = { function = "count", kind = "praise", window = { full_months = 1 } }
absences = { function = "count", kind = "absence", window = { full_months = 1 } }
early_leaves = { function = "count", kind = "early_leave", window = { full_months = 1 } }
late_arrivals = { function = "count", kind = "late_arrival", window = { full_months = 1 } }
missed_jobs_out_of_town = { function = "count", kind = "missed_job", window = { full_months = 1 } }
feedback_attitude = { function = "mean", kind = "attitude", window = { full_months = 1 } }
feedback_solution = { function = "mean", kind = "solution", window = { full_months = 1 } }
feedback_dedication = { function = "mean", kind = "dedication", window = { full_months = 1 } }
manager_score = { function = "latest", kind = "manager", window = { full_months = 1 } }
resolved_on_site = { function = "mean", kind = "on_site", window = { full_months = 1 } }
later_feedback = { function = "mean", kind = "later", window = { full_months = 1 } }

[policies.praise]
subject = "customer"
outcomes = ["praised", "plain"]
cadence = "continuous"

[policies.technician_score]
common = true

[staff]
policy = "technician_score"
by = "area"
collected = "collected"
share = "0.001"
"#;

const TEXTS: &str = r#"
fields = { area = "Area" }
choices.area = { north = "North", south = "South" }
kinds = { payment = "Payment", refund = "Refund" }
observations = { absence = "Absence", early_leave = "Early leave", late_arrival = "Late arrival", missed_job = "Missed job", attitude = "Attitude", solution = "Solution", dedication = "Dedication", manager = "Manager's score", on_site = "On site", later = "Later feedback", praise = "Praise" }
measures = { amount = "Amount" }
metrics = { collected = "Collected", praised = "Praised", absences = "Absences", early_leaves = "Early leaves", late_arrivals = "Late arrivals", missed_jobs_out_of_town = "Missed jobs", feedback_attitude = "Attitude", feedback_solution = "Solution", feedback_dedication = "Dedication", manager_score = "Manager", resolved_on_site = "On site", later_feedback = "Later" }
policies = { praise = "Praise" }
outcomes.praise = { praised = "Praised", plain = "Plain" }
"#;

const PRAISE: &str = "//! Praise.\nfn decide(customer, context) { if customer.praised > 0 { decision(\"praised\") } else { decision(\"plain\") } }";

/// An office that evaluates for January 2018: a manager, and technicians with accounts of their own.
struct Office {
    app: TestApp,
    mia: String,
}

fn office() -> Office {
    let general = |file: &str| {
        let path = format!("{}/rules/common/technician_score/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let (declared, script, texts) = (general("policy.toml"), general("policy.rhai"), general("texts/en.toml"));
    let source = files(&[
        ("pack.toml", MANIFEST),
        ("texts/en.toml", TEXTS),
        ("policies/praise.rhai", PRAISE),
        ("common/technician_score/policy.toml", &declared),
        ("common/technician_score/policy.rhai", &script),
        ("common/technician_score/texts/en.toml", &texts),
    ]);
    let app = TestApp::new(&source, "2018-02-01");
    let mia = token(&app, "mia", "manager");
    Office { app, mia }
}

fn token(app: &TestApp, name: &str, role: &str) -> String {
    app.user(name, &[role]);
    app.sign_in(name)["access_token"].as_str().unwrap().to_owned()
}

impl Office {
    /// An employee of the north with an account, and the account's token.
    fn technician(&self, code: &str, name: &str) -> (String, String) {
        let token = token(&self.app, name, "technician");
        let body =
            json!({"code": code, "name": name, "username": name, "area": {"name": "north", "from": "2017-01-01"}});
        let made = self.app.send_as(&self.mia, "POST", "/v1/employees", &[], &body).with(201);
        (made.json["id"].as_str().unwrap().to_owned(), token)
    }

    /// Notes observations of an employee in January: each a kind with its value, if it has one.
    fn observe(&self, code: &str, observed: &[(&str, Option<&str>)]) {
        let items: Vec<Json> = observed
            .iter()
            .enumerate()
            .map(|(number, (kind, value))| {
                let mut item = json!({"source": "office", "external_id": format!("{code}-{kind}-{number}"), "kind": kind, "employee_code": code,
                    "observed_on": "2018-01-15"});
                if let Some(value) = value {
                    item["value"] = json!(value);
                }
                item
            })
            .collect();
        let answer = self.app.post("/v1/observations/batches", &json!({"items": items})).with(207).json;
        assert!(answer["items"].as_array().unwrap().iter().all(|item| item["status"] == "created"), "{answer}");
    }

    fn evaluate(&self, employee: &str) -> Json {
        let body = json!({"employee_id": employee, "period": "2018-01"});
        self.app.send_as(&self.mia, "POST", "/v1/staff-evaluations", &[], &body).with(201).json
    }

    fn sign(&self, token: &str, evaluation: &Json) -> crate::base::Answer {
        let path = format!("/v1/staff-evaluations/{}", evaluation["id"].as_str().unwrap());
        let read = self.app.send_as(&self.mia, "GET", &path, &[], &Json::Null).with(200);
        let tag = read.header("ETag").to_owned();
        self.app.send_as(token, "POST", &format!("{path}/signatures"), &[("If-Match", &tag)], &Json::Null)
    }

    fn signed(&self, evaluation: &Json, token: &str) {
        self.sign(token, evaluation).with(200);
        let both = self.sign(&self.mia, evaluation).with(200).json;
        assert_eq!(both["status"], "signed");
    }

    /// A customer of an area who pays in January.
    fn pays(&self, code: &str, area: &str, payments: &[(&str, &str)]) {
        self.app.customer(code, json!({"network": {"area": area}}));
        let items: Vec<Json> = payments
            .iter()
            .enumerate()
            .map(|(number, (kind, amount))| {
                json!({"source": "bank", "external_id": format!("{code}-{number}"), "kind": kind, "customer_code": code,
                    "occurred_at": "2018-01-20", "lines": [{"measures": {"amount": amount}}]})
            })
            .collect();
        self.app.record(&items);
    }

    fn pool(&self, area: &str) -> crate::base::Answer {
        self.app.send_as(&self.mia, "POST", "/v1/bonus-pools", &[], &json!({"area": area, "period": "2018-01"}))
    }
}

fn modules(evaluation: &Json) -> Vec<(&str, &str)> {
    let modules = evaluation["decision"]["indicators"].as_array().unwrap();
    modules.iter().map(|one| (one["key"].as_str().unwrap(), one["value"].as_str().unwrap())).collect()
}

#[test]
fn three_people_of_an_area_share_its_pool_by_what_both_signed() {
    let office = office();
    let (ana, ana_signs) = office.technician("T1", "ana");
    let (ben, ben_signs) = office.technician("T2", "ben");
    let (eva, eva_signs) = office.technician("T3", "eva");
    // Ana: duty 100 − 10 × 2 = 80, on time 100 − 10 = 90, so 80 × 0.4 + 90 × 0.6 = 86. Her forms: attitude 80 and 100, so 90; solution 80, dedication 60:
    // 90 × 0.25 + 80 × 0.5 + 60 × 0.25 = 77.5. Manager 85. On site 50, later 70: 50 × 0.4 + 70 × 0.6 = 62.
    // 86 × 0.1 + 77.5 × 0.2 + 85 × 0.3 + 62 × 0.4 = 8.6 + 15.5 + 25.5 + 24.8 = 74.4.
    office.observe(
        "T1",
        &[
            ("absence", None),
            ("early_leave", None),
            ("late_arrival", None),
            ("attitude", Some("80")),
            ("attitude", Some("100")),
            ("solution", Some("80")),
            ("dedication", Some("60")),
            ("manager", Some("85")),
            ("on_site", Some("100")),
            ("on_site", Some("0")),
            ("later", Some("70")),
        ],
    );
    // Ben missed a job out of town: attendance 0. 100 × 0.2 + 90 × 0.3 + 100 × 0.4 = 20 + 27 + 40 = 87.
    let full = [
        ("attitude", Some("100")),
        ("solution", Some("100")),
        ("dedication", Some("100")),
        ("manager", Some("90")),
        ("on_site", Some("100")),
        ("later", Some("100")),
    ];
    office.observe("T2", &[&[("missed_job", None)], &full[..]].concat());
    // Eva: nothing amiss: 10 + 20 + 27 + 40 = 97.
    office.observe("T3", &full);

    let of_ana = office.evaluate(&ana);
    assert_eq!(
        modules(&of_ana),
        [("attendance", "86"), ("customers", "77.5"), ("manager", "85"), ("problem_solving", "62")]
    );
    assert_eq!(
        (&of_ana["score"], &of_ana["area"], &of_ana["employee_name"]),
        (&json!("74.4"), &json!("north"), &json!("ana"))
    );
    assert_eq!(of_ana["decision"]["outcome"], "sufficient");
    let of_ben = office.evaluate(&ben);
    assert_eq!((&of_ben["score"], modules(&of_ben)[0]), (&json!("87"), ("attendance", "0")));
    assert_eq!(of_ben["decision"]["reasons"][1]["code"], "missed_job");
    let of_eva = office.evaluate(&eva);
    assert_eq!((&of_eva["score"], &of_eva["decision"]["outcome"]), (&json!("97"), &json!("excellent")));

    // The pool: 1 ‰ of 60,000 + 40,005 − 5 paid back is 100.00. South doesn't count.
    office.pays("C1", "north", &[("payment", "60000"), ("refund", "5")]);
    office.pays("C2", "north", &[("payment", "40005")]);
    office.pays("C3", "south", &[("payment", "999999")]);
    let early = office.pool("north").with(422);
    assert!(early.json["errors"][0]["detail"].as_str().unwrap().ends_with("T1, T2, T3"), "{}", early.json);
    office.signed(&of_ana, &ana_signs);
    office.signed(&of_ben, &ben_signs);
    office.signed(&of_eva, &eva_signs);
    let pool = office.pool("north").with(201);
    assert_eq!((&pool.json["collected"], &pool.json["amount"]), (&json!("100000"), &json!("100")));
    // Of 258.4 points: 28.7925…, 33.6687…, 37.5386…: two hundredths are left over, and go to the remainders of Ben and Eva.
    let shares: Vec<(&str, &str)> = pool.json["shares"]
        .as_array()
        .unwrap()
        .iter()
        .map(|share| (share["employee_code"].as_str().unwrap(), share["amount"].as_str().unwrap()))
        .collect();
    assert_eq!(shares, [("T1", "28.79"), ("T2", "33.67"), ("T3", "37.54")]);
    office.pool("north").with(409);
    let csv = office.app.get(&format!("{}/export", pool.header("Location"))).with(200).text;
    assert_eq!(
        csv,
        "period,area,employee_code,employee_name,score,amount,currency\n2018-01,north,T1,ana,74.4,28.79,EUR\n2018-01,north,T2,ben,87,33.67,EUR\n\
         2018-01,north,T3,eva,97,37.54,EUR\n"
    );

    // What was signed doesn't change. A form that comes late is a correction, signed by both again, and the pool is divided anew.
    office.observe("T1", &[("later", Some("100"))].map(|(kind, value)| (kind, value)));
    let path = format!("/v1/staff-evaluations/{}", of_ana["id"].as_str().unwrap());
    let kept = office.app.get(&path).with(200);
    assert_eq!(kept.json["score"], "74.4");
    let again =
        office.app.send("POST", &format!("{path}/computation"), &[("If-Match", kept.header("ETag"))], &json!({}));
    again.with(409);
    let reason = json!({"reason": "A comment came late"});
    let corrected = office.app.post(&format!("{path}/correction"), &reason).with(201).json;
    // Later feedback is (70 + 100) ÷ 2 = 85: 40 × (50 × 0.4 + 85 × 0.6) ÷ 100 = 28.4, so 78.
    assert_eq!(
        (&corrected["score"], &corrected["corrects"], &corrected["status"]),
        (&json!("78"), &of_ana["id"], &json!("draft"))
    );
    office.app.post(&format!("{path}/correction"), &reason).with(409);
    let correction = format!("{}/correction", pool.header("Location"));
    office.app.post(&correction, &reason).with(422);
    office.signed(&corrected, &ana_signs);
    let second = office.app.post(&correction, &reason).with(201).json;
    // Of 262 points: 29.7709…, 33.2061…, 37.0229…
    let amounts: Vec<&str> =
        second["shares"].as_array().unwrap().iter().map(|share| share["amount"].as_str().unwrap()).collect();
    assert_eq!((amounts, &second["corrects"]), (vec!["29.77", "33.21", "37.02"], &pool.json["id"]));
    office.app.post(&correction, &reason).with(409);
}

#[test]
fn only_the_two_persons_sign_and_what_they_have_read() {
    let office = office();
    let (ana, ana_signs) = office.technician("T1", "ana");
    let (_, ben_signs) = office.technician("T2", "ben");
    let leo = token(&office.app, "leo", "manager");
    office.observe("T1", &[("manager", Some("80"))]);
    let evaluation = office.evaluate(&ana);
    let path = format!("/v1/staff-evaluations/{}", evaluation["id"].as_str().unwrap());
    // Nobody else signs, and a technician sees his own alone.
    office.sign(&leo, &evaluation).with(403);
    office.sign(&ben_signs, &evaluation).with(403);
    let seen = |token: &str| office.app.send_as(token, "GET", &path, &[], &Json::Null).status;
    assert_eq!((seen(&ana_signs), seen(&ben_signs), seen(&leo)), (200, 404, 200));
    let listed = |token: &str| {
        let list = office.app.send_as(token, "GET", "/v1/staff-evaluations?period=2018-01", &[], &Json::Null).with(200);
        list.json["items"].as_array().unwrap().len()
    };
    assert_eq!((listed(&ana_signs), listed(&ben_signs), listed(&leo)), (1, 0, 1));

    // Half signed, it is computed anew: the signature is void, and what was read before can't be signed.
    office.sign(&ana_signs, &evaluation).with(200);
    office.sign(&ana_signs, &evaluation).with(409);
    office.observe("T1", &[("absence", None)]);
    let read = office.app.get(&path).with(200);
    assert_eq!(read.json["status"], "half_signed");
    let stale = read.header("ETag").to_owned();
    let body = json!({"remarks": {"attendance": "One absence"}});
    let again = office.app.send_as(&office.mia, "POST", &format!("{path}/computation"), &[("If-Match", &stale)], &body);
    let again = again.with(200).json;
    assert_eq!((&again["status"], &again["remarks"]["attendance"]), (&json!("draft"), &json!("One absence")));
    let signature = |headers: &[(&str, &str)]| {
        office.app.send_as(&ana_signs, "POST", &format!("{path}/signatures"), headers, &Json::Null).status
    };
    assert_eq!((signature(&[("If-Match", &stale)]), signature(&[])), (412, 428));
    office.signed(&again, &ana_signs);
    office.sign(&ana_signs, &again).with(409);
    let unknown = json!({"remarks": {"attendence": "One absence"}});
    let wrong = office.app.send_as(
        &office.mia,
        "POST",
        "/v1/staff-evaluations",
        &[],
        &json!({"employee_id": ana, "period": "2018-01"}),
    );
    wrong.with(409);
    let refused = office.app.send("POST", &format!("{path}/computation"), &[("If-Match", "*")], &unknown);
    refused.with(409);
}

#[test]
fn what_cannot_be_evaluated_or_distributed_is_told() {
    let office = office();
    let (ana, ana_signs) = office.technician("T1", "ana");
    let refused = |body: Json| {
        let answer = office.app.post("/v1/staff-evaluations", &body).with(422);
        answer.faults().iter().map(|(pointer, code)| format!("{pointer} {code}")).collect::<Vec<_>>()
    };
    let nobody = "01a2008f-c5ab-7253-a9fc-1d735533f672";
    assert_eq!(refused(json!({"employee_id": nobody, "period": "2018-01"})), ["/employee_id unknown_employee"]);
    assert_eq!(refused(json!({"employee_id": ana, "period": "2018-02"})), ["/period out_of_range"], "it hasn't ended");
    assert_eq!(refused(json!({"employee_id": ana, "period": "2018-13"})), ["/period date"]);
    assert_eq!(
        refused(json!({"employee_id": ana, "period": "2016-12"})),
        ["/employee_id not_possible"],
        "he served no area"
    );
    assert_eq!(
        refused(json!({"employee_id": ana, "period": "2018-01", "in_charge": "ana"})),
        ["/in_charge not_possible"]
    );
    assert_eq!(
        refused(json!({"employee_id": ana, "period": "2018-01", "in_charge": "max"})),
        ["/in_charge unknown_user"]
    );
    let remarks = json!({"employee_id": ana, "period": "2018-01", "remarks": {"attendence": "late"}});
    assert_eq!(refused(remarks), ["/remarks unknown_field"]);

    // An observation of somebody that there isn't, of a kind of customers, with a score out of range.
    let observed = |kind: &str, whose: &str, code: &str, value: Json| {
        let mut item =
            json!({"source": "office", "external_id": "1", "kind": kind, "observed_on": "2018-01-15", "value": value});
        item[whose] = json!(code);
        let answer = office.app.post("/v1/observations/batches", &json!({"items": [item]})).with(207).json;
        let fault = &answer["items"][0]["errors"][0];
        if fault.is_null() {
            return answer["items"][0]["status"].as_str().unwrap().to_owned();
        }
        format!("{} {}", fault["pointer"].as_str().unwrap(), fault["code"].as_str().unwrap())
    };
    assert_eq!(observed("manager", "employee_code", "T9", json!("80")), "/employee_code unknown_employee");
    assert_eq!(observed("manager", "customer_code", "T1", json!("80")), "/customer_code not_allowed");
    assert_eq!(observed("manager", "employee_code", "T1", json!("100.5")), "/value out_of_range");
    // Nor does a file get round that.
    office
        .app
        .send("PUT", "/v1/roles/importer", &[], &json!({"permissions": ["imports:read", "imports:write"]}))
        .with(200);
    let importer = token(&office.app, "ian", "importer");
    let file = form(&[("kind", "observations")], b"kind,on,id,employee,value\nmanager,2018-01-15,11,T1,100\n");
    let headers = [("Authorization", &*format!("Bearer {importer}")), ("Content-Type", FORM)];
    assert_eq!(office.app.send_raw("POST", "/v1/imports", &headers, file).with(403).json["code"], "forbidden");
    let clerk = token(&office.app, "cleo", "clerk");
    let own = json!({"items": [{"source": "office", "external_id": "9", "kind": "manager", "employee_code": "T1", "observed_on": "2018-01-15", "value": "100"},
        {"source": "office", "external_id": "10", "kind": "attitude", "employee_code": "T1", "observed_on": "2017-12-15", "value": "100"}]});
    let answer = office.app.send_as(&clerk, "POST", "/v1/observations/batches", &[], &own).with(207).json;
    assert_eq!(answer["items"][0]["errors"][0]["code"], "not_permitted", "the manager's score is the manager's");
    assert_eq!(answer["items"][1]["status"], "created");
    // Nor is it changed by another kind of the same id.
    assert_eq!(observed("manager", "employee_code", "T1", json!("90")), "created");
    let other = json!({"items": [{"source": "office", "external_id": "1", "kind": "attitude", "employee_code": "T1", "observed_on": "2018-01-15",
        "value": "90"}]});
    let answer = office.app.send_as(&clerk, "POST", "/v1/observations/batches", &[], &other).with(207).json;
    assert_eq!(answer["items"][0]["errors"][0]["code"], "not_permitted", "{answer}");
    assert_eq!(observed("managers", "employee_code", "T1", json!("80")), "/kind unknown_kind");

    // Nobody in the area, and areas that there aren't.
    assert_eq!(office.pool("south").with(422).faults(), [("/area", "not_possible")]);
    assert_eq!(office.pool("west").with(422).faults(), [("/area", "unknown_choice")]);
    // A pool of nothing is divided into nothing.
    office.observe("T1", &[("manager", Some("0")), ("missed_job", None)]);
    let evaluation = office.evaluate(&ana);
    assert_eq!(evaluation["score"], "0", "two modules of which nothing is known leave their weight to the others");
    office.signed(&evaluation, &ana_signs);
    let empty = office.pool("north").with(201).json;
    assert_eq!((&empty["amount"], &empty["shares"][0]["amount"]), (&json!("0"), &json!("0")));
    is_sent_once(&office.app, &format!("/v1/bonus-pools/{}", empty["id"].as_str().unwrap()));
    is_sent_once(&office.app, &format!("/v1/staff-evaluations/{}", evaluation["id"].as_str().unwrap()));
    // Scores that sum to 0 divide nothing.
    office.pays("C1", "north", &[("payment", "1000")]);
    let path = format!("/v1/bonus-pools/{}/correction", empty["id"].as_str().unwrap());
    let refused = office.app.post(&path, &json!({"reason": "A payment came late"})).with(422);
    assert_eq!(refused.faults(), [("/period", "not_possible")]);

    // In two areas within the month: the one of its last day counts.
    let employee = office.app.get(&format!("/v1/employees/{ana}")).with(200);
    let moved = |from: &str| json!({"area": {"name": "south", "from": from}});
    let path = format!("/v1/employees/{ana}");
    let employee = office.app.patch(&path, employee.header("ETag"), &moved("2018-02-10")).with(200);
    office.app.go_to("2018-03-01");
    let body = json!({"employee_id": ana, "period": "2018-02"});
    let attitude = json!({"source": "office", "external_id": "february", "kind": "attitude", "employee_code": "T1", "observed_on": "2018-02-03",
        "value": "60"});
    office.app.post("/v1/observations/batches", &json!({"items": [attitude]})).with(207);
    let evaluation = office.app.post("/v1/staff-evaluations", &body).with(201);
    assert_eq!(evaluation.json["area"], "south");
    // Entered wrongly: he went in January, for which his evaluation of the north doesn't count, and was back in February.
    let back = json!({"area": {"name": "north", "from": "2018-02-20"}});
    let employee = office.app.patch(&path, employee.header("ETag"), &moved("2018-01-10")).with(200);
    office.app.patch(&path, employee.header("ETag"), &back).with(200);
    let (computation, tag) = (format!("{}/computation", evaluation.header("Location")), evaluation.header("ETag"));
    office.app.send("POST", &computation, &[("If-Match", tag)], &json!({})).with(200);
    assert_eq!(office.app.get(evaluation.header("Location")).with(200).json["area"], "north");
    let other = office.pool("south").with(422);
    assert!(other.json["errors"][0]["detail"].as_str().unwrap().ends_with("T1"), "{}", other.json);
}

#[test]
fn who_is_in_charge_may_sign_and_somebody_else_takes_over() {
    let office = office();
    let (ana, ana_signs) = office.technician("T1", "ana");
    let leo = token(&office.app, "leo", "manager");
    token(&office.app, "rita", "reader");
    let body = |name: &str| json!({"employee_id": ana, "period": "2018-01", "in_charge": name});
    let refused = office.app.post("/v1/staff-evaluations", &body("rita")).with(422);
    assert_eq!(refused.json["errors"][0]["detail"], "'rita' may not sign");
    office.observe("T1", &[("manager", Some("80"))]);
    let evaluation = office.app.post("/v1/staff-evaluations", &body("mia")).with(201);
    office.sign(&leo, &evaluation.json).with(403);
    let (path, tag) = (evaluation.header("Location"), evaluation.header("ETag"));
    let taken = json!({"in_charge": "leo"});
    let changed = office.app.send("POST", &format!("{path}/computation"), &[("If-Match", tag)], &taken).with(200).json;
    assert_eq!((&changed["in_charge"], &changed["score"]), (&json!("leo"), &evaluation.json["score"]));
    // Nobody signs what he hasn't read, and a stranger isn't told that it has changed.
    let sign = |token: &str, tag: &str| {
        office.app.send_as(token, "POST", &format!("{path}/signatures"), &[("If-Match", tag)], &Json::Null)
    };
    assert_eq!(sign(&leo, "*").with(422).faults(), [("If-Match", "not_possible")]);
    sign(&leo, tag).with(412);
    sign(&office.mia, tag).with(403);
    office.sign(&ana_signs, &evaluation.json).with(200);
    assert_eq!(office.sign(&leo, &evaluation.json).with(200).json["status"], "signed");
}

#[test]
fn employees_are_entered_and_changed() {
    let office = office();
    let declared = json!({"policy": "technician_score", "by": "area", "collected": "collected", "share": "0.001"});
    assert_eq!(office.app.get("/v1/pack").with(200).json["staff"], declared, "a form is built from it");
    let (id, _) = office.technician("T1", "ana");
    let path = format!("/v1/employees/{id}");
    let read = office.app.get(&path).with(200);
    assert_eq!(read.json["areas"], json!([{"name": "north", "from": "2017-01-01"}]));
    office.app.post("/v1/employees", &json!({"code": "T1", "name": "Ana again"})).with(409);
    office.app.post("/v1/employees", &json!({"code": "T2", "name": "Ana again", "username": "ana"})).with(409);
    let unknown = office.app.post("/v1/employees", &json!({"code": "T2", "name": " ", "username": "max"})).with(422);
    assert_eq!(unknown.faults(), [("/name", "out_of_range"), ("/username", "unknown_user")]);
    let moved = json!({"area": {"name": "south", "from": "2018-02-01"}, "username": null});
    office.app.patch(&path, "\"7\"", &moved).with(412);
    let changed = office.app.patch(&path, read.header("ETag"), &moved).with(200);
    assert_eq!((changed.json.get("user_id"), changed.header("ETag")), (None, "\"2\""));
    assert_eq!(changed.json["areas"][0], json!({"name": "north", "from": "2017-01-01", "to": "2018-01-31"}));
    let nameless = office.app.patch(&path, "\"2\"", &json!({"name": null, "status": null})).with(422);
    assert_eq!(nameless.faults(), [("/name", "wrong_type"), ("/status", "wrong_type")]);
    let nowhere = office.app.patch(&path, "\"2\"", &json!({"area": {"name": "nord", "from": "2018-02-01"}})).with(422);
    assert_eq!(nowhere.faults(), [("/area/name", "unknown_choice")]);
    let on = |area: &str, day: &str| {
        let list = office.app.get(&format!("/v1/employees?area={area}&on={day}")).with(200).json;
        list["items"].as_array().unwrap().len()
    };
    assert_eq!((on("north", "2018-01-31"), on("north", "2018-02-01"), on("south", "2018-02-01")), (1, 0, 1));
    office.app.get("/v1/employees?area=north").with(422);
    office.observe("T1", &[("absence", None)]);
    let observed = office.app.get(&format!("{path}/observations")).with(200).json;
    assert_eq!(observed["items"][0]["kind"], "absence");
    office.app.get("/v1/employees/01a2008f-c5ab-7253-a9fc-1d735533f672/observations").with(404);
    // Customers have nothing of it: neither the metrics nor the policy.
    let customer = office.app.customer("C1", json!({}));
    office.app.run();
    let metrics = office.app.get(&format!("/v1/customers/{customer}/metrics?as_of=2018-02-01")).with(200).json;
    let keys: Vec<&str> =
        metrics["items"].as_array().unwrap().iter().map(|metric| metric["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["collected", "praised"]);
    assert_eq!(office.app.outcomes(&customer).into_keys().collect::<Vec<_>>(), ["praise"]);
}
