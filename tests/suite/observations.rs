//! Observations over HTTP: recording, correcting and taking back what was seen, and metrics and decisions that follow.

use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::process::{Place, until};
use crate::transactions::BAKERY;
use crate::uploads::{ended, upload};

const DECLARED: &str = r#"
[observations.breach]
min = "1"
max = "12"
unit = "point"

[observations.praise]
value = false

[metrics.breached]
function = "any"
kind = "breach"
window = { days = 730 }

[metrics.breaches]
function = "count"
kind = "breach"
window = { days = 730 }

[metrics.points]
function = "decayed_sum"
kind = "breach"
half_life = 30
window = { days = 365 }

[metrics.last_breach]
function = "last_date"
kind = "breach"
window = { days = 730 }

[metrics.worst]
function = "maximum"
kind = "breach"
window = { full_months = 3 }

[metrics.praised]
function = "count"
kind = "praise"
window = { days = 365 }

[policies.trust]
subject = "customer"
outcomes = ["trusted", "watched"]
cadence = "continuous"
"#;

const TRUST: &str = "//! Whom we trust.\nfn decide(customer, context) {\n    \
    if customer.breached == 1 { decision(\"watched\") } else { decision(\"trusted\") }\n}\n";

/// The bakery, which also sees breaches and praise.
pub fn pack() -> Vec<(String, String)> {
    let labels = "observations = { breach = \"Breach\", praise = \"Praise\" }\n\
                  outcomes.trust = { trusted = \"Trusted\", watched = \"Watched\" }\n";
    let metrics = "breached = \"B\"\nbreaches = \"Breaches\"\npoints = \"Points\"\nlast_breach = \"Last\"\nworst = \"Worst\"\npraised = \"P\"\n";
    let mut pack: Vec<(String, String)> = BAKERY
        .iter()
        .map(|(path, text)| {
            let text = match *path {
                "pack.toml" => format!("{text}{DECLARED}"),
                "texts/en.toml" => {
                    let text = text.replacen("[metrics]\n", &format!("[metrics]\n{metrics}"), 1);
                    format!("{labels}{}", text.replacen("[policies]\n", "[policies]\ntrust = \"Trust\"\n", 1))
                }
                _ => (*text).to_owned(),
            };
            ((*path).to_owned(), text)
        })
        .collect();
    pack.push(("policies/trust.rhai".to_owned(), TRUST.to_owned()));
    pack
}

/// A service of it, with two customers.
pub fn served() -> TestApp {
    let pack = pack();
    let pack: Vec<(&str, &str)> = pack.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let app = TestApp::new(&files(&pack), "2018-01-01");
    app.customer("X1", json!({}));
    app.customer("X2", json!({}));
    app.run();
    app
}

fn breach(id: &str, customer: &str, on: &str, value: &str) -> Json {
    json!({"source": "inspection", "external_id": id, "kind": "breach", "customer_code": customer, "observed_on": on,
        "value": value, "evidence": "Report 4711", "reported_by": "Officer Li"})
}

/// Sends observations, and gives what became of each.
fn observe(app: &TestApp, items: &[Json]) -> Vec<String> {
    let answer = app.post("/v1/observations/batches", &json!({"items": items})).with(207).json;
    let items = answer["items"].as_array().unwrap().iter();
    items.map(|item| item["status"].as_str().unwrap().to_owned()).collect()
}

fn id(app: &TestApp, code: &str) -> String {
    app.get(&format!("/v1/customers?code={code}")).json["items"][0]["id"].as_str().unwrap().to_owned()
}

fn trusted(app: &TestApp, id: &str, outcome: &str) {
    until(&format!("the customer is {outcome}"), || (app.outcomes(id)["trust"] == outcome).then_some(()));
}

