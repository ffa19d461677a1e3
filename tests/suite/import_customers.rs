//! Importing customers from CSV files as users have them.

use std::collections::BTreeMap;
use std::fs;

use baremo::csv_rows::{Counts, Input, Progress, Report};
use baremo::customers::file::{Customer, Status};
use baremo::customers::import::{Error, import};
use baremo::customers::model::Fields;
use baremo::customers::store;
use serde_json::json;

use crate::base::{Base, fields, rules};

struct Desk {
    base: Base,
    fields: std::sync::Arc<Fields>,
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let declared = "format = { section = 'network', type = 'choice', choices = ['grocery', 'kiosk'], filterable = true }\n\
             area = { section = 'network', type = 'decimal', min = '0', filterable = true }\n\
             opened_on = { section = 'business', type = 'date', required = true }";
        Self { base: Base::new(), fields: fields(declared), folder: tempfile::tempdir().unwrap() }
    }

    fn import(&self, content: impl AsRef<[u8]>) -> Result<Report, Error> {
        self.import_with(content, Input::default())
    }

    fn import_with(&self, content: impl AsRef<[u8]>, how: Input) -> Result<Report, Error> {
        let file = self.folder.path().join("customers.csv");
        fs::write(&file, content).unwrap();
        import(&self.base.db, &rules(&self.fields), &Input { file, ..how }, &mut Progress::hidden())
    }

    fn customers(&self) -> Vec<Customer> {
        let page = |shard| {
            self.base.db.run_here(|conn| store::page_of_shard(conn, shard, baremo::Id::NIL, 10_000, false)).unwrap()
        };
        let mut all: Vec<Customer> = (0..64).flat_map(page).collect();
        all.sort_by(|a, b| a.code.cmp(&b.code));
        all
    }
}

fn counts(read: u64, created: u64, changed: u64, unchanged: u64, faulty: u64) -> Counts {
    Counts { read, created, changed, unchanged, faulty, warnings: 0 }
}

#[test]
fn good_rows_go_in_and_each_faulty_one_is_reported() {
    let desk = Desk::new();
    let mut content = "\u{feff}code;name;format;network.area;opened_on\r\n".to_owned();
    for number in 0..1500 {
        let area = if number % 10 == 3 { "-1" } else { "12.50" };
        content.push_str(&format!("C{number:04};Customer {number};kiosk;{area};2015-01-31\r\n"));
    }
    let report_file = desk.folder.path().join("report.csv");
    let how = Input { report: Some(report_file.clone()), ..Input::default() };
    let report = desk.import_with(&content, how).unwrap();
    assert_eq!(report.counts, counts(1500, 1350, 0, 0, 150));
    let written = fs::read_to_string(report_file).unwrap();
    assert_eq!(written.lines().count(), 151);
    assert_eq!(written.lines().nth(1), Some("5,fault,network.area,out_of_range,'-1 is below the minimum 0"));
    let customers = desk.customers();
    assert_eq!(customers.len(), 1350);
    let profile = json!({"network": {"format": "kiosk", "area": "12.5"}, "business": {"opened_on": "2015-01-31"}});
    assert_eq!(json!(customers[0].profile), profile);

    let again = desk.import(&content).unwrap();
    assert_eq!(again.counts, counts(1500, 0, 0, 1350, 150));
    assert_eq!(desk.customers(), customers);
}

