//! `baremo serve` as an operator meets it: its first start and the later ones, kills at any time, and what it says when it
//! can't start.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::app::PASSWORD;
use crate::base::Base;
use crate::process::{Place, Service, number, until};
use crate::transactions::BAKERY;

/// Rows of the tobacco sample.
const ORDERS: i64 = 7453 + 209;
const STORES: i64 = 136 + 10;

fn tobacco() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/tobacco")
}

fn count(url: &str, table: &str) -> Option<i64> {
    number(url, &format!("SELECT COUNT(*) FROM {table}"))
}

/// Customers, transactions, runs and assessments: what every start must leave as it was.
fn contents(url: &str) -> Vec<Option<i64>> {
    ["customers", "transactions", "runs", "assessments"].map(|table| count(url, table)).to_vec()
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_first_start_fills_the_base_and_nothing_that_follows_loses_or_doubles_it() {
    let place = Place::new();
    let url = place.private_url("tobacco");
    let full = [Some(STORES), Some(ORDERS), Some(1), Some(STORES)];

    let mut first = place.serve(&tobacco(), &[]).ready();
    first.get("/readyz").with(200);
    let password = first.printed_password().expect("no password was printed");
    first.sign_in(&password);
    first.get("/v1/customers?limit=1").with(200);
    let table = first.out();
    assert!(table.contains("146 customers assessed as of 2018-01-01"), "{table}");
    assert!(table.contains("Volume grade               Grade 1"), "{table}");
    assert_eq!(contents(&url), full);
    assert_eq!(first.stop().0, Some(0));
    assert_eq!(place.servers(), []);

    let mut second = place.serve(&tobacco(), &[]).ready();
    assert_eq!(second.out(), "", "the second start printed something");
    assert_eq!(contents(&url), full);
    second.sign_in(&password);
    let server = place.server();
    second.kill();

    let third = place.serve(&tobacco(), &[]).ready();
    assert_eq!(place.server(), server, "the server of the killed one wasn't taken over");
    assert_eq!(contents(&url), full);

    kill(server, Signal::SIGKILL).unwrap();
    let (code, took) = third.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(20), "{took:?}");

    let mut fourth = place.serve(&tobacco(), &[]).ready();
    assert_eq!(contents(&url), full);
    let server = place.server();
    kill(server, Signal::SIGKILL).unwrap();
    until("the private database was started again", || {
        let again = place.servers();
        (again.len() == 1 && again[0] != server && fourth.get("/readyz").status == 200).then_some(())
    });
    assert_eq!(contents(&url), full);
    assert_eq!(fourth.stop().0, Some(0));
    assert_eq!(place.servers(), []);
}

#[test]
fn a_first_start_that_was_killed_is_finished_by_the_next() {
    let place = Place::new();
    let url = place.private_url("tobacco");
    let first = place.serve(&tobacco(), &[]);
    until("some orders are in", || count(&url, "transactions").filter(|orders| *orders > 0));
    first.kill();
    let loaded = count(&url, "transactions").unwrap();
    assert!(loaded < ORDERS, "the kill came too late: all {loaded} orders are in");
    assert_eq!(number(&url, "SELECT COUNT(*) FROM deployment WHERE sample_loaded_at IS NULL"), Some(1));

    let second = place.serve(&tobacco(), &[]);
    until("the run is begun", || count(&url, "runs").filter(|runs| *runs == 1));
    second.kill();

    let third = place.serve(&tobacco(), &[]);
    until("the table is shown", || third.out().contains("146 customers assessed as of 2018-01-01").then_some(()));
    let third = third.ready();
    assert_eq!(contents(&url), [Some(STORES), Some(ORDERS), Some(1), Some(STORES)]);
    assert_eq!(number(&url, "SELECT COUNT(*) FROM runs WHERE status = 'finished'"), Some(1));
    assert_eq!(number(&url, "SELECT COUNT(*) FROM subjects WHERE assessment_id IS NOT NULL"), Some(STORES));
    assert_eq!(third.stop().0, Some(0));
}

#[test]
fn a_database_of_ones_own_gets_the_sample_only_on_demand() {
    let place = Place::new();
    let base = Base::new();
    let url = base.url();
    let own = [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD)];

    let service = place.serve(&tobacco(), &own).ready();
    assert_eq!(contents(&url), [Some(0), Some(0), Some(0), Some(0)]);
    assert_eq!(service.printed_password(), None);
    assert_eq!(service.stop().0, Some(0));

    let mut service = place.serve(&tobacco(), &[own[0], ("BAREMO_LOAD_SAMPLE", "true")]).ready();
    assert_eq!(contents(&url), [Some(STORES), Some(ORDERS), Some(1), Some(STORES)]);
    service.sign_in(PASSWORD);
    assert_eq!(service.stop().0, Some(0));
    assert_eq!(place.servers(), [], "a private database was started");

    // The base is the first pack's for ever.
    let bakery = place.pack("bakery", &BAKERY);
    let refused = place.run(&["serve", "--pack", bakery.to_str().unwrap()], &own);
    assert_eq!(refused.status.code(), Some(1));
    assert!(says(&refused).contains("the base belongs to the pack 'tobacco'"), "{}", says(&refused));
    assert_eq!(contents(&url), [Some(STORES), Some(ORDERS), Some(1), Some(STORES)]);
}

#[test]
fn two_services_that_start_at_once_on_a_new_base_share_it() {
    let place = Place::new();
    let bakery = place.pack("bakery", &BAKERY);
    let base = Base::new();
    base.db.run_here(baremo::db::migrate::revert_all).unwrap();
    let url = base.url();
    let own = [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD)];
    let both = [place.serve(&bakery, &own), place.serve(&bakery, &own)];
    for mut service in both.map(Service::ready) {
        service.sign_in(PASSWORD);
        service.get("/v1/customers").with(200);
        assert_eq!(service.stop().0, Some(0));
    }
    assert_eq!(number(&url, "SELECT COUNT(*) FROM bases"), Some(1));
}

