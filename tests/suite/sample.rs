//! Samples that are made: the files of `baremo sample`, and a first start that loads them.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::process::{Place, number, until};
use crate::transactions::BAKERY;

/// A bakery's customers: orders each month, of which most are paid and some are given back.
const SAMPLE: &str = r#"
business_date = "2018-01-01"
[generate]
customers = 60
seed = 5
months = 18
code = "B{number:4}"
name = "{kind} {letters:3}"
closed = { chance = "0.1", months_before = { uniform = [1, 6] } }
[generate.lists]
kind = ["Café, bar", "Hotel"]
[generate.hidden.size]
lognormal = [1, 2]
[generate.fields.opened_on]
months_before = { uniform = [0, 48] }
[[generate.products]]
code = "white"
name = "White bread"
category = "wheat"
unit = "loaf"
price = "1.2"
[[generate.products]]
code = "box"
name = "Box of \"rye\""
category = "rye"
unit = "box"
factor = 12
price = 20
[generate.transactions.order]
per_month = { of = "size", times = [2, "season"] }
seasons = [1, 1, 1, 1, 1, 1, 1, "0.5", 1, 1, 1, 2]
lines = { whole = [1, 2] }
[generate.transactions.order.measures]
quantity = { lognormal = [5, "1.5"], times = ["size"], places = 0, min = 1 }
amount = { of = "quantity", times = ["price"] }
[generate.transactions.payment]
follows = "order"
chance = "0.9"
days_after = { whole = [1, 30] }
[generate.transactions.payment.measures]
amount = "order.amount"
[generate.transactions.return]
follows = "order"
chance = "0.1"
days_after = 2
[generate.transactions.return.measures]
quantity = 1
amount = "price"
"#;

/// The bakery with its sample.
fn pack(place: &Place, sample: &str) -> std::path::PathBuf {
    let files: Vec<_> = BAKERY.into_iter().chain([("sample.toml", sample)]).collect();
    place.pack("bakery", &files)
}

fn make(place: &Place, pack: &Path, more: &[&str]) -> Output {
    place.run(&[&["sample", "--pack", pack.to_str().unwrap()], more].concat(), &[])
}

#[track_caller]
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Files of a folder with their rows, without the header.
fn rows(folder: &Path) -> Vec<(String, usize)> {
    let mut rows: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .map(|(name, text)| (name, text.lines().count() - 1))
        .collect();
    rows.sort();
    rows
}

#[test]
fn the_same_number_and_seed_make_the_same_files_and_grades_need_no_database() {
    let place = Place::new();
    let pack = pack(&place, SAMPLE);
    let told = good(&make(&place, &pack, &["--customers", "40", "--seed", "9", "--output", "a"]));
    good(&make(&place, &pack, &["--customers", "40", "--seed", "9", "--output", "b"]));
    good(&make(&place, &pack, &["--customers", "40", "--seed", "10", "--output", "c"]));
    let [a, b, c] = ["a", "b", "c"].map(|folder| place.path(folder));
    let files = rows(&a);
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    let kinds = ["transactions_order.csv", "transactions_payment.csv", "transactions_return.csv"];
    assert_eq!(names, [&["customers.csv", "products.csv"], &kinds[..]].concat());
    assert_eq!((files[0].1, files[1].1), (40, 2));
    for (name, rows) in &files {
        assert!(told.contains(&format!("{name}: {rows} rows\n")), "{name} has {rows}:\n{told}");
        assert_eq!(fs::read(a.join(name)).unwrap(), fs::read(b.join(name)).unwrap(), "{name}");
    }
    for name in ["customers.csv", "transactions_order.csv"] {
        assert_ne!(fs::read(a.join(name)).unwrap(), fs::read(c.join(name)).unwrap(), "{name}");
    }
    let (customers, orders) = (a.join("customers.csv"), a.join(kinds[0]));
    let (customers, orders) = (customers.to_str().unwrap(), orders.to_str().unwrap());
    let pack = pack.to_str().unwrap();
    let graded = [
        &["rules", "run", pack, "--customers", customers, "--transactions", orders],
        &["--as-of", "2018-01-01", "--output", "grades.csv"][..],
    ];
    good(&place.run(&graded.concat(), &[]));
    let grades = fs::read_to_string(place.path("grades.csv")).unwrap();
    assert!(grades.contains(",big") && grades.contains(",small"), "{grades}");
}

#[test]
fn a_first_start_loads_what_the_sample_makes_and_goes_on_when_it_was_killed() {
    let place = Place::new();
    let pack = pack(&place, SAMPLE);
    good(&make(&place, &pack, &["--output", "made"]));
    let files = rows(&place.path("made"));
    let of = |part: &str| files.iter().filter(|(name, _)| name.starts_with(part)).map(|(_, rows)| *rows).sum::<usize>();
    let wanted = ["customers", "products", "transactions"].map(|table| Some(i64::try_from(of(table)).unwrap()));
    assert_eq!(wanted[..2], [Some(60), Some(2)]);
    let url = place.private_url("bakery");
    let count = |table: &str| number(&url, &format!("SELECT COUNT(*) FROM {table}"));

    let first = place.serve(&pack, &[]);
    until("some transactions are in", || count("transactions").filter(|rows| *rows > 0));
    first.kill();
    let second = place.serve(&pack, &[]).ready();
    assert_eq!(["customers", "products", "transactions"].map(count), wanted);
    let boxes = number(&url, "SELECT factor FROM products WHERE code = 'box'");
    assert_eq!(boxes, Some(12), "the transactions have described the product otherwise");
    let active = number(&url, "SELECT COUNT(*) FROM customers WHERE status = 'active'").unwrap();
    assert!((40..60).contains(&active), "some have closed: {active}");
    let table = second.out();
    assert!(table.contains(&format!("{active} customers assessed as of 2018-01-01")), "{table}");
    assert_eq!(second.stop().0, Some(0));
}

#[test]
fn faults_are_told_with_their_place_and_a_pack_without_distributions_is_refused() {
    let place = Place::new();
    let faulty = pack(&place, &SAMPLE.replace("\"price\"", "\"prise\"").replace("seed = 5", "seed = -5"));
    for output in
        [make(&place, &faulty, &["--output", "made"]), place.run(&["rules", "check", faulty.to_str().unwrap()], &[])]
    {
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(told.contains("sample.toml:5:8") && told.contains("did you mean 'price'?"), "{told}");
    }
    assert!(!place.path("made").exists());
    let without = pack(&place, "business_date = \"2018-01-01\"\n");
    let told = String::from_utf8(make(&place, &without, &["--output", "made"]).stderr).unwrap();
    assert!(told.contains("it has no [generate]"), "{told}");
}
