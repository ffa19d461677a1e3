//! Figures where more comes back than goes out.

use jiff::civil::date;

use super::*;
use crate::transactions::model::{Dated, Line, total};

/// Each product's quantity and amount in December, per kind, evaluated as of the first of January.
fn evaluate(metric: &str, transactions: &[(&str, &str, i64, i64)]) -> MetricValue {
    let kinds = toml::from_str(
        r#"order = { products = true, measures = ["quantity", "amount"] }
           return = { products = true, subtracts_from = "order" }"#,
    );
    let metric: Metric =
        toml::from_str(&format!("kind = \"order\"\nwindow = {{ full_months = 3 }}\n{metric}")).unwrap();
    let definitions = Definitions { kinds: kinds.unwrap(), ..Definitions::default() };
    let mut ledger = Ledger::default();
    for kind in ["order", "return"] {
        let of_kind = transactions.iter().filter(|(own, ..)| *own == kind);
        let dated = of_kind.map(|(_, product, quantity, amount)| Dated {
            on: date(2017, 12, 5),
            order: "A".to_owned(),
            lines: vec![Line {
                product: Some((*product).to_owned()),
                factor: None,
                measures: [(QUANTITY, *quantity), (AMOUNT, *amount)]
                    .map(|(measure, value)| (measure.to_owned(), Decimal::from(value)))
                    .into(),
            }],
        });
        if let Some((totals, products)) = total(&dated.collect::<Vec<_>>()) {
            ledger.enter_month(kind, Month::of(date(2017, 12, 1)), totals, products);
        }
    }
    let basis = Basis { ledger: &ledger, categories: &BTreeMap::new(), as_of: date(2018, 1, 1), opened_on: None };
    definitions.evaluate(&metric, basis, Date::MAX)
}

fn number(value: &MetricValue) -> Option<String> {
    match &value.value {
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

#[test]
fn the_largest_product_is_a_share_of_what_products_really_brought() {
    let concentration = "function = \"concentration\"\nmeasure = \"amount\"";
    let sold = [("order", "P", 1, 60), ("order", "Q", 1, 20), ("return", "R", 1, 50)];
    let value = evaluate(concentration, &sold);
    assert_eq!(number(&value).as_deref(), Some("0.75"), "60 of 80; the 50 of R came back from an earlier window");
    let figures = value.figures();
    assert_eq!((figures["largest"].as_str(), figures["sum"].as_str()), ("60", "80"));
    let returned = evaluate(concentration, &[("order", "P", 1, 10), ("return", "P", 1, 10)]);
    assert_eq!(number(&returned), None, "nothing is left of any product");
    assert_eq!(number(&evaluate(concentration, &[])), None);
}

#[test]
fn a_quotient_by_what_came_back_is_absent() {
    let price = "function = \"average_price\"";
    assert_eq!(number(&evaluate(price, &[("order", "P", 4, 10)])).as_deref(), Some("2.5"));
    assert_eq!(number(&evaluate(price, &[("order", "P", 4, 10), ("return", "P", 5, 20)])), None, "−10 for −1");
    let ratio = "function = \"ratio\"\nmeasure = \"quantity\"\nof = \"amount\"";
    assert_eq!(number(&evaluate(ratio, &[("order", "P", 4, 10), ("return", "P", 1, 20)])), None, "3 by −10");
    let back = evaluate(ratio, &[("order", "P", 4, 10), ("return", "P", 6, 5)]);
    assert_eq!(number(&back).as_deref(), Some("-0.4"), "−2 by 5");
}