#[test]
fn imports_go_into_the_base_that_is_being_served_and_a_second_service_is_refused() {
    let place = Place::new();
    let bakery = place.pack("bakery", &BAKERY);
    let customers = place.write("customers.csv", "code,name\nX1,One\nX2,Two\n");
    let import = ["import", "customers", customers.to_str().unwrap(), "--pack", bakery.to_str().unwrap()];
    let url = place.private_url("bakery");

    let alone = place.run(&[&import[..], &["--dry-run"]].concat(), &[]);
    assert!(alone.status.success(), "{}", says(&alone));
    assert_eq!(place.servers(), [], "the import left its database running");

    let mut service = place.serve(&bakery, &[("BAREMO_ADMIN_PASSWORD", PASSWORD)]).ready();
    let server = place.server();
    assert_eq!(count(&url, "customers"), Some(0));
    let beside = place.run(&import, &[]);
    assert!(beside.status.success(), "{}", says(&beside));
    assert!(String::from_utf8_lossy(&beside.stdout).contains("2 created"), "{beside:?}");
    assert_eq!(place.server(), server, "the import stopped the database");
    service.sign_in(PASSWORD);
    let listed = service.get("/v1/customers").with(200);
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 2);

    let changed = BAKERY.map(|(path, text)| {
        (path, if path.ends_with(".rhai") { format!("{text}// Changed.\n") } else { text.to_owned() })
    });
    let changed = place.pack("changed", &changed.each_ref().map(|(path, text)| (*path, text.as_str())));
    let bases = count(&url, "bases");
    let refused =
        place.run(&["import", "customers", customers.to_str().unwrap(), "--pack", changed.to_str().unwrap()], &[]);
    assert!(!refused.status.success() && says(&refused).contains("is not in force"), "{}", says(&refused));
    assert_eq!(count(&url, "bases"), bases, "an import changed what is in force");

    let second = place.run(&["serve", "--pack", bakery.to_str().unwrap()], &[]);
    assert_eq!(second.status.code(), Some(1));
    assert!(says(&second).contains("is in use by another Baremo (process "), "{}", says(&second));
    service.get("/readyz").with(200);
    assert_eq!(service.stop().0, Some(0));

    // Nobody has been assessed yet: the next start sees to it.
    let again = place.serve(&bakery, &[]).ready();
    until("the table is shown", || again.out().contains("2 customers assessed").then_some(()));
    assert_eq!(again.stop().0, Some(0));
}

#[test]
fn every_fault_of_the_configuration_is_told_and_no_secret() {
    let place = Place::new();
    let wrong = [
        ("BAREMO_LISTEN", "here"),
        ("BAREMO_DATABASE_URL", "postgres://user:hidden@host/base"),
        ("BAREMO_DATABASE_CONNECTIONS", "0"),
        ("BAREMO_ADMIN_PASSWORD", "hid"),
        ("BAREMO_BUSINESS_DATE", "yesterday"),
        ("BAREMO_LOAD_SAMPLE", "perhaps"),
        ("BAREMO_LOG_FORMAT", "xml"),
    ];
    let refused = place.run(&["serve", "--pack", tobacco().to_str().unwrap()], &wrong);
    assert_eq!(refused.status.code(), Some(1));
    let said = says(&refused);
    for (name, _) in wrong {
        assert!(said.contains(name), "{name} is missing in:\n{said}");
    }
    assert!(!said.contains("hid"), "{said}");
    assert!(!place.path("data").exists(), "something was begun");
}

#[test]
fn a_password_of_digits_is_taken_as_it_is_written() {
    let place = Place::new();
    let bakery = place.pack("bakery", &BAKERY);
    let base = Base::new();
    let url = base.url();
    let mut service =
        place.serve(&bakery, &[("BAREMO_DATABASE_URL", &url), ("BAREMO_ADMIN_PASSWORD", "0012345678.50")]).ready();
    service.sign_in("0012345678.50");
}

#[test]
fn a_faulty_pack_is_told_with_file_and_line_and_nothing_is_begun() {
    let place = Place::new();
    let refused = |pack: &Path, parts: &[&str]| {
        let output = place.run(&["serve", "--pack", pack.to_str().unwrap()], &[]);
        assert_eq!(output.status.code(), Some(1));
        for part in parts {
            assert!(says(&output).contains(part), "'{part}' is missing in:\n{}", says(&output));
        }
        assert!(!place.path("data").exists(), "something was begun");
    };
    refused(&place.path("nowhere"), &["nowhere"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    refused(&place.path("empty"), &["pack.toml"]);
    let mut files = BAKERY;
    files[1].1 = "//! Who buys much.\n\nfn decide(customer, context) {\n    let = 5;\n}\n";
    refused(&place.pack("broken", &files), &["policies/size.rhai", "4:"]);
}

#[test]
fn an_address_that_is_taken_is_told() {
    let place = Place::new();
    let bakery = place.pack("bakery", &BAKERY);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for address in [taken.as_str(), "192.0.2.1:80"] {
        let refused = place.run(&["serve", "--pack", bakery.to_str().unwrap()], &[("BAREMO_LISTEN", address)]);
        assert_eq!(refused.status.code(), Some(1));
        let expected = format!("can't listen on {address} (BAREMO_LISTEN)");
        assert!(says(&refused).contains(&expected), "{}", says(&refused));
    }
    assert_eq!(place.servers(), []);
}
