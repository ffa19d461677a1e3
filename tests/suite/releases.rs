//! `baremo rules release` and starting without `--watch`: folders enter by command, and what the base has is served.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::base::Base;
use crate::process::{Place, number, until};
use crate::transactions::BAKERY;
use crate::watch::{edit, load_faults, release, warnings};

/// A pack with fields, and one policy that reads a field that may be absent.
const MANIFEST: &str = r#"
[pack]
id = "clinic"
title = { en = "Clinic" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "visit"
languages = ["en"]

[fields.town]
section = "basic"
type = "text"
filterable = true

[fields.rooms]
section = "network"
type = "integer"
required = true

[fields.kind]
section = "network"
type = "choice"
choices = ["public", "private", "mixed"]
filterable = true

[fields.note]
section = "basic"
type = "text"

[policies.size]
subject = "customer"
outcomes = ["large", "small"]
cadence = "continuous"
"#;

const SCRIPT: &str = r#"//! Large clinics have ten rooms.
const SIZE = bands([[10, "large"]], "small");
fn decide(customer, context) { SIZE.of(customer.maybe.rooms ?? 0) }
"#;

const TEXTS: &str = r#"
[fields]
town = "Town"
rooms = "Rooms"
kind = "Kind"
note = "Note"
[choices.kind]
public = "Public"
private = "Private"
mixed = "Mixed"
[policies]
size = "Size"
[outcomes.size]
large = "Large"
small = "Small"
"#;

const CLINIC: [(&str, &str); 3] = [("pack.toml", MANIFEST), ("policies/size.rhai", SCRIPT), ("texts/en.toml", TEXTS)];

fn says(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs `baremo rules release`, which must go so, and gives what it says.
#[track_caller]
fn publish(place: &Place, pack: &Path, own: &[(&str, &str)], code: i32) -> String {
    let output = place.run(&["rules", "release", pack.to_str().unwrap()], own);
    assert_eq!(output.status.code(), Some(code), "{}", says(&output));
    says(&output)
}

#[test]
fn a_folder_enters_by_command_and_the_running_service_follows() {
    let place = Place::new();
    let base = Base::new();
    let url = base.url();
    let own = [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD)];
    let pack = place.pack("bakery", &BAKERY);
    let mut service = place.serve(&pack, &own).ready();
    service.sign_in(PASSWORD);
    let first = release(&mut service);
    assert!(publish(&place, &pack, &own, 0).contains(&format!("{first} is in force already")));

    let script = pack.join("policies/size.rhai");
    edit(&script, "[10, ", "[= 10, ");
    let said = publish(&place, &pack, &own, 1);
    assert!(said.contains("policies/size.rhai:2:"), "{said}");
    assert_eq!(number(&url, "SELECT COUNT(*) FROM releases"), Some(1), "something was kept");

    edit(&script, "[= 10, ", "[12, ");
    let said = publish(&place, &pack, &own, 0);
    assert!(said.contains("size: changed"), "{said}");
    let second = until("the service follows", || Some(release(&mut service)).filter(|now| *now != first));
    assert!(said.contains(&format!("{second} is in force")), "{said}");

    // Metrics that no policy reads, and texts, change no policy.
    edit(&pack.join("texts/en.toml"), "Opened on", "Opened");
    let said = publish(&place, &pack, &own, 0);
    assert!(said.contains("size: as before"), "{said}");
    assert_eq!(service.stop().0, Some(0));

    // A start changes nothing that is in force, and tells of the folder.
    edit(&script, "[12, ", "[10, ");
    let mut service = place.serve(&pack, &own).ready();
    service.sign_in(PASSWORD);
    let third = release(&mut service);
    assert!(![&first, &second].contains(&&third));
    assert!(service.log().contains("baremo rules release"), "{}", service.log());
    assert_eq!(load_faults(&mut service), None);
    assert_eq!(service.stop().0, Some(0));

    // With --watch it is brought into force.
    let mut service = place.watch(&pack, &own).ready();
    service.sign_in(PASSWORD);
    assert_ne!(release(&mut service), third);
    assert_eq!(service.stop().0, Some(0));
}

#[test]
fn a_private_base_is_released_to_beside_the_service_and_alone() {
    let place = Place::new();
    let pack = place.pack("bakery", &BAKERY);
    let said = publish(&place, &pack, &[], 0);
    assert!(said.contains("is in force"), "{said}");
    assert_eq!(place.servers(), [], "the private database was left running");

    let mut service = place.serve(&pack, &[("BAREMO_ADMIN_PASSWORD", PASSWORD)]).ready();
    service.sign_in(PASSWORD);
    let first = release(&mut service);
    edit(&pack.join("policies/size.rhai"), "[10, ", "[12, ");
    publish(&place, &pack, &[], 0);
    until("the service follows", || (release(&mut service) != first).then_some(()));
    assert_eq!(service.stop().0, Some(0));
}

#[test]
fn a_broken_folder_keeps_no_service_from_starting_that_has_a_release() {
    let place = Place::new();
    let base = Base::new();
    let url = base.url();
    let own = [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD)];
    let pack = place.pack("bakery", &BAKERY);
    for settings in [&own[..], &own[1..]] {
        let fresh = place.pack("bakery", &BAKERY);
        let mut service = place.serve(&fresh, settings).ready();
        service.sign_in(PASSWORD);
        let first = release(&mut service);
        assert_eq!(service.stop().0, Some(0));

        fs::write(pack.join("policies/size.rhai"), "fn decide(customer, context) {").unwrap();
        for start in [Place::serve, Place::watch] {
            let mut service = start(&place, &pack, settings).ready();
            service.sign_in(PASSWORD);
            assert_eq!(release(&mut service), first);
            let faults = load_faults(&mut service).expect("nothing says that it is stale");
            assert_eq!(faults[0]["file"], "policies/size.rhai");
            assert_eq!(warnings(&service).len(), 1);
            assert_eq!(service.stop().0, Some(0));
        }
    }

    // A good release clears it, though nobody looks at the folder again.
    let mut service = place.serve(&pack, &own).ready();
    service.sign_in(PASSWORD);
    assert!(load_faults(&mut service).is_some());
    let mended = place.pack("mended", &BAKERY);
    edit(&mended.join("policies/size.rhai"), "[10, ", "[12, ");
    publish(&place, &mended, &own, 0);
    until("it is cleared", || load_faults(&mut service).is_none().then_some(()));
    assert_eq!(service.stop().0, Some(0));

    // A setting that the base can't take makes it stale too.
    edit(&mended.join("pack.toml"), "currency = \"EUR\"", "currency = \"USD\"");
    let mut service = place.serve(&mended, &own).ready();
    service.sign_in(PASSWORD);
    let faults = load_faults(&mut service).expect("nothing says that it is stale");
    assert!(faults[0]["message"].as_str().unwrap().contains("currency EUR"), "{faults:?}");
    assert_eq!(service.stop().0, Some(0));

    // The base alone says what is served, also when the manifest doesn't even say which pack it is.
    let output = place.run(&["serve"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(says(&output).contains("no release to serve: '--pack <folder>'"), "{}", says(&output));
    for arguments in [&["serve"][..], &["serve", "--pack", pack.to_str().unwrap()]] {
        fs::write(pack.join("pack.toml"), "[pack\n").unwrap();
        let mut service = place.start(arguments, &own).ready();
        service.sign_in(PASSWORD);
        assert_eq!(load_faults(&mut service).is_some(), arguments.len() > 1);
        assert_eq!(service.stop().0, Some(0));
    }
    // It is the base of another pack, broken or not.
    fs::write(pack.join("pack.toml"), "[pack]\nid = \"butcher\"\n").unwrap();
    let output = place.run(&["serve", "--pack", pack.to_str().unwrap()], &own);
    assert!(says(&output).contains("the base belongs to the pack 'bakery'"), "{}", says(&output));

    let nothing = Base::new();
    let broken = place.run(&["serve", "--pack", pack.to_str().unwrap()], &[("BAREMO_DATABASE_URL", &nothing.url())]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(says(&broken).contains("--> pack.toml"), "{}", says(&broken));
    let output = place.run(&["serve"], &[("BAREMO_DATABASE_URL", &nothing.url())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(says(&output).contains("no release to serve: '--pack <folder>'"), "{}", says(&output));
}

#[test]
fn another_packs_folder_is_refused() {
    let place = Place::new();
    let base = Base::new();
    let url = base.url();
    let own = [("BAREMO_DATABASE_URL", url.as_str())];
    publish(&place, &place.pack("bakery", &BAKERY), &own, 0);
    let kept = || number(&url, "SELECT COUNT(*) + (SELECT COUNT(*) FROM bases) FROM releases");
    for (from, to, part) in [
        ("id = \"bakery\"", "id = \"butcher\"", "the base belongs to the pack 'bakery'"),
        ("Europe/Madrid", "Europe/Paris", "made with time zone Europe/Madrid, but the pack now says Europe/Paris"),
        ("currency = \"EUR\"", "currency = \"USD\"", "made with currency EUR, but the pack now says USD"),
    ] {
        let pack = place.pack("bakery", &BAKERY);
        edit(&pack.join("pack.toml"), from, to);
        let said = publish(&place, &pack, &own, 1);
        assert!(said.contains(part), "{said}");
        assert_eq!(kept(), Some(2), "something was kept");
    }
}

#[test]
fn values_follow_the_fields_through_releases() {
    let place = Place::new();
    let base = Base::new();
    let url = base.url();
    let own = [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD)];
    let pack = place.pack("clinic", &CLINIC);
    let mut service = place.serve(&pack, &own).ready();
    service.sign_in(PASSWORD);
    for (code, kind, rooms) in [("C1", "public", 12), ("C2", "mixed", 7), ("C3", "mixed", 30)] {
        let profile = json!({"basic": {"town": "Soria", "note": "old"}, "network": {"rooms": rooms, "kind": kind}});
        service.send("POST", "/v1/customers", &json!({"code": code, "name": code, "profile": profile})).with(201);
    }
    let first = release(&mut service);

    // One field renamed and moved, one retyped, one with a choice less, one removed.
    let manifest = MANIFEST
        .replace("[fields.town]\nsection = \"basic\"", "[fields.city]\nrenamed_from = \"town\"\nsection = \"network\"")
        .replace("type = \"integer\"", "type = \"integer\"\nmax = 20")
        .replace(", \"mixed\"", "")
        .replace("[fields.note]\nsection = \"basic\"\ntype = \"text\"\n", "");
    let texts = TEXTS.replace("town = \"Town\"", "city = \"City\"").replace("note = \"Note\"\n", "");
    fs::write(pack.join("pack.toml"), &manifest).unwrap();
    fs::write(pack.join("texts/en.toml"), texts.replace("mixed = \"Mixed\"\n", "")).unwrap();
    let said = publish(&place, &pack, &own, 0);
    for line in [
        "the field 'kind' takes other values: stored values that fit: 1; kept, hidden: 2",
        "the field 'note' is removed: stored values kept, hidden: 3",
        "the field 'rooms' takes other values: stored values that fit: 2; kept, hidden: 1",
        "the field 'town' is 'city' now: stored values that fit: 3; kept, hidden: 0",
    ] {
        assert!(said.contains(line), "{line} is missing in\n{said}");
    }
    until("the service follows", || (release(&mut service) != first).then_some(()));

    let found = |service: &mut crate::process::Service, query: &str| -> Vec<Json> {
        service.get(&format!("/v1/customers?{query}")).with(200).json["items"].as_array().unwrap().clone()
    };
    assert_eq!(found(&mut service, "field[city]=Soria").len(), 3);
    assert_eq!(found(&mut service, "field[kind]=public").len(), 1);
    let c3 = found(&mut service, "code=C3")[0].clone();
    assert_eq!(c3["profile"], json!({"network": {"city": "Soria"}}), "what doesn't fit is shown");

    // Assessing him and changing another field work, though a required field's value doesn't fit.
    let evaluated = service.send("POST", "/v1/evaluations", &json!({"customer_id": c3["id"]})).with(200);
    assert_eq!(evaluated.json["decisions"][0]["outcome"], "small");
    let path = format!("/v1/customers/{}", c3["id"].as_str().unwrap());
    let patch = |service: &mut crate::process::Service, version: i64, profile: Json| {
        service.client().patch(&path, version, &json!({"profile": profile}))
    };
    assert_eq!(patch(&mut service, 1, json!({})).with(200).json["version"], 1, "a change of nothing");
    let changed = patch(&mut service, 1, json!({"network": {"city": "Burgos"}})).with(200).json;
    assert_eq!(changed["profile"], json!({"network": {"city": "Burgos"}}));
    let refused = patch(&mut service, 2, json!({"network": {"kind": "mixed"}}));
    assert_eq!(refused.with(422).faults(), [("/profile/network/kind", "unknown_choice")]);
    let changed = patch(&mut service, 2, json!({"network": {"kind": "private"}})).with(200).json;
    assert_eq!(changed["profile"], json!({"network": {"city": "Burgos", "kind": "private"}}));

    // The next release forgets the old key and takes back what it had hidden: nothing was lost, and new values stay.
    let again = MANIFEST.replace("[fields.town]\nsection = \"basic\"", "[fields.city]\nsection = \"network\"");
    fs::write(pack.join("pack.toml"), again).unwrap();
    fs::write(pack.join("texts/en.toml"), TEXTS.replace("town = \"Town\"", "city = \"City\"")).unwrap();
    let second = release(&mut service);
    publish(&place, &pack, &own, 0);
    until("the service follows", || (release(&mut service) != second).then_some(()));
    for (code, city, kind, rooms) in
        [("C1", "Soria", "public", 12), ("C2", "Soria", "mixed", 7), ("C3", "Burgos", "private", 30)]
    {
        let profile = found(&mut service, &format!("code={code}&field[city]={city}"))[0]["profile"].clone();
        let expected = json!({"basic": {"note": "old"}, "network": {"city": city, "kind": kind, "rooms": rooms}});
        assert_eq!(profile, expected, "{code}");
    }
    assert_eq!(service.stop().0, Some(0));
}