#[test]
fn a_row_replaces_the_fields_that_the_file_has_columns_for() {
    let desk = Desk::new();
    desk.import("code,name,format,area,opened_on\nA,Ana,kiosk,10,2015-01-01\nB,Eva,kiosk,20,2015-01-01\n").unwrap();
    let report = desk.import("code,area\nA,\nB,21\nB,22\nD,1\n").unwrap();
    assert_eq!(report.counts, counts(4, 0, 2, 0, 2));
    let said = report.to_string();
    for part in [
        "line 4, code: the code 'B' stands on line 3 already [doubled]",
        "line 5: 'name' is required [required]",
        "line 5: business.opened_on: 'opened_on' is required [required]",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let customers = desk.customers();
    assert_eq!(json!(customers[0].profile["network"]), json!({"format": "kiosk"}));
    assert_eq!(json!(customers[1].profile["network"]), json!({"format": "kiosk", "area": "21"}));
    assert_eq!(customers.iter().map(|customer| customer.version).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(customers[0].name, "Ana");
    let cleared = desk.import("code,opened_on\nA,\n").unwrap();
    assert_eq!(cleared.counts, counts(1, 0, 0, 0, 1));
    assert!(cleared.to_string().contains("line 2, opened_on: 'opened_on' is required"), "{cleared}");
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let desk = Desk::new();
    let known = "code,name,opened_on\nA,Ana,2015-01-01\n";
    desk.import(known).unwrap();
    let before = desk.customers();
    let content = "code,name,opened_on\nA,Ana María,2015-01-01\nB,Eva,2015-01-01\nC,Zoë,never\n";
    let report = desk.import_with(content, Input { dry_run: true, ..Input::default() }).unwrap();
    assert_eq!(report.counts, counts(3, 1, 1, 0, 1));
    assert_eq!(desk.customers(), before);
}

#[test]
fn a_file_in_another_encoding_is_refused_before_anything_is_written() {
    let desk = Desk::new();
    let mut content = b"code,name,opened_on\nA,Ana,2015-01-01\nB,".to_vec();
    content.extend([0xd6, 0xd0, b'\n']);
    let error = desk.import(content).unwrap_err().to_string();
    assert!(error.contains("line 3, character 3 of the line (byte 0xD6) is not UTF-8; say by --encoding"), "{error}");
    assert_eq!(desk.customers(), []);
}

#[test]
fn missing_and_unused_columns_are_named() {
    let desk = Desk::new();
    let error = desk.import("kode,name\nA,Ana\n").unwrap_err().to_string();
    assert!(error.contains("the column 'code' is missing; did you mean 'kode'?"), "{error}");
    let mapping =
        BTreeMap::from([("code".to_owned(), "kode".to_owned()), ("business.opened_on".to_owned(), "since".to_owned())]);
    let report =
        desk.import_with("kode,name,since,aera\nA,Ana,2015-01-01,3\n", Input { mapping, ..Input::default() }).unwrap();
    assert_eq!(report.counts, Counts { warnings: 1, ..counts(1, 1, 0, 0, 0) });
    assert!(report.to_string().contains("'aera' is not read; did you mean 'area'?"), "{report}");
}

#[test]
fn a_column_of_statuses_deactivates_and_reactivates() {
    let desk = Desk::new();
    let statuses = |desk: &Desk| -> Vec<bool> {
        desk.customers().iter().map(|customer| customer.status == Status::Active).collect()
    };
    desk.import("code,name,opened_on,status\nA,Ana,2015-01-31,inactive\nB,Bea,2015-01-31,\n").unwrap();
    assert_eq!(statuses(&desk), [false, true]);
    desk.import("code,opened_on,status\nA,2015-01-31,active\nB,2015-01-31,inactive\n").unwrap();
    assert_eq!(statuses(&desk), [true, false]);
    let kept = desk.import("code,opened_on\nA,2015-01-31\nB,2015-01-31\n").unwrap();
    assert_eq!((kept.counts.unchanged, statuses(&desk)), (2, vec![true, false]));
    assert_eq!(desk.import("code,opened_on,status\nA,2015-01-31,gone\n").unwrap().counts.faulty, 1);
}

#[test]
fn what_a_later_pack_no_longer_takes_is_kept_by_an_import_and_stands_in_no_ones_way() {
    let mut desk = Desk::new();
    desk.import("code,name,format,area,opened_on\nC1,One,kiosk,12.5,2015-01-31\n").unwrap();
    desk.fields = fields(
        "format = { section = 'network', type = 'choice', choices = ['grocery'], required = true }\n\
         size = { section = 'business', type = 'decimal', renamed_from = 'area' }",
    );
    // The file says what is there already.
    assert_eq!(desk.import("code,name,size\nC1,One,12.5\n").unwrap().counts, counts(1, 0, 0, 1, 0));
    assert_eq!(desk.import("code,name,size\nC1,One,13\n").unwrap().counts, counts(1, 0, 1, 0, 0));
    let profile = json!({"network": {"format": "kiosk"}, "business": {"size": "13", "opened_on": "2015-01-31"}});
    assert_eq!(json!(desk.customers()[0].profile), profile);
    assert_eq!(desk.import("code,name,format\nC1,One,grocery\n").unwrap().counts, counts(1, 0, 1, 0, 0));
    assert_eq!(desk.customers()[0].profile["network"], json!({"format": "grocery"}));
}
