//! Samples are read and made as the contract says.

mod faults;
mod files;
mod making;

use super::model::Generate;
use super::{Sample, read as read_sample};
use crate::policy::diagnostic::Diagnostic;
use crate::policy::manifest;
use crate::policy::source::Source;

/// A made-up pack of no industry in particular.
const MANIFEST: &str = r#"
[pack]
id = "lending"
title = { en = "Library" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "book"
languages = ["en"]
opening_field = "opened_on"
[fields]
market = { section = "network", type = "choice", choices = ["town", "village"], required = true }
branch = { section = "network", type = "choice", choices = ["main", "mobile"], filterable = true }
floor_area = { section = "network", type = "integer", min = 10, max = 200 }
opened_on = { section = "basic", type = "date", required = true }
member = { section = "basic", type = "boolean" }
phone = { section = "basic", type = "phone" }
likes = { section = "personal", type = "choices", choices = ["novels", "poems"] }
[kinds.loan]
products = true
measures = ["quantity", "amount"]
[kinds.payment]
measures = ["amount", "on_time_amount"]
[kinds.reading]
measures = ["total", "peak", "flat", "valley"]
[policies.grade]
subject = "customer"
outcomes = ["1"]
cadence = "month"
"#;

/// Its sample.
const GENERATE: &str = r#"
business_date = "2025-01-01"
[generate]
customers = 30
code = "C{number:6}"
name = ["{family} {number}", "{family} of {market}"]
growth = { normal = ["0.05", "0.1"], min = "-0.4" }
closed = { chance = "0.2", months_before = { uniform = [6, 12] } }
silent = { chance = "0.05", months_before = 3 }
[generate.lists]
family = ["Gómez", "Li"]
[generate.fields.market]
weights = { town = 7, village = 3 }
[generate.hidden.size]
lognormal = [1, 2]
times = [{ by = "market", is = { town = 2 }, else = 1 }]
[generate.hidden.temper]
by = "market"
is = { town = { weights = { calm = 1, wild = 1 } } }
else = { value = "calm" }
[generate.fields.branch]
by = "market"
is = { village = { value = "mobile" } }
else = { weights = { main = 3, mobile = { by = "temper", is = { wild = 2 }, else = 1 } } }
[generate.fields.floor_area]
of = "size"
times = [40]
absent = "0.1"
[generate.fields.opened_on]
months_before = { mix = [[1, { uniform = [0, 12] }], [4, { uniform = [24, 120] }]] }
[generate.fields.member]
chance = { by = "temper", is = { calm = "0.9" }, else = "0.2" }
[generate.fields.phone]
text = "+34 6{digits:8}"
[generate.fields.likes]
chances = { novels = "0.8", poems = "0.3" }
[[generate.products]]
code = "P1"
name = "Novel"
category = "NOVELS"
price = "1.25"
weight = 3
[[generate.products]]
code = "P2"
name = "Poems"
category = "POEMS"
price = "2.5"
[generate.transactions.loan]
per_month = { of = "size", power = "0.5", times = [2, "season"] }
seasons = [1, "0.5", 1, 1, 1, 1, 1, 1, 1, 1, 1, 2]
lines = { whole = [1, 2] }
measures.quantity = { lognormal = [10, "1.5"], times = ["trend"], places = 0 }
measures.amount = { of = "quantity", times = ["price"] }
[generate.transactions.payment]
follows = "loan"
chance = "0.8"
days_after = { whole = [20, 40] }
measures.amount = "loan.amount"
measures.on_time_amount = { of = "amount", times = [{ by = "delay", from = [[31, 0]], else = 1 }] }
[generate.transactions.reading]
per_month = 1
regular = true
day = [25, 28]
measures.total = { lognormal = [900, "1.3"], times = ["size"], places = 1, parts = { peak = { uniform = [3, 5] }, flat = 4, valley = { uniform = [0, 4] } } }
"#;

/// Reads a sample of the pack.
fn read(text: &str) -> Result<Option<Sample>, Vec<Diagnostic>> {
    read_with(MANIFEST, text)
}

/// Reads a sample of the pack with this manifest.
fn read_with(manifest: &str, text: &str) -> Result<Option<Sample>, Vec<Diagnostic>> {
    let files = [("pack.toml", manifest), ("sample.toml", text)];
    let source = Source::from_files(files.map(|(path, text)| (path.to_owned(), text.to_owned())).into()).unwrap();
    read_sample(&source, &manifest::parse(&source).unwrap())
}

/// Faults as a test shows them.
fn listed(faults: Vec<Diagnostic>) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What its sample says.
fn generate() -> Generate {
    read(GENERATE).map_err(listed).unwrap().unwrap().generate.unwrap()
}

#[test]
fn the_example_of_the_contract_is_a_sample() {
    let contract = include_str!("../../../../rules/README.md");
    let (_, after) = contract.split_once("This is a whole one:\n\n```toml\n").unwrap();
    let (whole, after) = after.split_once("```").unwrap();
    let (_, after) = after.split_once("```toml\n").unwrap();
    let (reading, _) = after.split_once("```").unwrap();
    let manifest = r#"
[pack]
id = "shops"
title = { en = "Shops" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "piece"
languages = ["en"]
opening_field = "opened_on"
[fields]
market = { section = "network", type = "choice", choices = ["urban", "rural"] }
retail_format = { section = "network", type = "choice", choices = ["grocery", "convenience"] }
floor_area = { section = "network", type = "integer", min = 1 }
opened_on = { section = "basic", type = "date" }
phone = { section = "basic", type = "phone" }
[kinds]
order = { products = true, measures = ["quantity", "amount", "discount"] }
payment = { measures = ["amount", "on_time_amount"] }
return = { products = true, subtracts_from = "order" }
reading = { measures = ["quantity", "peak", "flat", "valley", "maximum_demand"] }
[policies.grade]
subject = "customer"
outcomes = ["1"]
cadence = "month"
"#;
    let generate =
        read_with(manifest, &format!("{whole}{reading}")).map_err(listed).unwrap().unwrap().generate.unwrap();
    let making = super::making::Making::new(&generate, 1);
    let mut counts = vec![0; generate.kinds.len()];
    for customer in (1..=generate.customers).map(|number| making.customer(number)) {
        for (count, made) in counts.iter_mut().zip(making.transactions(&customer)) {
            *count += made.len();
        }
    }
    let [orders, payments, returns, readings] = counts[..] else { panic!("{counts:?}") };
    assert!(orders > payments && payments > returns && returns > 0 && readings > 0, "{counts:?}");
}
