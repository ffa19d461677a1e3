//! `POST /v1/pack-checks`: a pack that is being written, checked without being kept.

use serde_json::{Value as Json, json};

use crate::app::TestApp;
use crate::transactions::{BAKERY, bakery};

const POLICY: &str = "policies/size.rhai";

fn check(app: &TestApp, files: Json) -> Json {
    app.post("/v1/pack-checks", &json!({"files": files})).with(200).json
}

fn script() -> &'static str {
    BAKERY[1].1
}

fn in_force(app: &TestApp) -> Json {
    app.get("/v1/basis").with(200).json["release"].clone()
}

#[test]
fn an_edited_file_is_checked_in_place_of_the_one_in_force() {
    let app = bakery();
    let release = in_force(&app);
    let same = check(&app, json!({}));
    assert_eq!((&same["sound"], &same["release"]), (&json!(true), &release), "{same}");
    assert_eq!(same["cases"], json!({"passed": 0, "failed": [], "untested": ["size"]}));

    let wrong = script().replace("customer.volume", "customer.volumme");
    let told = check(&app, json!({POLICY: wrong}));
    assert_eq!((&told["sound"], told.get("release")), (&json!(false), None), "{told}");
    let fault = &told["diagnostics"][0];
    assert_eq!(
        (&fault["code"], &fault["severity"], &fault["file"]),
        (&json!("unknown_field"), &json!("error"), &json!(POLICY))
    );
    assert!(fault["message"].as_str().unwrap().contains("did you mean 'volume'?"), "{fault}");

    let moved = script().replace("10", "11");
    let told = check(&app, json!({POLICY: moved}));
    assert!(told["sound"] == true && told["release"] != release, "{told}");
    assert_eq!(in_force(&app), release, "a check keeps nothing");
}

#[test]
fn cases_run_with_the_files_that_are_sent() {
    let app = bakery();
    let case = |outcome: &str| {
        format!(
            "[[case]]\nas_of = \"2018-01-01\"\nname = \"just ten\"\ngiven = {{ volume = \"10\" }}\nexpect = {{ outcome = \"{outcome}\" }}\n"
        )
    };
    let passed = check(&app, json!({"cases/size.toml": case("big")}));
    assert_eq!(passed["cases"], json!({"passed": 1, "failed": [], "untested": []}), "{passed}");
    let failed = check(&app, json!({"cases/size.toml": case("small")}));
    assert_eq!((&failed["sound"], &failed["cases"]["passed"]), (&json!(false), &json!(0)));
    let one = &failed["cases"]["failed"][0];
    assert_eq!((&one["policy"], &one["name"], &one["line"]), (&json!("size"), &json!("just ten"), &json!(1)));
    assert_eq!(one["differences"], json!(["outcome: expected 'small', got 'big'"]));
}

#[test]
fn what_is_no_pack_is_told() {
    let app = bakery();
    let codes = |told: &Json| -> Vec<String> {
        told["diagnostics"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes(&check(&app, json!({"../etc/passwd": "x"}))), ["path"]);
    assert_eq!(codes(&check(&app, json!({"pack.toml": null}))), ["no_manifest"]);
    assert_eq!(codes(&check(&app, json!({POLICY: null}))), ["missing_script"]);
    let alone = app.post("/v1/pack-checks", &json!({"files": {POLICY: script()}, "whole": true})).with(200).json;
    assert_eq!(codes(&alone), ["no_manifest"]);
    let whole: serde_json::Map<String, Json> =
        BAKERY.iter().map(|(path, text)| ((*path).to_owned(), json!(text))).collect();
    let whole = app.post("/v1/pack-checks", &json!({"files": whole, "whole": true})).with(200).json;
    assert_eq!((&whole["sound"], &whole["release"]), (&json!(true), &in_force(&app)), "{whole}");
    assert_eq!(
        app.post("/v1/pack-checks", &json!({"file": {}})).with(422).faults(),
        [("/files", "required"), ("/file", "unknown_field")]
    );
}
