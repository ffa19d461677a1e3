//! Releases from a draft to being in force and back, over HTTP: comparisons, approval by a second person, limits and their reasons.

use std::collections::BTreeMap;
use std::sync::Arc;

use baremo::assessments::activation::{Closes, activate};
use baremo::policy::release::load;
use baremo::policy::source::Source;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::base::Base;
use crate::process::{Place, until};
use crate::transactions::BAKERY;

const POLICY: &str = "policies/size.rhai";

/// The bakery with what its manifest says of publishing.
fn bakery(publishing: &str) -> Source {
    let pack = BAKERY.map(|(path, text)| {
        let more = if path == "pack.toml" && !publishing.is_empty() {
            format!("\n[publishing]\n{publishing}\n")
        } else {
            String::new()
        };
        (path, format!("{text}{more}"))
    });
    files(&pack.each_ref().map(|(path, text)| (*path, text.as_str())))
}

/// Five customers who bought 0, 10, 20, 30 and 40 loaves in the last of three months: 0 to 13.3 a month.
fn served(publishing: &str) -> TestApp {
    let app = TestApp::new(&bakery(publishing), "2018-01-01");
    app.product("white", "wheat");
    for number in 0..5 {
        app.customer(&format!("X{number}"), json!({}));
        if number > 0 {
            let line = json!({"product": "white", "measures": {"quantity": (10 * number).to_string(), "amount": "10"}});
            app.record(&[json!({"source": "shop", "external_id": format!("A{number}"), "kind": "order",
                "customer_code": format!("X{number}"), "occurred_at": "2017-12-31", "lines": [line]})]);
        }
    }
    app.run();
    app
}

/// Keeps the bakery with another limit of what is big, and gives its digest.
fn draft(app: &TestApp, limit: &str) -> String {
    let script = BAKERY[1].1.replace("[[10, \"big\"]]", &format!("[[{limit}, \"big\"]]"));
    let body = json!({"files": {POLICY: script}, "message": format!("big from {limit} on")});
    let kept = app.post("/v1/releases", &body).with(201);
    assert_eq!(kept.json["state"], "draft", "{}", kept.json);
    kept.json["digest"].as_str().unwrap().to_owned()
}

fn state(app: &TestApp, digest: &str) -> String {
    app.get(&format!("/v1/releases/{digest}")).with(200).json["state"].as_str().unwrap().to_owned()
}

fn checked(app: &TestApp, limit: &str) -> String {
    let digest = draft(app, limit);
    let report = app.post(&format!("/v1/releases/{digest}/check"), &Json::Null).with(200).json;
    assert_eq!(report["sound"], true, "{report}");
    assert_eq!(state(app, &digest), "checked");
    digest
}

pub fn compared(app: &TestApp, digest: &str, population: &Json) -> Json {
    app.post(&format!("/v1/releases/{digest}/comparison"), &json!({"population": population})).with(202);
    until("the comparison is finished", || {
        let found = app.get(&format!("/v1/releases/{digest}/comparison")).with(200).json;
        (found["status"] == "finished").then_some(found)
    })
}

/// Puts a release in force, and gives the answer.
fn put(app: &TestApp, token: &str, digest: &str, reason: Option<&str>) -> (u16, Json) {
    let basis = app.get("/v1/basis").with(200);
    let mut body = json!({"release": digest});
    if let Some(reason) = reason {
        body["reason"] = json!(reason);
    }
    let headers = [("If-Match", basis.header("ETag"))];
    let answer = app.send_as(token, "PATCH", "/v1/basis", &headers, &body);
    (answer.status, answer.json)
}

fn matrix(policy: &Json) -> BTreeMap<(String, String), u64> {
    let side = |side: &Json| side["outcome"].as_str().unwrap().to_owned();
    let cells = policy["matrix"].as_array().unwrap().iter();
    cells.map(|cell| ((side(&cell["from"]), side(&cell["to"])), cell["customers"].as_u64().unwrap())).collect()
}

