//! Kept assessments computed again: one over HTTP, all of a base by the command line.

use std::process::Output;

use serde_json::json;

use crate::app::TestApp;
use crate::process::Place;
use crate::transactions::bakery;

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
