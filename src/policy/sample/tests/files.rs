//! Samples of files: what they name, and which faults are told.

use jiff::civil::Date;

use super::super::{Import, check, read as read_sample};
use super::{MANIFEST, read as sample};
use crate::policy::manifest;
use crate::policy::source::Source;

#[test]
fn a_sample_names_its_date_and_files() {
    let text = r#"
business_date = "2018-01-01"
[[files]]
import = "customers"
path = "../customers.csv"
columns = { code = "customer_code", "network.branch" = "branch" }
[[files]]
import = "transactions"
path = "../loans.csv"
kind = "loan"
source = "old_system"
"#;
    let sample = sample(text).unwrap().unwrap();
    assert_eq!(sample.business_date, Date::constant(2018, 1, 1));
    let [customers, loans] = sample.files.as_slice() else { panic!("{sample:?}") };
    assert_eq!((customers.import, customers.columns["network.branch"].as_str()), (Import::Customers, "branch"));
    assert_eq!((loans.kind.as_deref(), loans.source.as_deref()), (Some("loan"), Some("old_system")));
    assert!(loans.columns.is_empty());
}

#[test]
fn files_and_columns_that_are_not_there_are_told_where_the_files_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("pack");
    std::fs::create_dir(&pack).unwrap();
    std::fs::write(folder.path().join("customers.csv"), "customer_code,branch\n").unwrap();
    let text = r#"
business_date = "2018-01-01"
[[files]]
import = "customers"
path = "../customers.csv"
columns = { code = "customer_code", "network.branch" = "branhc" }
[[files]]
import = "customers"
path = "../nowhere.csv"
[[files]]
import = "customers"
path = "/etc/customers.csv"
"#;
    std::fs::write(pack.join("pack.toml"), MANIFEST).unwrap();
    std::fs::write(pack.join("sample.toml"), text).unwrap();
    let source = Source::from_folder(&pack).unwrap();
    let manifest = manifest::parse(&source).unwrap();
    let told: Vec<_> = check(&source, &manifest).iter().map(|f| (f.line.unwrap(), f.code)).collect();
    assert_eq!(told, [(6, "unknown_column"), (9, "unreadable"), (12, "path")]);
    let told: Vec<_> = read_sample(&source, &manifest).unwrap_err().iter().map(|f| f.code).collect();
    assert_eq!(told, ["path"]);
}

#[test]
fn faults_of_a_sample_are_told_together() {
    let text = r#"
business_date = 2018
[[files]]
import = "customer"
path = "a.csv"
[[files]]
import = "transactions"
path = "b.csv"
kind = "lone"
[[files]]
import = "transactions"
path = "c.csv"
colums = {}
[[files]]
import = "customers"
path = "d.csv"
kind = "loan"
columns = { "network.branche" = "b" }
"#;
    let told: Vec<_> = sample(text).unwrap_err().iter().map(|f| (f.line.unwrap(), f.code)).collect();
    let expected = [
        (2, "date"),
        (4, "wrong_type"),
        (9, "unknown_kind"),
        (10, "missing"),
        (13, "unknown_key"),
        (17, "kind"),
        (18, "unknown_key"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for fault in expected {
        assert!(told.contains(&fault), "{fault:?} is missing in {told:?}");
    }
}
