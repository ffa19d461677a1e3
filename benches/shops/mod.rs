//! What is measured on: a service of the pack `tobacco` with made-up shops, and order lines of theirs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use baremo::app::{customer_rules, recording_rules};
use baremo::csv_rows::{Input, Progress};
use baremo::{customers, transactions};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::app::{TestApp, pack};

/// The business date: the last full month is December.
const BUSINESS_DATE: &str = "2018-01-01";
/// Products that shops order, by code.
const PRODUCTS: usize = 200;

/// A service with so many shops, who have no orders yet.
pub fn service(shops: usize) -> TestApp {
    let app = TestApp::new(&pack("tobacco"), BUSINESS_DATE);
    let mut csv = String::from(
        "code,name,opened_on,settlement_method,order_cycle,retail_format,market,nature,administrative_area,floor_area,account_manager,business_status\n",
    );
    let formats = ["grocery", "convenience", "supermarket", "tobacco_liquor", "entertainment", "other"];
    for shop in 0..shops {
        let (format, market) = (formats[shop % formats.len()], ["urban", "rural"][shop / 7 % 2]);
        let (area, manager) = (20 + shop * 37 % 300, shop % 40);
        writeln!(
            csv,
            "{},Shop {shop} 福来食杂店,2010-0{}-15,electronic,7,{format},{market},sole_trader,Area {},{area},AM{manager:02},operating",
            code(shop),
            1 + shop % 9,
            shop % 20
        )
        .unwrap();
    }
    let (_folder, file) = file(&csv);
    let rules = customer_rules(&app.state.in_force.get().unwrap());
    let what = Input { file, ..Default::default() };
    let report = customers::import::import(&app.state.db, &rules, &what, &mut Progress::hidden()).unwrap();
    assert_eq!((report.counts.created, report.counts.faulty), (u64::try_from(shops).unwrap(), 0));
    let rows: Vec<String> =
        (0..PRODUCTS).map(|n| format!("('P{n:03}','Brand {n}','C{}','case',1,UTC_TIMESTAMP(6))", n % 12)).collect();
    let columns = "code, name, category, unit, factor, updated_at";
    app.base.execute(&format!("INSERT INTO products ({columns}) VALUES {}", rows.join(",")));
    app
}

/// A file with a content, that goes with its folder.
fn file(content: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    fs::write(&path, content).unwrap();
    (folder, path)
}

/// Order lines as a CSV file.
pub fn line_file(lines: &[Line]) -> (TempDir, PathBuf) {
    let rows: Vec<String> = lines.iter().map(Line::row).collect();
    file(&format!("{HEADER}{}", rows.concat()))
}

/// Imports a file of order lines as `baremo import` does; gives the number of new ones and the seconds.
pub fn take_in(app: &TestApp, file: &Path) -> (u64, f64) {
    let rules = recording_rules(&app.state.in_force.get().unwrap());
    let kind = Some("order".to_owned());
    let what = transactions::import::Import {
        input: Input { file: file.to_owned(), ..Default::default() },
        kind,
        source: None,
    };
    let begun = Instant::now();
    let report = transactions::import::import(&app.state.db, &rules, &what, &mut Progress::hidden()).unwrap();
    assert_eq!(report.counts.faulty, 0);
    (report.counts.created, begun.elapsed().as_secs_f64())
}

/// Closes, so that policies have a population to compare with and outcomes stand.
pub fn close(app: &TestApp) {
    let id = app.post("/v1/closings", &Json::Null).with(202).json["id"].as_str().unwrap().to_owned();
    assert_eq!(app.run_ended(&id)["status"], "finished");
}

/// A shop's code.
pub fn code(shop: usize) -> String {
    format!("S{shop:06}")
}

/// One line of an order.
pub struct Line {
    /// Its order: sorts as the lines do.
    pub order: String,
    /// The shop's code.
    pub shop: String,
    /// The day, `2017-12-28`.
    pub on: String,
    /// The product's code.
    pub product: String,
    /// Cases.
    pub quantity: String,
    /// Money.
    pub amount: String,
}

/// Orders of 4 lines by date: each shop orders once a month, in the months from January to `last`.
pub fn lines(shops: usize, last: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (month, day) in (1..=last).flat_map(|month| (1..=28).map(move |day| (month, day))) {
        for shop in (0..shops).filter(|shop| shop % 28 + 1 == day) {
            let order = format!("O{month:02}{day:02}{shop:06}");
            for line in 0..4 {
                let number = shop * 31 + month * 7 + line * 53;
                lines.push(Line {
                    order: order.clone(),
                    shop: code(shop),
                    on: format!("2017-{month:02}-{day:02}"),
                    product: format!("P{:03}", number % PRODUCTS),
                    quantity: format!("{}.{}", shop % 9 / 2, 1 + number % 9),
                    amount: format!("{}.{:02}", 100 + number % 900, number % 100),
                });
            }
        }
    }
    lines
}

impl Line {
    /// As a row of a CSV file.
    pub fn row(&self) -> String {
        let Self { order, shop, on, product, quantity, amount } = self;
        format!("{order},{shop},{on},{product},{quantity},{amount},0.00\n")
    }

    /// As an item of a batch, equal to the row.
    pub fn item(&self) -> Json {
        let measures = BTreeMap::from([("quantity", &*self.quantity), ("amount", &*self.amount), ("discount", "0.00")]);
        json!({"source": "csv", "external_id": format!("{}/{}", self.order, self.product), "order": self.order, "kind": "order",
            "customer_code": self.shop, "occurred_at": self.on, "lines": [{"product": self.product, "measures": measures}]})
    }
}

/// The header of the rows.
const HEADER: &str = "order,customer,on,product,quantity,amount,discount\n";
