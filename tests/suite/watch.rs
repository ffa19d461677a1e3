//! `baremo serve --watch` as an author of policies meets it: what is saved comes into force, what is broken doesn't, and nobody
//! moves whom the change doesn't concern.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::process::{Place, Service, until};
use crate::transactions::BAKERY;

/// Replaces a text in a file, which has it.
pub fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "'{from}' is missing in {}", file.display());
    fs::write(file, text.replace(from, to)).unwrap();
}

pub fn release(service: &mut Service) -> String {
    service.get("/v1/basis").with(200).json["release"].as_str().unwrap().to_owned()
}

/// Waits until another release is in force and the run by it is finished; gives its digest.
pub fn released(service: &mut Service, before: &str) -> String {
    let now = until("another release is in force", || Some(release(service)).filter(|now| now != before));
    let customer = service.get("/v1/customers?status=active&limit=1").with(200).json["items"][0]["id"].clone();
    let assessments = format!("/v1/customers/{}/assessments?limit=1", customer.as_str().unwrap());
    until("the run by it is finished", || {
        let run = service.get("/v1/runs?limit=1").with(200).json["items"][0].clone();
        let assessment = service.get(&assessments).with(200).json["items"][0].clone();
        (run["status"] == "finished" && assessment["release"] == now.as_str()).then_some(())
    });
    now
}

/// Every customer's outcomes by policy, by his code.
pub fn outcomes(service: &mut Service) -> BTreeMap<String, BTreeMap<String, String>> {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let customers = service.get("/v1/customers?limit=200").with(200).json;
    let mut found = BTreeMap::new();
    for customer in customers["items"].as_array().unwrap() {
        let path = format!("/v1/customers/{}/decisions", customer["id"].as_str().unwrap());
        let decisions = service.get(&path).with(200).json;
        let items = decisions["items"].as_array().unwrap().iter();
        let of = items.map(|decision| (text(&decision["policy"]), text(&decision["outcome"]))).collect();
        found.insert(text(&customer["code"]), of);
    }
    found
}

/// The faults that the service tells of a folder that isn't in force, once readiness and pack say the same.
pub fn load_faults(service: &mut Service) -> Option<Vec<Json>> {
    until("readiness and pack agree", || {
        let stale = service.get("/readyz").with(200).json["stale"] == true;
        let faults = service.get("/v1/pack").with(200).json["load_faults"].as_array().cloned();
        (stale == faults.is_some()).then_some(faults)
    })
}

/// Warnings of the log that something is stale.
pub fn warnings(service: &Service) -> Vec<Json> {
    let log = service.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    lines.filter(|line| line["level"] == "WARN" && line["stale"] == true).collect()
}

pub fn bakery_settings() -> [(&'static str, &'static str); 2] {
    [("BAREMO_ADMIN_PASSWORD", PASSWORD), ("BAREMO_BUSINESS_DATE", "2018-01-01")]
}