fn pair(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

#[test]
fn a_release_goes_from_draft_to_being_in_force_and_back() {
    let app = served("second_person = true\nmoved_at_most = \"0.3\"");
    let first = app.get("/v1/basis").json["release"].as_str().unwrap().to_owned();
    let digest = checked(&app, "5");
    let author = app.token.clone();
    let (status, problem) = put(&app, &author, &digest, None);
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("compared"), "{problem}");

    // 6.7 and 10 loaves a month: X2 (20 in three months) becomes big; X3 (10) and X4 (13.3) were.
    let found = compared(&app, &digest, &json!({}));
    let result = &found["result"];
    assert_eq!((&found["total"], &found["compared"], &result["customers"]), (&json!(5), &json!(5), &json!(5)));
    let policy = &result["policies"][0];
    let expected = [(pair("big", "big"), 2), (pair("small", "big"), 1), (pair("small", "small"), 2)];
    assert_eq!(matrix(policy), expected.into());
    assert_eq!((&policy["moved"], &policy["decided"], &policy["share_moved"]), (&json!(1), &json!(5), &json!("0.2")));
    let mover = &policy["movers"][0];
    assert_eq!((&mover["customer_code"], &mover["steps"]), (&json!("X2"), &json!(-1)), "{mover}");
    assert_eq!((&mover["before"]["outcome"], &mover["after"]["outcome"]), (&json!("small"), &json!("big")));
    assert_eq!(mover["after"]["reasons"][0]["code"], "band", "who is named is explained: {mover}");
    assert_eq!(mover["after"]["inputs"][0]["key"], "volume", "{mover}");
    assert_eq!(result["exceeded"], json!([]));
    assert_eq!(state(&app, &digest), "compared");

    let comparison = result["digest"].clone();
    let approval = format!("/v1/releases/{digest}/approval");
    let own = app.post(&approval, &json!({"comparison": comparison})).with(409).json;
    assert!(own["detail"].as_str().unwrap().contains("somebody else"), "{own}");
    assert_eq!(put(&app, &author, &digest, None).0, 409, "nobody else has approved it");
    let manager = app.as_role("manager");
    let stale = json!({"comparison": first});
    assert_eq!(app.send_as(&manager, "POST", &approval, &[], &stale).status, 409, "another digest is no comparison");
    app.send_as(&manager, "POST", &approval, &[], &json!({"comparison": comparison})).with(200);
    assert_eq!(state(&app, &digest), "approved");

    assert_eq!(put(&app, &author, &digest, None).0, 200);
    assert_eq!((state(&app, &digest), state(&app, &first)), ("active".to_owned(), "retired".to_owned()));
    assert_eq!(put(&app, &author, &first, Some("it was an error")).0, 200, "going back wants nothing");
    assert_eq!((state(&app, &digest), state(&app, &first)), ("retired".to_owned(), "active".to_owned()));
    let steps = app.get(&format!("/v1/releases/{digest}")).json["steps"].clone();
    let kinds: Vec<&str> = steps.as_array().unwrap().iter().map(|step| step["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["created", "checked", "compared", "approved", "activated"]);
    let back = app.get(&format!("/v1/releases/{first}")).json["steps"].clone();
    assert_eq!(back.as_array().unwrap().last().unwrap()["message"], "it was an error", "{back}");
    let list = app.get("/v1/releases").with(200).json;
    assert_eq!(
        list["items"].as_array().unwrap().iter().map(|one| &one["digest"]).collect::<Vec<_>>(),
        [&json!(digest), &json!(first)]
    );
}

#[test]
fn what_goes_beyond_a_limit_wants_a_reason() {
    let app = served("moved_at_most = \"0.1\"\nnever = [{ policy = \"size\", from = \"big\", to = \"small\" }]");
    let digest = checked(&app, "12");
    let found = compared(&app, &digest, &json!({}));
    let beyond: Vec<&str> =
        found["result"]["exceeded"].as_array().unwrap().iter().map(|one| one["limit"].as_str().unwrap()).collect();
    assert_eq!(beyond, ["moved_at_most", "never"], "X3 with 10 a month is big no more: one of five");
    let token = app.token.clone();
    let (status, problem) = put(&app, &token, &digest, None);
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("written reason"), "{problem}");
    assert_eq!(put(&app, &token, &digest, Some("  ")).0, 422, "blanks are no reason");
    assert_eq!(put(&app, &token, &digest, Some("agreed with the areas")).0, 200);
}

#[test]
fn a_candidate_that_fails_goes_beyond_a_limit() {
    let app = served("moved_at_most = \"1\"");
    let script = "//! Size.\nfn decide(customer, context) { if customer.volume > 5 { decision(text(1 / (customer.orders - customer.orders))) } else { decision(\"small\") } }";
    let body = json!({"files": {POLICY: script}, "message": "fails for who buys much"});
    let digest = app.post("/v1/releases", &body).with(201).json["digest"].as_str().unwrap().to_owned();
    assert_eq!(app.post(&format!("/v1/releases/{digest}/check"), &Json::Null).with(200).json["sound"], true);
    let result = compared(&app, &digest, &json!({}))["result"].clone();
    let policy = &result["policies"][0];
    assert_eq!(
        (&policy["newly_failed"], &policy["decided"], &policy["moved"]),
        (&json!(3), &json!(2), &json!(0)),
        "{policy}"
    );
    assert!(policy["failures"][0]["message"].as_str().unwrap().contains("policies/size.rhai:2:"), "{policy}");
    assert_eq!(result["exceeded"][0]["limit"], "failures", "{result}");
    let (status, problem) = put(&app, &app.token.clone(), &digest, None);
    assert_eq!(status, 409, "{problem}");
}

#[test]
fn the_matrix_is_what_the_run_after_activation_makes() {
    let app = served("");
    let ids = crate::decisions::ids_of(&app);
    let outcomes = |app: &TestApp| -> BTreeMap<String, String> {
        ids.iter().map(|(code, id)| (code.clone(), app.outcomes(id)["size"].clone())).collect()
    };
    let before = outcomes(&app);
    let digest = checked(&app, "3.4");
    let found = compared(&app, &digest, &json!({}));
    assert_eq!(outcomes(&app), before, "a comparison keeps no outcome");
    assert_eq!(put(&app, &app.token.clone(), &digest, None).0, 200);
    until("everybody is assessed by it", || {
        let runs = app.get("/v1/runs?limit=1").json["items"][0].clone();
        (runs["status"] == "finished" && runs["cause"] == "basis").then_some(())
    });
    let mut moved: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (code, to) in outcomes(&app) {
        *moved.entry((before[&code].clone(), to)).or_default() += 1;
    }
    assert_eq!(matrix(&found["result"]["policies"][0]), moved);
}

#[test]
fn a_part_can_be_compared_exported_and_cancelled() {
    let app = served("second_person = false");
    let digest = checked(&app, "5");
    let path = format!("/v1/releases/{digest}/comparison");
    for (population, code) in [(json!({"citty": ["León"]}), "unknown_field"), (json!({"opened_on": []}), "empty")] {
        let refused = app.post(&path, &json!({"population": population})).with(422).json;
        assert_eq!(refused["errors"][0]["code"], code, "{refused}");
    }
    let nobody = compared(&app, &digest, &json!({"opened_on": ["2017-12-24"]}));
    assert_eq!((&nobody["result"]["customers"], &nobody["compared"]), (&json!(0), &json!(5)));
    assert_eq!(state(&app, &digest), "checked", "a part proves nothing of the whole");
    compared(&app, &digest, &json!({}));
    let csv = app.get(&format!("{path}/export?format=csv&part=matrix")).with(200);
    assert_eq!(csv.text, "policy,from,to,customers\nsize,big,big,2\nsize,small,big,1\nsize,small,small,2\n");
    let mut book = app.follow(&app.token, &format!("{path}/export?format=xlsx"));
    let book = book.body_mut().read_to_vec().unwrap();
    assert!(book.starts_with(b"PK"), "a workbook is a zip file");
    app.get(&format!("{path}/export?part=matrix")).with(422);
    app.get(&format!("{path}/export?format=csv&part=all")).with(422);
    app.post(&format!("{path}/cancellation"), &Json::Null).with(409);
    let in_force = app.get("/v1/basis").json["release"].as_str().unwrap().to_owned();
    app.post(&format!("/v1/releases/{in_force}/comparison"), &json!({})).with(409);
    app.get(&format!("/v1/releases/{in_force}/comparison")).with(404);
}

#[test]
fn what_differs_is_told_cell_by_cell() {
    let app = served("");
    let digest = draft(&app, "12.5");
    let difference = app.get(&format!("/v1/releases/{digest}/difference")).with(200).json;
    assert_eq!(difference["policies"], json!([{"name": "size", "change": "changed"}]));
    assert_eq!(difference["files"], json!([{"name": POLICY, "change": "changed"}]));
    let cells = difference["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 1, "{difference}");
    assert_eq!((&cells[0]["before"], &cells[0]["after"]), (&json!("10"), &json!("12.5")));
    assert_eq!((&difference["fields"], &difference["metrics"]), (&json!([]), &json!([])));
}

#[test]
fn what_is_kept_already_stays_as_it_is_whoever_sends_it_again() {
    let app = served("");
    let signed_in = |username: &str| {
        app.user(username, &["policy_author"]);
        app.sign_in(username)["access_token"].as_str().unwrap().to_owned()
    };
    let (first, second) = (signed_in("ana"), signed_in("eva"));
    let send = |token: &str, message: &str| {
        let body = json!({"files": {POLICY: "fn decide(customer, context) { decide(\"big\") }"}, "message": message});
        app.send_as(token, "POST", "/v1/releases", &[], &body).with(201).json
    };
    let made = send(&first, "all are big");
    assert_eq!((&made["author"], &made["message"]), (&json!("ana"), &json!("all are big")));
    assert_eq!(send(&second, "another story"), made);
    // The release that came with the folder has no author, also when somebody sends its files.
    let in_force = app.get("/v1/basis").with(200).json["release"].as_str().unwrap().to_owned();
    let path = format!("/v1/releases/{in_force}");
    let before = app.get(&path).with(200).json;
    app.post("/v1/releases", &json!({"files": {}, "message": "mine"})).with(201);
    assert_eq!(app.get(&path).with(200).json, before);
}

#[test]
fn a_draft_with_faults_is_kept_and_never_in_force() {
    let app = served("");
    let body = json!({"files": {POLICY: "fn decide(customer, context) { customer.nothing }"}, "message": "x"});
    let digest = app.post("/v1/releases", &body).with(201).json["digest"].as_str().unwrap().to_owned();
    let report = app.post(&format!("/v1/releases/{digest}/check"), &Json::Null).with(200).json;
    assert_eq!(report["sound"], false);
    assert_eq!(state(&app, &digest), "draft");
    assert_eq!(put(&app, &app.token.clone(), &digest, None).0, 409);
    // A date that comes with a release that is refused stays as it was.
    app.state
        .db
        .run_here(|conn| baremo::releases::store::fix_business_date(conn, "2018-01-01".parse().unwrap()))
        .unwrap();
    let basis = app.get("/v1/basis").with(200);
    let both = json!({"release": digest, "business_date": "2018-02-01"});
    app.patch("/v1/basis", basis.header("ETag"), &both).with(409);
    let fixed = app.state.db.run_here(baremo::releases::store::deployment).unwrap().unwrap().fixed_business_date;
    assert_eq!(fixed, Some("2018-01-01".parse().unwrap()));
    app.post(&format!("/v1/releases/{digest}/comparison"), &json!({})).with(409);
    app.get(&format!("/v1/releases/{digest}/difference")).with(409);
    app.post("/v1/releases", &json!({"files": {}, "message": " "})).with(422);
    let outside = app.post("/v1/releases", &json!({"files": {"../x": "y"}, "message": "x"}));
    assert_eq!(outside.with(422).faults(), [("/files/..~1x", "path")]);
}

#[test]
fn a_node_that_cannot_load_a_release_says_so_and_serves_on() {
    let app = served("");
    let before = app.get("/v1/basis").with(200).json;
    app.state
        .db
        .run_here(|conn| {
            use diesel::connection::SimpleConnection;
            let digest = format!("X'{}'", "ab".repeat(32));
            conn.batch_execute(&format!(
                "INSERT INTO releases (digest, pack_id, content, created_at) VALUES ({digest}, 'bakery', '{{\"future\": 1}}', UTC_TIMESTAMP(6)); \
                 INSERT INTO bases SELECT number + 1, {digest}, cohort_digest, business_date, UTC_TIMESTAMP(6), number + 1, catalogue_seq \
                 FROM bases ORDER BY number DESC LIMIT 1"
            ))?;
            Ok::<_, baremo::db::Error>(())
        })
        .unwrap();
    until("the node says so", || (app.get("/readyz").with(200).json["stale"] == true).then_some(()));
    assert_eq!(app.get("/v1/basis").with(200).json, before);
    let faults = app.get("/v1/pack").with(200).json["load_faults"].clone();
    assert_eq!(faults[0]["code"], "unloadable", "{faults}");
    let id = crate::decisions::ids_of(&app)["X4"].clone();
    assert_eq!(
        app.post("/v1/evaluations", &json!({"customer_id": id})).with(200).json["decisions"][0]["outcome"],
        "big"
    );
}

#[test]
fn of_two_who_publish_at_once_one_wins() {
    let app = served("");
    let (one, other) = (checked(&app, "5"), checked(&app, "6"));
    let basis = app.get("/v1/basis").with(200);
    let headers = [("If-Match", basis.header("ETag"))];
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let put = |digest: String| {
            let (app, headers) = (&app, headers);
            scope.spawn(move || app.send("PATCH", "/v1/basis", &headers, &json!({"release": digest})).status)
        };
        let both = [put(one.clone()), put(other.clone())];
        both.map(|thread| thread.join().unwrap()).into()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

#[test]
fn a_pack_in_force_keeps_folders_out_that_have_not_passed() {
    let app = served("second_person = true");
    let generous = BAKERY.map(|(path, text)| (path, text.replace("[[10, \"big\"]]", "[[0, \"big\"]]")));
    let next = files(&generous.each_ref().map(|(path, text)| (*path, text.as_str())));
    let release = Arc::new(load(&next).unwrap());
    let refused = app
        .state
        .db
        .run_here(|conn| activate(conn, &app.state.in_force, (&next, &release), Closes::Now, None))
        .unwrap_err();
    assert!(refused.to_string().contains("wants"), "{refused}");
}

/// What a command says, which must go so.
#[track_caller]
fn said(place: &Place, arguments: &[&str], own: &[(&str, &str)], code: i32) -> String {
    let output = place.run(arguments, own);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

#[test]
fn an_author_checks_compares_publishes_and_goes_back_by_command() {
    let place = Place::new();
    let base = Base::new();
    let url = base.url();
    let own = [("BAREMO_DATABASE_URL", url.as_str()), ("USER", "ana")];
    let texts = TEXTS_OF_SHOP;
    let pack = place.pack(
        "shop",
        &[("pack.toml", MANIFEST_OF_SHOP), ("policies/size.rhai", SIZE_OF_SHOP), ("texts/en.toml", texts)],
    );
    let folder = pack.to_str().unwrap();
    said(&place, &["rules", "release", folder, "--message", "the first"], &own, 0);
    let customers = place.path("customers.csv");
    let rows: String = (0..20).map(|number| format!("X{number},Shop {number},{}\n", number * 10)).collect();
    std::fs::write(&customers, format!("code,name,area\n{rows}")).unwrap();
    said(&place, &["import", "customers", customers.to_str().unwrap(), "--pack", folder], &own, 0);

    // A table with a gap and an overlap, and a threshold that no case guards.
    let script = pack.join("policies/size.rhai");
    std::fs::write(
        &script,
        "//! Size.\nconst SIZE = table([[\"<= 99\", \"small\"], [\"50..150\", \"big\"], [\"> 150\", \"big\"]]);\n\
         fn decide(customer, context) { decision(SIZE.of([customer.area])) }",
    )
    .unwrap();
    let told = said(&place, &["rules", "check", folder], &own, 0);
    assert!(told.contains("warning[table_gap]") && told.contains("150"), "{told}");
    assert!(told.contains("warning[table_overlap]") && told.contains("50"), "{told}");
    std::fs::write(&script, SIZE_OF_SHOP.replace("100", "150")).unwrap();
    std::fs::create_dir_all(pack.join("cases")).unwrap();
    let cases = pack.join("cases/size.toml");
    std::fs::write(
        &cases,
        "[[case]]\nname = \"far\"\nas_of = 2018-01-01\ngiven = { area = 500 }\nexpect = { outcome = \"big\" }\n",
    )
    .unwrap();
    let told = said(&place, &["rules", "test", folder, "--mutate"], &own, 1);
    assert!(told.contains("no case notices it when 150 becomes 151"), "{told}");
    let proposed = said(&place, &["rules", "cases", folder], &own, 0);
    std::fs::write(&cases, [std::fs::read_to_string(&cases).unwrap(), proposed].concat()).unwrap();
    said(&place, &["rules", "test", folder, "--mutate"], &own, 0);

    // 100 to 140 in steps of 10: five of twenty become small, which is more than the limit of a tenth.
    let refused = said(&place, &["rules", "release", folder, "--message", "big from 150 on"], &own, 1);
    assert!(refused.contains("to be compared with the release in force"), "{refused}");
    let told = said(&place, &["rules", "compare", folder], &own, 0);
    assert!(told.contains("size: 5 of 20 move, 25 %") && told.contains("at most 10 % may"), "{told}");
    let csv = said(&place, &["rules", "compare", folder, "--format", "csv"], &own, 0);
    assert!(csv.contains("size,big,small,5\n"), "{csv}");
    let none = said(&place, &["rules", "shadow", folder], &own, 1);
    assert!(none.contains("has never decided in the shadow"), "{none}");
    let wrong = said(&place, &["rules", "shadow", folder, "--until", "2000-01-01"], &own, 1);
    assert!(wrong.contains("2000-01-01 is not from"), "{wrong}");
    let today = wrong.split_once("is not from ").unwrap().1.get(..10).unwrap().to_owned();
    let told = said(&place, &["rules", "shadow", folder, "--until", &today], &own, 0);
    assert!(told.contains(&format!("decides in the shadow from {today} to {today}: open")), "{told}");
    let told = said(&place, &["rules", "shadow", folder, "--end"], &own, 0);
    assert!(told.contains("cancelled"), "{told}");
    let refused = said(&place, &["rules", "release", folder], &own, 1);
    assert!(refused.contains("a written reason"), "{refused}");
    let told = said(&place, &["rules", "release", folder, "--reason", "agreed with the areas"], &own, 0);
    assert!(told.contains("size: changed"), "{told}");

    let told = said(&place, &["rules", "rollback", "--pack", folder, "--reason", "an error"], &own, 0);
    assert!(told.contains("is in force"), "{told}");
    let listed = said(&place, &["rules", "releases", "--pack", folder], &own, 0);
    let states: Vec<&str> =
        listed.lines().filter(|line| line.starts_with("sha256:")).filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(states, ["retired", "active"], "{listed}");
    assert!(
        listed.contains("created by ana: big from 150 on") && listed.contains("activated by ana: an error"),
        "{listed}"
    );
}

#[test]
fn an_author_checks_compares_publishes_and_goes_back_over_http() {
    let shop =
        [("pack.toml", MANIFEST_OF_SHOP), ("policies/size.rhai", SIZE_OF_SHOP), ("texts/en.toml", TEXTS_OF_SHOP)];
    let app = TestApp::new(&files(&shop), "2018-01-01");
    for number in 0..20 {
        app.customer(&format!("X{number}"), json!({"network": {"area": number * 10}}));
    }
    app.run();
    let first = app.get("/v1/basis").json["release"].as_str().unwrap().to_owned();

    // A table with a gap and an overlap, while it is written.
    let gap = "//! Size.\nconst SIZE = table([[\"<= 99\", \"small\"], [\"50..150\", \"big\"], [\"> 150\", \"big\"]]);\n\
               fn decide(customer, context) { decision(SIZE.of([customer.area])) }";
    let told = app.post("/v1/pack-checks", &json!({"files": {POLICY: gap}})).with(200).json;
    let codes: Vec<&str> =
        told["diagnostics"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"table_gap") && codes.contains(&"table_overlap"), "{told}");

    // A threshold that no case guards, and the case that would.
    let far = "[[case]]\nname = \"far\"\nas_of = 2018-01-01\ngiven = { area = 500 }\nexpect = { outcome = \"big\" }\n";
    let make = |cases: &str| {
        let files = json!({POLICY: SIZE_OF_SHOP.replace("100", "150"), "cases/size.toml": cases});
        let made = app.post("/v1/releases", &json!({"files": files, "message": "big from 150 on"})).with(201);
        made.json["digest"].as_str().unwrap().to_owned()
    };
    let draft = make(far);
    let found = app.get(&format!("/v1/releases/{draft}/cases")).with(200).json;
    let unguarded = found["unguarded"].as_array().unwrap();
    assert!(unguarded.iter().any(|one| one["message"].as_str().unwrap().contains("when 150 becomes 151")), "{found}");
    assert_eq!(found["coverage"][0]["outcomes"], json!({"all": 2, "reached": 1, "missed": ["small"]}));
    assert_eq!((&found["complete"], &found["proposed"][0]["file"]), (&json!(true), &json!("cases/size.toml")));
    let proposed = found["proposed"][0]["text"].as_str().unwrap();
    let digest = make(&format!("{far}{proposed}"));
    let found = app.get(&format!("/v1/releases/{digest}/cases?policy=size")).with(200).json;
    assert_eq!((&found["unguarded"], &found["proposed"]), (&json!([]), &json!([])), "{found}");
    let wrong = app.get(&format!("/v1/releases/{digest}/cases?policy=sizes")).with(422);
    assert_eq!(wrong.faults(), [("policy", "unknown_policy")]);

    // 100 to 140 in steps of 10: five of twenty become small, which is more than the limit of a tenth.
    app.post(&format!("/v1/releases/{digest}/check"), &Json::Null).with(200);
    let author = app.token.clone();
    let (status, problem) = put(&app, &author, &digest, None);
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("to be compared"), "{problem}");
    let result = compared(&app, &digest, &json!({}))["result"].clone();
    assert_eq!(matrix(&result["policies"][0])[&pair("big", "small")], 5);
    assert_eq!(result["exceeded"][0]["limit"], "moved_at_most");
    let (status, problem) = put(&app, &author, &digest, None);
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("a written reason"), "{problem}");
    assert_eq!(put(&app, &author, &digest, Some("agreed with the areas")).0, 200);
    assert_eq!(put(&app, &author, &first, Some("an error")).0, 200);
    assert_eq!((state(&app, &digest), state(&app, &first)), ("retired".to_owned(), "active".to_owned()));
}

#[test]
fn no_folder_is_watched_in_production() {
    let place = Place::new();
    let pack = place.pack("bakery", &BAKERY);
    let told =
        said(&place, &["serve", "--pack", pack.to_str().unwrap(), "--watch"], &[("BAREMO_PRODUCTION", "true")], 1);
    assert!(told.contains("--watch is an aid for development"), "{told}");
}

const MANIFEST_OF_SHOP: &str = r#"
[pack]
id = "shop"
title = { en = "Shop" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "piece"
languages = ["en"]

[fields.area]
section = "network"
type = "integer"
maintenance = "static"

[policies.size]
subject = "customer"
outcomes = ["big", "small"]
cadence = "continuous"

[publishing]
moved_at_most = "0.1"
"#;

const SIZE_OF_SHOP: &str = "//! Size.\nconst SIZE = bands([[100, \"big\"]], \"small\");\nfn decide(customer, context) { SIZE.of(customer.area) }";

const TEXTS_OF_SHOP: &str =
    "fields.area = \"Area\"\npolicies.size = \"Size\"\noutcomes.size = { big = \"Big\", small = \"Small\" }\n";
