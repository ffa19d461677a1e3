//! Kept assessments computed again: one over HTTP, all of a base by the command line.

use std::process::Output;
use std::sync::Arc;

use baremo::app::{customer_rules, recording_rules};
use baremo::assessments::activation::{Closes, activate};
use baremo::assessments::replay::{Sample, replay_base};
use baremo::assessments::store;
use baremo::csv_rows::{Input, Progress};
use baremo::policy::release::{LoadedPack, load};
use baremo::policy::source::Source;
use baremo::releases::active::InForce;
use baremo::{customers, transactions};
use serde_json::json;

use crate::app::{TestApp, files};
use crate::process::{Place, until};
use crate::transactions::{BAKERY, bakery};

fn replayed(app: &TestApp, sample: &str) -> Output {
    let place = Place::new();
    let pack = place.pack("bakery", &[("pack.toml", "[pack]\nid = \"bakery\"\n")]);
    let (url, pack) = (app.base.url(), pack.display().to_string());
    place.run(&["replay", "--pack", &pack, "--sample", sample], &[("BAREMO_DATABASE_URL", &url)])
}

/// A bakery with two customers of two assessments each: before an order and after it.
fn graded() -> (TestApp, Vec<String>) {
    let app = bakery();
    let ids: Vec<String> = ["X1", "X2"].map(|code| app.customer(code, json!({}))).into();
    app.run();
    for (code, quantity) in [("X1", "30"), ("X2", "12")] {
        let line = json!({"product": "white", "measures": {"quantity": quantity, "amount": "10"}});
        app.record(&[json!({"source": "shop", "external_id": code, "kind": "order", "customer_code": code,
            "occurred_at": "2017-12-31", "lines": [line]})]);
    }
    app.run();
    let assessments = ids.iter().flat_map(|id| {
        let page = app.get(&format!("/v1/customers/{id}/assessments")).with(200).json;
        page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    });
    let assessments = assessments.collect();
    (app, assessments)
}

#[test]
fn what_was_kept_comes_out_the_same_also_under_later_data() {
    let (app, assessments) = graded();
    assert_eq!(assessments.len(), 4);
    for id in &assessments {
        let replay = app.get(&format!("/v1/assessments/{id}/replay")).with(200).json;
        assert_eq!((&replay["status"], &replay["differences"]), (&json!("same"), &json!([])), "{replay}");
        assert_eq!(replay["assessment"]["id"], json!(id));
    }
    let all = replayed(&app, "100%");
    let told = String::from_utf8_lossy(&all.stdout);
    assert!(all.status.success(), "{all:?}");
    assert_eq!(told, "4 of 4 assessments replayed: 4 the same, 0 not\n");
}

#[test]
fn relative_to_a_group_it_comes_out_the_same_though_no_script_reads_the_group() {
    let manifest = r#"
[pack]
id = "bakery"
title = { en = "Shops" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "shop"
languages = ["en"]
[fields]
town = { section = "network", type = "choice", choices = ["inland", "coast"] }
area = { section = "network", type = "integer" }
[cohorts.areas]
value = "area"
group = ["town"]
minimum = 2
cuts = { quantiles = ["0.5"] }
[policies]
size = { subject = "customer", outcomes = ["big", "small"], cadence = "continuous" }
"#;
    let texts = r#"
fields = { town = "Town", area = "Area" }
choices.town = { inland = "Inland", coast = "Coast" }
policies.size = "Size"
outcomes.size = { big = "Big", small = "Small" }
"#;
    let script = "//! Size.\nconst SIZES = [\"small\", \"big\"];\n\
                  fn decide(customer, context) { decision(context.cohorts.areas.class_of(customer.area, SIZES)) }";
    let app = TestApp::new(
        &files(&[("pack.toml", manifest), ("texts/en.toml", texts), ("policies/size.rhai", script)]),
        "2018-01-01",
    );
    // Among all four, 40 is small and 100 is big; each in its town the other way round.
    let shops = [("A", "inland", 30), ("B", "inland", 40), ("C", "coast", 100), ("D", "coast", 200)];
    let ids = shops.map(|(code, town, area)| app.customer(code, json!({"network": {"town": town, "area": area}})));
    app.run();
    assert_eq!(ids.map(|id| app.outcomes(&id)["size"].clone()), ["small", "big", "small", "big"]);
    // Some may have been assessed before the run, too.
    let all = replayed(&app, "100%");
    let said = String::from_utf8_lossy(&all.stdout);
    let number: usize = said.split(' ').next().unwrap().parse().unwrap();
    assert!(number >= shops.len() && said.ends_with(" the same, 0 not\n"), "{all:?}");
}

#[test]
fn what_was_changed_in_the_database_is_told_with_its_place() {
    let (app, assessments) = graded();
    let changed = "UPDATE assessments SET content = REPLACE(content, '\"outcome\":\"big\"', '\"outcome\":\"small\"')";
    app.base.execute(changed);
    let replays = assessments.iter().map(|id| app.get(&format!("/v1/assessments/{id}/replay")).with(200).json);
    let differing: Vec<_> = replays.filter(|replay| replay["status"] == "differs").collect();
    assert_eq!(differing.len(), 1, "one of them was big: {differing:?}");
    let difference =
        json!({"policy": "size", "pointer": "/decided/outcome", "kept": "\"small\"", "replayed": "\"big\""});
    assert_eq!(differing[0]["differences"], json!([difference]));
    let all = replayed(&app, "100%");
    let told = String::from_utf8_lossy(&all.stdout);
    assert!(!all.status.success(), "{all:?}");
    assert!(told.contains("size/decided/outcome: kept \"small\", now \"big\""), "{told}");
    assert!(told.ends_with("4 of 4 assessments replayed: 3 the same, 1 not\n"), "{told}");

    app.base.execute("UPDATE assessments SET content = '{}'");
    let all = replayed(&app, "100%");
    assert!(String::from_utf8_lossy(&all.stdout).contains("can't be computed again"), "{all:?}");
    assert!(app.get("/v1/assessments/01a2008f-c5ab-7253-a9fc-1d735533f672/replay").with(404).json.is_object());
}

#[test]
fn a_share_is_above_nothing_and_at_most_all() {
    let (app, _) = graded();
    for share in ["0%", "101%", "1", "one%"] {
        let refused = replayed(&app, share);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains("a share is above 0% and at most 100%"),
            "{refused:?}"
        );
    }
    let few = replayed(&app, "0.0001%");
    assert!(String::from_utf8_lossy(&few.stdout).contains(" of 4 assessments replayed"), "{few:?}");
}