#[test]
fn a_cut_moved_from_20_to_18_moves_the_3_stores_between_and_nobody_else() {
    let place = Place::new();
    let pack = place.copy("rules/tobacco");
    place.copy("rules/common");
    place.copy("samples");
    let mut service = place.watch(&pack, &[("BAREMO_ADMIN_PASSWORD", PASSWORD)]).ready();
    service.sign_in(PASSWORD);
    let (first, before) = (release(&mut service), outcomes(&mut service));
    assert_eq!(before.len(), 146);

    // The cases of the policy still want 20: the log tells of them, and the author sees what his change does.
    edit(&pack.join("policies/volume_grade.rhai"), r#"[20, "1"]"#, r#"[18, "1"]"#);
    released(&mut service, &first);
    assert_eq!(service.log().matches("a case fails: ").count(), 6, "{}", service.log());
    assert_eq!(load_faults(&mut service), None);

    let after = outcomes(&mut service);
    let mut moved = Vec::new();
    for (code, outcomes) in &before {
        for (policy, outcome) in outcomes {
            let now = &after[code][policy];
            if now != outcome {
                moved.push((code.as_str(), policy.as_str(), outcome.as_str(), now.as_str()));
            }
        }
    }
    let moves: Vec<_> = moved.iter().map(|(_, policy, from, to)| (*policy, *from, *to)).collect();
    assert_eq!(moves, [("volume_grade", "2", "1"); 3], "{moved:?}");
    for (code, ..) in moved {
        let id = service.get(&format!("/v1/customers?code={code}")).with(200).json["items"][0]["id"].clone();
        let metrics = service.get(&format!("/v1/customers/{}/metrics", id.as_str().unwrap())).with(200).json;
        let mut volumes =
            metrics["items"].as_array().unwrap().iter().filter(|metric| metric["key"] == "monthly_volume");
        let volume: f64 = volumes.next().unwrap()["value"].as_str().unwrap().parse().unwrap();
        assert!((18.0..20.0).contains(&volume), "{code} has {volume} cases a month");
    }
    assert_eq!(service.stop().0, Some(0));
}

#[test]
fn a_broken_folder_is_told_everywhere_until_it_is_mended() {
    let place = Place::new();
    let pack = place.pack("bakery", &BAKERY);
    let mut service = place.watch(&pack, &bakery_settings()).ready();
    service.sign_in(PASSWORD);
    let first = release(&mut service);
    assert_eq!(load_faults(&mut service), None);
    service.send("POST", "/v1/customers", &json!({"code": "X1", "name": "One"})).with(201);

    let script = pack.join("policies/size.rhai");
    let sound = fs::read_to_string(&script).unwrap();
    fs::write(&script, sound.replace("customer.volume", "customer.volum")).unwrap();
    let faults = until("the fault is told", || load_faults(&mut service));
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!((&fault["file"], &fault["line"]), (&json!("policies/size.rhai"), &json!(3)));
    assert!(fault["column"].as_u64().unwrap() > 1 && fault["code"].is_string(), "{fault}");
    assert!(fault["message"].as_str().unwrap().contains("did you mean 'volume'"), "{fault}");
    let warned = until("the log tells it", || Some(warnings(&service)).filter(|warned| !warned.is_empty()));
    assert!(warned[0]["message"].as_str().unwrap().contains("policies/size.rhai:3:"), "{warned:?}");
    // The last good one works on.
    assert_eq!(release(&mut service), first);
    let id = service.get("/v1/customers?code=X1").with(200).json["items"][0]["id"].clone();
    let evaluated = service.send("POST", "/v1/evaluations", &json!({"customer_id": id})).with(200);
    assert_eq!(evaluated.json["decisions"][0]["outcome"], "small");

    // Another fault is another warning.
    fs::write(&script, "").unwrap();
    until("the next fault is told", || (warnings(&service).len() == 2).then_some(()));
    assert_eq!(service.get("/readyz").with(200).json, json!({"status": "ok", "stale": true}));

    // What is refused for the base's sake is told in the same way.
    fs::write(&script, &sound).unwrap();
    edit(&pack.join("pack.toml"), "Europe/Madrid", "Europe/Paris");
    until("the refusal is told", || {
        let faults = load_faults(&mut service)?;
        (faults[0]["file"] == "pack.toml" && faults[0]["message"].as_str()?.contains("time zone")).then_some(())
    });

    edit(&pack.join("pack.toml"), "Europe/Paris", "Europe/Madrid");
    until("it is cleared", || load_faults(&mut service).is_none().then_some(()));
    assert_eq!(service.get("/readyz").with(200).json, json!({"status": "ok"}));
    assert_eq!(release(&mut service), first);
    fs::write(&script, sound.replace("[10, ", "[0, ")).unwrap();
    released(&mut service, &first);
    assert_eq!(outcomes(&mut service)["X1"]["size"], "big");
    assert_eq!(warnings(&service).len(), 3);
    assert_eq!(service.stop().0, Some(0));
}

#[test]
fn a_folder_that_is_saved_in_two_steps_is_not_told_as_broken() {
    let place = Place::new();
    let pack = place.pack("bakery", &BAKERY);
    let mut service = place.watch(&pack, &bakery_settings()).ready();
    service.sign_in(PASSWORD);
    let mut now = release(&mut service);
    // The script and the manifest are wrong without each other. As editors do, the one is saved shortly after the other; each
    // time at another moment between two looks.
    let (script, manifest) = (pack.join("policies/size.rhai"), pack.join("pack.toml"));
    for number in 1..=5_u64 {
        let (old, new) = if number % 2 == 1 { ("volume", "turnover") } else { ("turnover", "volume") };
        edit(&script, &format!("customer.{old}"), &format!("customer.{new}"));
        std::thread::sleep(Duration::from_millis(number * 60));
        edit(&manifest, &format!("[metrics.{old}]"), &format!("[metrics.{new}]"));
        edit(&pack.join("texts/en.toml"), &format!("{old} = \"v\""), &format!("{new} = \"v\""));
        let before = now.clone();
        now = until("the second step is in force", || Some(release(&mut service)).filter(|now| *now != before));
    }
    assert_eq!(warnings(&service), Vec::<Json>::new());
    assert_eq!(service.stop().0, Some(0));
}
