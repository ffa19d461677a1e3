//! Samples of files and staff: what they name, and which faults are told.

use jiff::civil::Date;

use super::super::{Import, SampleEmployee, check, read as read_sample};
use super::{MANIFEST, read as sample, read_with};
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

#[test]
fn employees_serve_areas_of_the_pack() {
    let (head, policies) = MANIFEST.split_once("[policies.grade]").unwrap();
    let manifest = format!(
        "{head}[metrics]\ncollected = {{ function = \"sum\", kind = \"payment\", measure = \"amount\", window = {{ full_months = 1 }} }}\n\
         [policies.score]\nsubject = \"employee\"\noutcomes = [\"1\"]\ncadence = \"month\"\n\
         [staff]\npolicy = \"score\"\nby = \"branch\"\ncollected = \"collected\"\nshare = \"0.01\"\n[policies.grade]{policies}"
    );
    let ana = "business_date = \"2018-01-01\"\n[[employees]]\ncode = \"T1\"\nname = \"Ana\"\narea = \"mobile\"\nfrom = \"2016-05-01\"\n";
    let read = read_with(&manifest, ana).unwrap().unwrap();
    let (code, name, area) = ("T1".to_owned(), "Ana".to_owned(), "mobile".to_owned());
    assert_eq!(read.employees, [SampleEmployee { code, name, area, from: Date::constant(2016, 5, 1) }]);

    let told = |manifest: &str, text: &str| -> Vec<_> {
        read_with(manifest, text).unwrap_err().iter().map(|fault| (fault.line.unwrap(), fault.code)).collect()
    };
    assert_eq!(told(MANIFEST, ana), [(5, "unknown_choice")], "without staff there are no areas");
    let more = "[[employees]]\ncode = \"T1\"\nname = \"Bo\"\narea = \"mobil\"\nfrom = \"2016-05-01\"\n[[employees]]\ncode = \"T2\"\n";
    let expected = [(10, "unknown_choice"), (7, "doubled"), (12, "missing"), (12, "missing"), (12, "missing")];
    assert_eq!(told(&manifest, &format!("{ana}{more}")), expected);
}