/// The bakery with another limit of what is big.
fn with_limit(limit: u32) -> (Source, Arc<LoadedPack>) {
    let pack = BAKERY.map(|(path, text)| (path, text.replace("[[10, \"big\"]]", &format!("[[{limit}, \"big\"]]"))));
    let source = files(&pack.each_ref().map(|(path, text)| (*path, text.as_str())));
    let release = Arc::new(load(&source).unwrap());
    (source, release)
}

#[test]
#[ignore = "takes minutes: called by make audit"]
fn ten_thousand_customers_replay_the_same_after_three_releases_a_year_and_a_restart() {
    let app = bakery();
    let base = app.base.clone();
    let customers: String = (0..10_000).map(|number| format!("X{number},Shop {number}\n")).collect();
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let active = app.state.in_force.get().unwrap();
    let file = written("customers.csv", format!("code,name\n{customers}"));
    let (db, options) = (&app.state.db, Input { file, ..Default::default() });
    let report = customers::import::import(db, &customer_rules(&active), &options, &mut Progress::hidden()).unwrap();
    assert_eq!(report.counts.created, 10_000);
    // Nine of ten buy each month, another tenth each time, from 1 to 100 loaves.
    for month in 1..=12_u32 {
        let date = format!("2018-{month:02}-01");
        let lines = (0..10_000_u32).filter(|number| number % 10 != month % 10).map(|number| {
            let quantity = (number * 7 + month * 13) % 100 + 1;
            format!("X{number},{date},A{number}-{month},white,{quantity},10\n")
        });
        let text = format!("customer,on,order,product,quantity,amount\n{}", lines.collect::<String>());
        let (db, in_force) = (&app.state.db, &app.state.in_force);
        let file = written("orders.csv", text);
        let options = transactions::import::Import {
            input: Input { file, ..Default::default() },
            kind: Some("order".to_owned()),
            source: Some("till".to_owned()),
        };
        let basis = app.get("/v1/basis").with(200);
        app.patch("/v1/basis", basis.header("ETag"), &json!({"business_date": date})).with(200);
        let rules = recording_rules(&in_force.get().unwrap());
        let report = transactions::import::import(db, &rules, &options, &mut Progress::hidden()).unwrap();
        assert_eq!(report.counts.created, 9_000, "{report:?}");
        if month % 4 == 0 {
            let (source, release) = with_limit(10 + month);
            db.run_here(|conn| activate(conn, in_force, (&source, &release), Closes::Now, None)).unwrap();
            app.state.workers.wake();
        }
        until("everybody is assessed", || {
            let due = db.run_here(|conn| store::count_due(conn, date.parse().unwrap())).unwrap();
            let runs = app.get("/v1/runs?limit=1").json["items"][0]["status"].clone();
            (due == 0 && runs != "running" && runs != "preparing").then_some(())
        });
    }
    drop(app);

    // A process that knows nothing of the first one.
    let (mut replayed, mut differing) = (0_u64, Vec::new());
    let all = replay_base(&base.db, &InForce::default(), Sample { per_million: 1_000_000 }, &mut |id, result| {
        replayed += 1;
        if !matches!(&result, Ok(differences) if differences.is_empty()) {
            differing.push((id, result));
        }
    })
    .unwrap();
    assert!(all > 50_000 && replayed == all, "{replayed} of {all}");
    assert!(differing.is_empty(), "{} of {all} differ: {:?}", differing.len(), &differing[..differing.len().min(3)]);
}
