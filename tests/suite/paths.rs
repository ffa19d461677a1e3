//! Paths to a better outcome, over HTTP: what is offered does lead there.

use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};

const MANIFEST: &str = r#"
[pack]
id = "school"
title = { en = "School" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "hour"
languages = ["en"]

[fields]
maths = { section = "business", type = "decimal", min = 0, max = 10, maintenance = "dynamic" }
music = { section = "business", type = "decimal", min = 0, max = 10, maintenance = "dynamic" }
sport = { section = "business", type = "integer", min = 0, max = 10, maintenance = "dynamic" }
club = { section = "network", type = "choice", choices = ["none", "chess", "choir"], maintenance = "dynamic" }
height = { section = "basic", type = "integer", min = 0, max = 300, maintenance = "static" }

[policies.grade]
subject = "customer"
outcomes = ["A", "B", "C", "D"]
cadence = "continuous"

[policies.prize]
subject = "customer"
outcomes = ["cup", "none"]
cadence = "continuous"

[influence]
maths = { step = "0.5", max = "8", cost = "3" }
music = { step = "1", max = "9", cost = "2" }
sport = { step = "1", max = "10", cost = "1.5" }
club = { values = { chess = "4", choir = "2" } }
"#;

const TEXTS: &str = r#"
fields = { maths = "Maths", music = "Music", sport = "Sport", club = "Club", height = "Height" }
choices.club = { none = "None", chess = "Chess", choir = "Choir" }
policies = { grade = "Grade", prize = "Prize" }
outcomes.grade = { A = "A", B = "B", C = "C", D = "D" }
outcomes.prize = { cup = "Cup", none = "None" }
"#;

/// Twice maths, music, sport and the club's bonus; and a cup for who has an A and is tall.
const GRADE: &str = "//! Grade.\nconst GRADES = bands([[32, \"A\"], [24, \"B\"], [16, \"C\"]], \"D\");\n\
    const CLUBS = lookup(#{ \"none\": 0, \"chess\": 3, \"choir\": 1 });\n\
    fn decide(customer, context) {\n    GRADES.of(2 * customer.maths + customer.music + customer.sport + CLUBS.of(customer.club))\n}";
const PRIZE: &str = "//! Prize.\nfn decide(customer, context) {\n    \
    if context.outcomes.grade == \"A\" && customer.height > 150 { decision(\"cup\") } else { decision(\"none\") }\n}";

fn school() -> TestApp {
    let pack = files(&[
        ("pack.toml", MANIFEST),
        ("texts/en.toml", TEXTS),
        ("policies/grade.rhai", GRADE),
        ("policies/prize.rhai", PRIZE),
    ]);
    TestApp::new(&pack, "2018-01-02")
}

fn pupil(app: &TestApp, code: &str, [maths, music, sport]: [&str; 3], club: &str) -> String {
    app.customer(code, profile([maths, music, sport], club))
}

fn profile([maths, music, sport]: [&str; 3], club: &str) -> Json {
    let sport: u32 = sport.parse().unwrap();
    json!({"business": {"maths": maths, "music": music, "sport": sport}, "network": {"club": club}, "basic": {"height": 140}})
}

fn paths(app: &TestApp, id: &str, query: &str) -> Json {
    app.get(&format!("/v1/customers/{id}/paths?{query}")).with(200).json
}

/// Costs of the paths, with what each changes.
fn told(found: &Json) -> Vec<(String, Vec<(String, String)>)> {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let changes = |path: &Json| {
        let changes = path["changes"].as_array().unwrap();
        changes.iter().map(|change| (text(&change["key"]), text(&change["to"]))).collect()
    };
    found["paths"].as_array().unwrap().iter().map(|path| (text(&path["cost"]), changes(path))).collect()
}

fn to(changes: &[(&str, &str)]) -> Vec<(String, String)> {
    changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_cheapest_changes_come_first_and_none_has_more_than_it_needs() {
    let app = school();
    // 2 × 6 + 5 + 5 + 0 = 22: two points to a B.
    let id = pupil(&app, "P1", ["6", "5", "5"], "none");
    let found = paths(&app, &id, "policy=grade");
    assert_eq!((&found["outcome"], &found["goal"], &found["complete"]), (&json!("C"), &json!("B"), &json!(true)));
    let told = told(&found);
    assert_eq!(told[0], ("3".to_owned(), to(&[("sport", "7")])), "two points of sport cost 3");
    assert!(told[1..3].contains(&("3.5".to_owned(), to(&[("music", "6"), ("sport", "6")]))), "{told:?}");
    assert!(told[1..3].contains(&("3.5".to_owned(), to(&[("sport", "6"), ("club", "choir")]))), "{told:?}");
    assert!(told.iter().all(|(_, changes)| !changes.contains(&("height".to_owned(), "151".to_owned()))));
    let first = &found["paths"][0];
    assert_eq!(
        (&first["outcome"], &first["changes"][0]["from"], &first["changes"][0]["label"]),
        (&json!("B"), &json!("5"), &json!("Sport"))
    );
}

#[test]
fn where_no_path_leads_that_is_the_answer() {
    let app = school();
    let best = pupil(&app, "P1", ["10", "10", "10"], "chess");
    let found = paths(&app, &best, "policy=grade");
    assert_eq!((&found["outcome"], found.get("goal"), &found["paths"]), (&json!("A"), None, &json!([])));
    // The cup wants who is tall, and nobody can work at that.
    let found = paths(&app, &best, "policy=prize&outcome=cup");
    assert_eq!((&found["paths"], &found["complete"]), (&json!([]), &json!(true)));
    // 8 at most in maths, 9 in music: 16 + 9 + 10 + 3 = 38 reach an A, whatever he has.
    let worst = pupil(&app, "P2", ["0", "0", "0"], "none");
    let found = paths(&app, &worst, "policy=grade&outcome=A");
    assert!(!found["paths"].as_array().unwrap().is_empty(), "{found}");
    for wrong in ["", "policy=grades", "policy=grade&outcome=E", "policy=grade&goal=A"] {
        app.get(&format!("/v1/customers/{worst}/paths?{wrong}")).with(422);
    }
    app.get("/v1/customers/01a2008f-c5ab-7253-a9fc-1d735533f672/paths?policy=grade").with(404);
}

#[test]
fn every_path_offered_to_a_thousand_customers_leads_where_it_says() {
    let app = school();
    // Numbers that look random, always the same: a linear congruential generator (Knuth, MMIX).
    let mut state = 20_180_102_u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (mut offered, mut without) = (0, 0);
    for number in 0..1000 {
        let [maths, music, sport] = [draw(21), draw(21), draw(11)];
        let half = |number: u64| format!("{}.{}", number / 2, number % 2 * 5);
        let (marks, club) = (
            [half(maths), half(music), sport.to_string()],
            ["none", "chess", "choir"][usize::try_from(draw(3)).unwrap()],
        );
        let marks = marks.each_ref().map(String::as_str);
        let id = pupil(&app, &format!("P{number}"), marks, club);
        let found = paths(&app, &id, "policy=grade");
        without += usize::from(found["paths"] == json!([]));
        for path in found["paths"].as_array().unwrap() {
            let mut document = profile(marks, club);
            for change in path["changes"].as_array().unwrap() {
                let key = change["key"].as_str().unwrap();
                let section = if key == "club" { "network" } else { "business" };
                document[section][key] = match key {
                    "sport" => json!(change["to"].as_str().unwrap().parse::<u32>().unwrap()),
                    _ => change["to"].clone(),
                };
            }
            let evaluation = app.post("/v1/evaluations", &json!({"document": {"profile": document}})).with(200).json;
            let grade =
                evaluation["decisions"].as_array().unwrap().iter().find(|one| one["policy"] == "grade").unwrap();
            assert_eq!(grade["outcome"], path["outcome"], "{found} {evaluation}");
            let place = |outcome: &Json| ["A", "B", "C", "D"].iter().position(|known| outcome == known).unwrap();
            assert!(place(&grade["outcome"]) <= place(&found["goal"]), "{found}");
            offered += 1;
        }
    }
    assert!(offered > 2000 && without > 50, "{offered} paths, {without} customers without one");
}