#[test]
fn what_was_seen_is_counted_corrected_and_taken_back_and_no_version_is_lost() {
    let app = served();
    let (x1, x2) = (id(&app, "X1"), id(&app, "X2"));
    let first = breach("B1", "X1", "2017-12-02", "8");
    assert_eq!(
        observe(&app, &[first.clone(), breach("B2", "X1", "2018-01-01", "2"), first.clone()]),
        ["created", "created", "unchanged"]
    );
    let metric = |key: &str| app.metric(&x1, key, "2018-01-01");
    assert_eq!(
        (metric("breaches"), metric("breached"), metric("last_breach")),
        ("2".into(), "1".into(), "2018-01-01".into())
    );
    // 8 points a half-life ago are 4, and 2 of today are 2. The last three full months end with December.
    assert_eq!((metric("points"), metric("worst"), metric("praised")), ("6".into(), "8".into(), "0".into()));
    trusted(&app, &x1, "watched");

    // It was X2's: what is corrected is a further version, with the customer whom it concerns.
    assert_eq!(observe(&app, &[breach("B1", "X2", "2017-12-02", "8")]), ["corrected"]);
    trusted(&app, &x2, "watched");
    assert_eq!(metric("breaches"), "1");
    let mut withdrawn = breach("B2", "X1", "2018-01-01", "2");
    withdrawn["withdrawn"] = json!(true);
    assert_eq!(observe(&app, &[withdrawn.clone(), withdrawn]), ["corrected", "unchanged"]);
    trusted(&app, &x1, "trusted");
    assert_eq!((metric("breaches"), metric("points")), ("0".into(), "0".into()));

    let listed = |path: &str| -> Vec<(String, u64, bool)> {
        let items = app.get(path).with(200).json["items"].clone();
        let told = |item: &Json| {
            let superseded = item["superseded"].as_bool().unwrap();
            (item["external_id"].as_str().unwrap().to_owned(), item["version"].as_u64().unwrap(), superseded)
        };
        items.as_array().unwrap().iter().map(told).collect()
    };
    let of_x1 = format!("/v1/customers/{x1}/observations");
    assert_eq!(listed(&of_x1), [("B2".into(), 2, false)], "what was taken back shows");
    assert_eq!(
        listed(&format!("{of_x1}?all=true")),
        [("B2".into(), 2, false), ("B2".into(), 1, true), ("B1".into(), 1, true)]
    );
    assert_eq!(listed(&format!("/v1/customers/{x2}/observations")), [("B1".into(), 2, false)]);
    let kept = app.get(&of_x1).json["items"][0].clone();
    assert_eq!((&kept["evidence"], &kept["reported_by"]), (&json!("Report 4711"), &json!("Officer Li")));
    assert_eq!((&kept["withdrawn"], &kept["value"]), (&json!(true), &json!("2")));
}

#[test]
fn what_is_wrong_is_told_for_each_item() {
    let app = served();
    let mut praise = breach("P1", "X1", "2017-12-02", "1");
    praise["kind"] = json!("praise");
    let mut unknown = breach("U1", "X1", "2017-12-02", "1");
    unknown["kind"] = json!("breech");
    let mut bare = breach("V1", "X1", "2017-12-02", "1");
    bare["value"] = Json::Null;
    let items = [
        unknown,
        breach("S1", "X1", "2017-12-02", "13"),
        breach("S2", "X1", "2018-01-02", "1"),
        breach("S3", "nobody", "2017-12-02", "1"),
        praise,
        breach("S4", "X1", "soon", "many"),
        json!({"source": "inspection"}),
        breach("S5", "X1", "2017-12-02", "12"),
    ];
    let answer = app.post("/v1/observations/batches", &json!({"items": items})).with(207).json;
    let faults = |index: usize| -> Vec<(String, String)> {
        let errors = answer["items"][index]["errors"].as_array().unwrap().iter();
        let text = |json: &Json| json.as_str().unwrap().to_owned();
        errors.map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
    };
    let one = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
    assert_eq!(faults(0), one("/kind", "unknown_kind"));
    assert!(answer["items"][0]["errors"][0]["detail"].as_str().unwrap().contains("did you mean 'breach'"), "{answer}");
    assert_eq!(faults(1), one("/value", "out_of_range"));
    assert_eq!(faults(2), one("/observed_on", "after_business_date"));
    assert_eq!(faults(3), one("/customer_code", "unknown_customer"));
    assert_eq!(faults(4), one("/value", "not_allowed"));
    assert_eq!(faults(5).len(), 2, "all faults of an item at once: {answer}");
    assert_eq!(answer["items"][6]["status"], "refused");
    assert_eq!(answer["items"][7]["status"], "created", "the good one is recorded");
    app.post("/v1/observations/batches", &json!({"items": []})).with(422);
    let x1 = id(&app, "X1");
    assert_eq!(
        app.get(&format!("/v1/customers/{x1}/observations?all=perhaps")).with(422).faults(),
        [("all", "wrong_type")]
    );
    app.get("/v1/customers/01a2008f-c5ab-7253-a9fc-1d735533f672/observations").with(404);
    let reader = app.as_role("reader");
    let body = json!({"items": [breach("R1", "X1", "2017-12-02", "1")]});
    assert_eq!(app.send_as(&reader, "POST", "/v1/observations/batches", &[], &body).status, 403);
}

