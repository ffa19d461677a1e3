//! The list of an area's outcomes for publication, over HTTP.

use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::process::until;
use crate::transactions::BAKERY;

const DECLARED: &str = r#"
[fields.area]
section = "network"
type = "text"
filterable = true

[fields.format]
section = "network"
type = "choice"
choices = ["shop", "stall"]

[fields.phone]
section = "personal"
type = "phone"
personal = true

[publication]
by = "area"
policies = ["size"]
show = ["format"]
"#;

fn bakery(declared: &str) -> [(&'static str, String); 3] {
    BAKERY.map(|(path, text)| match path {
        "pack.toml" => (path, format!("{text}{declared}")),
        "texts/en.toml" => {
            let fields = "choices.format = { shop = \"A shop\", stall = \"=A stall\" }\n[fields]\narea = \"Area\"\nformat = \"Format\"\nphone = \"Phone\"";
            (path, text.replacen("[fields]", fields, 1))
        }
        _ => (path, text.to_owned()),
    })
}

#[test]
fn an_area_shows_what_the_pack_allows_and_nothing_else() {
    let pack = bakery(DECLARED);
    let app = TestApp::new(&files(&pack.each_ref().map(|(path, text)| (*path, text.as_str()))), "2018-01-01");
    app.product("white", "wheat");
    let profile = |area: &str, format: &str| json!({"network": {"area": area, "format": format}, "personal": {"phone": "+34 600 000 001"}});
    let ids = [("X2", "north", "shop"), ("X1", "north", "stall"), ("X3", "south", "shop")]
        .map(|(code, area, format)| app.customer(code, profile(area, format)));
    let line = json!({"product": "white", "measures": {"quantity": "30", "amount": "10"}});
    app.record(&[json!({"source": "shop", "external_id": "A", "kind": "order", "customer_code": "X1", "occurred_at": "2017-12-31", "lines": [line]})]);
    app.run();
    until("X1 is big", || (app.outcomes(&ids[1])["size"] == "big").then_some(()));

    let page = app.get("/v1/publication?area=north&limit=1").with(200).json;
    let first = &page["items"][0];
    let outcome = json!({"policy": "size", "title": "Size", "outcome": "big", "label": "Big", "since": "2018-01-01"});
    let field = json!({"key": "format", "label": "Format", "value": "stall", "value_label": "=A stall"});
    let shown = json!({"customer_code": "X1", "customer_name": first["customer_name"], "fields": [field], "outcomes": [outcome]});
    assert_eq!(first, &shown, "neither telephone nor id");
    let next = page["next_cursor"].as_str().unwrap();
    let last = app.get(&format!("/v1/publication?area=north&limit=1&cursor={next}")).with(200).json;
    assert_eq!((&last["items"][0]["customer_code"], last.get("next_cursor")), (&json!("X2"), None));

    let csv = app.get("/v1/publication/export?area=north").with(200);
    let rows: Vec<&str> = csv.text.lines().collect();
    assert_eq!(rows[0], "customer_code,customer_name,format,size");
    assert!(rows[1].starts_with("X1,") && rows[1].ends_with(",'=A stall,Big"), "{}", rows[1]);
    assert!(rows[2].starts_with("X2,") && rows[2].ends_with(",A shop,Small"), "{}", rows[2]);
    assert_eq!(app.get("/v1/publication?area=nowhere").with(200).json["items"], json!([]));
    assert_eq!(app.get("/v1/publication").with(422).faults(), [("area", "required")]);
    assert_eq!(app.get("/v1/publication?area=north&sort=name").with(422).faults(), [("sort", "unknown_parameter")]);
    let long = app.get(&format!("/v1/publication?area={}", "x".repeat(201)));
    assert_eq!(long.with(422).faults(), [("area", "too_long")]);

    let told = |from: &str, to: &str| -> Vec<String> {
        let manifest = pack[0].1.replacen(from, to, 1);
        let report = app.post("/v1/pack-checks", &json!({"files": {"pack.toml": manifest}})).with(200).json;
        let faults = report["diagnostics"].as_array().unwrap().iter().filter(|one| one["severity"] == "error");
        faults.map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(told("show = [\"format\"]", "show = [\"phone\"]"), ["personal"]);
    assert_eq!(told("policies = [\"size\"]", "policies = [\"sizes\"]"), ["unknown_policy"]);
    assert_eq!(told("by = \"area\"", "by = \"format\""), ["wrong_type"]);
}

#[test]
fn a_pack_without_the_section_publishes_nothing() {
    let app = TestApp::new(&files(&BAKERY), "2018-01-01");
    app.get("/v1/publication?area=north").with(404);
    let answer = app.get("/v1/publication/export?area=north");
    assert_eq!((answer.status, &answer.json["code"]), (404, &json!("not_found")), "{}", Json::Null);
}