#[test]
fn a_pack_tells_its_kinds_of_observations_and_wrong_metrics_over_them_are_faults() {
    let app = served();
    let pack = app.get("/v1/pack").with(200).json;
    let kind =
        json!({"key": "breach", "labels": {"en": "Breach"}, "value": true, "min": "1", "max": "12", "unit": "point"});
    assert_eq!(pack["observations"][0], kind);
    assert_eq!(pack["observations"][1]["value"], false);

    let manifest = format!("{}{DECLARED}", BAKERY[0].1);
    let told = |from: &str, to: &str| -> Vec<String> {
        assert!(manifest.contains(from));
        let files = json!({"pack.toml": manifest.replacen(from, to, 1)});
        let report = app.post("/v1/pack-checks", &json!({"files": files})).with(200).json;
        let faults = report["diagnostics"].as_array().unwrap().iter().filter(|one| one["severity"] == "error");
        faults.map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(told("half_life = 30\n", ""), ["function"]);
    assert_eq!(told("function = \"count\"\nkind = \"praise\"", "function = \"mean\"\nkind = \"praise\""), ["function"]);
    assert_eq!(told("function = \"any\"\nkind = \"breach\"", "function = \"any\"\nkind = \"order\""), ["function"]);
    assert_eq!(told("function = \"any\"\nkind = \"breach\"", "function = \"growth\"\nkind = \"breach\""), ["function"]);
    assert_eq!(told("min = \"1\"\nmax = \"12\"", "min = \"13\"\nmax = \"12\""), ["out_of_range"]);
}

const FILE: &str = "kind,on,id,customer,value,reported_by\nbreach,2017-12-02,B1,X1,8,Officer Li\npraise,2017-12-03,P1,X2,,\n\
    breach,2017-12-04,B2,X2,13,\nbreach,2017-12-05,B3,X9,2,\n";

#[test]
fn a_file_of_observations_is_imported_once_and_its_faulty_rows_are_told() {
    let app = served();
    let (x1, x2) = (id(&app, "X1"), id(&app, "X2"));
    let import = |dry_run: &str| {
        let texts = [("kind", "observations"), ("source", "inspection"), ("dry_run", dry_run)];
        let ended = ended(&app, &upload(&app, &texts, FILE.as_bytes()));
        let count = |key: &str| ended["counts"][key].as_u64().unwrap();
        (count("read"), count("created"), count("unchanged"), count("faulty"))
    };
    assert_eq!(import("true"), (4, 2, 0, 2));
    assert_eq!(app.get(&format!("/v1/customers/{x1}/observations")).json["items"], json!([]));
    assert_eq!(import("false"), (4, 2, 0, 2));
    assert_eq!(import("false"), (4, 0, 2, 2));
    trusted(&app, &x1, "watched");
    trusted(&app, &x2, "trusted");
    let kept = app.get(&format!("/v1/customers/{x1}/observations")).json["items"][0].clone();
    assert_eq!((&kept["external_id"], &kept["reported_by"]), (&json!("B1"), &json!("Officer Li")));
}

#[test]
fn cases_and_files_have_observations_without_a_base() {
    let place = Place::new();
    let mut pack = pack();
    let case = |outcome: &str| {
        format!(
            "[[case]]\nname = \"a breach in the window\"\nas_of = \"2018-01-01\"\n\
             observations = [{{ kind = \"breach\", on = \"2017-12-02\", value = \"8\" }}]\nexpect = {{ outcome = \"{outcome}\" }}\n\
             [[case]]\nname = \"praise alone\"\nas_of = \"2018-01-01\"\n\
             observations = [{{ kind = \"praise\", on = \"2017-12-02\" }}]\nexpect = {{ outcome = \"trusted\" }}\n"
        )
    };
    pack.push(("cases/trust.toml".to_owned(), case("watched")));
    let files: Vec<(&str, &str)> = pack.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let folder = place.pack("bakery", &files);
    let folder = folder.to_str().unwrap();
    let tested = place.run(&["rules", "test", folder], &[]);
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    place.write("bakery/cases/trust.toml", &case("trusted"));
    assert!(!place.run(&["rules", "test", folder], &[]).status.success());
    let wrong = case("watched").replace("value = \"8\"", "value = \"13\"");
    place.write("bakery/cases/trust.toml", &wrong);
    let told = place.run(&["rules", "test", folder], &[]);
    assert!(
        String::from_utf8_lossy(&told.stderr).contains("13 is above 12"),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );

    place.write("bakery/cases/trust.toml", &case("watched"));
    place.write("customers.csv", "code,name\nX1,Ana\nX2,Ben\n");
    place.write("orders.csv", "customer,kind,on,product,quantity,amount\n");
    place.write("observed.csv", FILE);
    let graded = place.run(
        &[
            "rules",
            "run",
            folder,
            "--customers",
            "customers.csv",
            "--transactions",
            "orders.csv",
            "--observations",
            "observed.csv",
            "--as-of",
            "2018-01-01",
            "--output",
            "grades.csv",
        ],
        &[],
    );
    // Two rows are faulty, and told; the others count.
    let said = String::from_utf8_lossy(&graded.stderr).into_owned();
    assert!(said.contains("13 is above 12") && said.contains("there is no customer 'X9'"), "{said}");
    let grades = std::fs::read_to_string(place.path("grades.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(grades.as_bytes());
    let rows: Vec<std::collections::BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    let of = |code: &str| rows.iter().find(|row| row["code"] == code).unwrap()["trust"].clone();
    assert_eq!((of("X1").as_str(), of("X2").as_str()), ("watched", "trusted"));
}
