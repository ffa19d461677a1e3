//! Transactions over HTTP: counted once, corrected, refused with reasons, and totals that equal the lines at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baremo::policy::source::Source;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};

const PACK: &str = r#"
[pack]
id = "bakery"
title = { en = "Bakery" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "loaf"
languages = ["en"]
opening_field = "opened_on"
closes_after = 0

[fields.opened_on]
section = "basic"
type = "date"

[kinds.order]
products = true
measures = ["quantity", "amount"]

[kinds.return]
products = true
subtracts_from = "order"

[kinds.payment]
measures = ["amount"]

[metrics.volume]
function = "mean_per_month"
kind = "order"
measure = "quantity"
window = { full_months = 3 }

[metrics.bought]
function = "sum"
kind = "order"
measure = "quantity"
window = { full_months = 12 }

[metrics.this_month]
function = "sum"
kind = "order"
measure = "quantity"
window = { month_to_date = true }

[metrics.last_days]
function = "sum"
kind = "order"
measure = "quantity"
window = { days = 10 }

[metrics.orders]
function = "orders"
kind = "order"
window = { full_months = 12 }

[metrics.lines]
function = "lines"
kind = "order"
window = { full_months = 12 }

[metrics.growth]
function = "growth"
kind = "order"
measure = "quantity"
window = { full_months = 3 }

[metrics.recency]
function = "recency"
kind = "order"
window = { full_months = 12 }

[metrics.active]
function = "active_months"
kind = "order"
window = { full_months = 12 }

[metrics.price]
function = "average_price"
kind = "order"
window = { full_months = 12 }

[metrics.breadth]
function = "breadth"
kind = "order"
window = { full_months = 12 }

[metrics.concentration]
function = "concentration"
kind = "order"
measure = "amount"
window = { full_months = 12 }

[metrics.rye]
function = "sum"
kind = "order"
measure = "quantity"
category = "rye"
window = { full_months = 12 }

[policies.size]
subject = "customer"
outcomes = ["big", "small"]
cadence = "continuous"
"#;

const SCRIPT: &str = r#"//! Who buys much.
const SIZE = bands([[10, "big"]], "small");
fn decide(customer, context) { SIZE.of(customer.volume) }
"#;

const TEXTS: &str = r#"
[fields]
opened_on = "Opened on"
[kinds]
order = "Order"
return = "Return"
payment = "Payment"
[measures]
quantity = "Quantity"
amount = "Amount"
[metrics]
volume = "v"
bought = "b"
this_month = "t"
last_days = "d"
orders = "o"
lines = "l"
growth = "g"
recency = "r"
active = "a"
price = "p"
breadth = "br"
concentration = "c"
rye = "ry"
[policies]
size = "Size"
[outcomes.size]
big = "Big"
small = "Small"
"#;

/// The files of a bakery's pack.
pub const BAKERY: [(&str, &str); 3] = [("pack.toml", PACK), ("policies/size.rhai", SCRIPT), ("texts/en.toml", TEXTS)];

/// The pack of a bakery.
pub fn bakery_source() -> Source {
    files(&BAKERY)
}

/// A bakery with two products, as of the first day of 2018.
pub fn bakery() -> TestApp {
    let app = TestApp::new(&bakery_source(), "2018-01-01");
    app.product("white", "wheat");
    app.product("black", "rye");
    app
}

fn order(id: &str, customer: &str, on: &str, quantity: &str) -> Json {
    json!({"source": "shop", "external_id": id, "kind": "order", "customer_code": customer, "occurred_at": on,
        "lines": [{"product": "white", "measures": {"quantity": quantity, "amount": "10"}}]})
}

#[test]
fn one_order_moves_one_grade() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    let evaluate = || {
        let answer = app.post("/v1/evaluations", &json!({"customer_id": id})).with(200);
        answer.json["decisions"][0]["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(evaluate(), "small");
    // 30 loaves in the three months from October to December are 10 a month: exactly the band's edge.
    assert_eq!(app.record(&[order("A1", "X1", "2017-12-31", "30")]), ["created"]);
    assert_eq!(app.metric(&id, "volume", "2018-01-01"), "10");
    assert_eq!(evaluate(), "big");
}

#[test]
fn sent_twice_counted_once_and_sent_changed_corrected() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    let first = order("A1", "X1", "2017-11-05", "4");
    assert_eq!(app.record(&[first.clone(), first.clone()]), ["created", "unchanged"]);
    assert_eq!(app.record(&[first]), ["unchanged"]);
    assert_eq!(app.metric(&id, "bought", "2018-01-01"), "4");
    assert_eq!(app.record(&[order("A1", "X1", "2017-11-05", "7")]), ["corrected"]);
    assert_eq!(app.metric(&id, "bought", "2018-01-01"), "7");
    let mut cancelled = order("A1", "X1", "2017-11-05", "7");
    cancelled["cancelled"] = json!(true);
    assert_eq!(app.record(&[cancelled]), ["corrected"]);
    assert_eq!(app.metric(&id, "bought", "2018-01-01"), "0");
}

#[test]
fn a_lower_revision_changes_nothing() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    let revision = |revision: i64, quantity: &str| {
        let mut item = order("A1", "X1", "2017-11-05", quantity);
        item["revision"] = json!(revision);
        item
    };
    assert_eq!(app.record(&[revision(2, "5")]), ["created"]);
    assert_eq!(app.record(&[revision(1, "9")]), ["outdated"]);
    assert_eq!(app.metric(&id, "bought", "2018-01-01"), "5");
    assert_eq!(app.record(&[revision(3, "6")]), ["corrected"]);
    assert_eq!(app.metric(&id, "bought", "2018-01-01"), "6");
    // Sent without a revision it is corrected, and the known one holds.
    assert_eq!(app.record(&[order("A1", "X1", "2017-11-05", "7")]), ["corrected"]);
    assert_eq!(app.record(&[revision(2, "8")]), ["outdated"]);
    assert_eq!(app.metric(&id, "bought", "2018-01-01"), "7");
}

#[test]
fn a_correction_that_moves_an_item_touches_both_customers_and_both_months() {
    let app = bakery();
    let (x, y) = (app.customer("X1", json!({})), app.customer("X2", json!({})));
    app.record(&[order("A1", "X1", "2017-02-05", "4"), order("A2", "X1", "2017-02-06", "1")]);
    assert_eq!(app.record(&[order("A1", "X2", "2017-11-05", "4")]), ["corrected"]);
    assert_eq!(app.metric(&x, "bought", "2018-01-01"), "1");
    assert_eq!(app.metric(&y, "bought", "2018-01-01"), "4");
    assert_eq!(app.metric(&y, "volume", "2018-01-01"), "1.333333");
}

#[test]
fn of_what_is_sent_twice_in_one_batch_the_last_holds_whomever_it_names() {
    let app = bakery();
    let ids: Vec<String> = ["X1", "X2", "X3", "X4"].map(|code| app.customer(code, json!({}))).into();
    // Each pair in both orders: customers are recorded by the places of their ids, whatever those are.
    let pairs: Vec<(usize, usize)> = (0..4).flat_map(|one| (0..4).map(move |other| (one, other))).collect();
    let sent = |&(one, other): &(usize, usize)| {
        [one, other].map(|whose| order(&format!("{one}-{other}"), &format!("X{}", whose + 1), "2017-11-05", "1"))
    };
    let answers = app.record(&pairs.iter().flat_map(sent).collect::<Vec<_>>());
    for (pair, answers) in pairs.iter().zip(answers.chunks(2)) {
        assert_eq!(answers, ["created", if pair.0 == pair.1 { "unchanged" } else { "corrected" }], "{pair:?}");
    }
    for id in &ids {
        assert_eq!(app.metric(id, "bought", "2018-01-01"), "4");
    }
}

#[test]
fn returns_subtract_and_are_no_orders() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    let mut returned = order("R1", "X1", "2017-12-07", "5");
    returned["kind"] = json!("return");
    app.record(&[order("A1", "X1", "2017-12-05", "3"), returned]);
    assert_eq!(app.metric(&id, "bought", "2018-01-01"), "-2");
    assert_eq!(app.metric(&id, "orders", "2018-01-01"), "1");
}

#[test]
fn metrics_are_what_a_hand_computes() {
    let app = bakery();
    let id = app.customer("X1", json!({"basic": {"opened_on": "2017-07-20"}}));
    let two_lines = json!({"source": "shop", "external_id": "A1", "kind": "order", "customer_code": "X1",
        "occurred_at": "2017-08-31T23:30:00", "lines": [
            {"product": "white", "measures": {"quantity": "6", "amount": "12"}},
            {"product": "black", "measures": {"quantity": "2", "amount": "8"}}]});
    // 23:30 on the last of November in Madrid is 22:30 in UTC: the instant is November's in the pack's zone.
    let instant = order("A2", "X1", "2017-11-30T22:30:00Z", "10");
    app.record(&[two_lines, instant, order("A3", "X1", "2018-01-01", "1")]);
    let metric = |key: &str| app.metric(&id, key, "2018-01-01");
    assert_eq!(metric("bought"), "18");
    assert_eq!(metric("volume"), "3.333333", "10 in October to December, three months");
    assert_eq!(metric("this_month"), "1");
    assert_eq!(metric("orders"), "2");
    assert_eq!(metric("lines"), "3");
    assert_eq!(metric("growth"), "0.25", "10 in October to December, 8 in July to September");
    assert_eq!(metric("recency"), "32", "from 30 November to 1 January");
    assert_eq!(metric("active"), "0.333333", "2 of the 6 months since July");
    assert_eq!(metric("price"), "1.666667", "30 for 18");
    assert_eq!(metric("breadth"), "2");
    assert_eq!(metric("concentration"), "0.733333", "22 of 30");
    assert_eq!(metric("rye"), "2");
    let earlier = |key: &str, as_of: &str| app.metric(&id, key, as_of);
    assert_eq!(earlier("volume", "2017-09-15"), "4", "8 in the two months from July, in which he opened");
    assert_eq!(earlier("last_days", "2017-09-09"), "8", "31 August is the first of ten days");
    assert_eq!(earlier("last_days", "2017-09-10"), "0");
    assert_eq!(earlier("this_month", "2017-08-30"), "0", "the order came a day later");
    assert_eq!(earlier("price", "2017-08-01"), "", "the price of nothing is absent");
}

#[test]
fn a_product_s_factor_converts_to_the_pack_s_unit() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    let body = json!({"name": "Tray", "category": "wheat", "unit": "tray", "factor": "0.5"});
    app.send("PUT", "/v1/products/tray", &[], &body).with(200);
    let mut item = order("A1", "X1", "2017-12-05", "7");
    item["lines"][0]["product"] = json!("tray");
    app.record(&[item]);
    assert_eq!(app.metric(&id, "bought", "2018-01-01"), "3.5");
}

#[test]
fn faulty_items_are_refused_by_name_and_good_ones_go_in() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    let mut items = vec![
        order("good", "X1", "2017-12-05", "2"),
        order("unknown customer", "X9", "2017-12-05", "2"),
        order("after the business date", "X1", "2018-01-02", "2"),
        order("negative", "X1", "2017-12-05", "-2"),
        order("thirty digits", "X1", "2017-12-05", "123456789012345678901234567890"),
        order("no number", "X1", "2017-12-05", "1e3"),
        order("no date", "X1", "2017-02-30", "1"),
    ];
    let mut unknown = order("unknown names", "X1", "2017-12-05", "2");
    unknown["kind"] = json!("oder");
    items.push(unknown);
    let mut product = order("unknown product", "X1", "2017-12-05", "2");
    product["lines"][0]["product"] = json!("brown");
    items.push(product);
    let mut measure = order("unknown measure", "X1", "2017-12-05", "2");
    measure["lines"][0]["measures"]["quantiti"] = json!("1");
    items.push(measure);
    let mut many = order("201 lines", "X1", "2017-12-05", "2");
    many["lines"] = json!(vec![many["lines"][0].clone(); 201]);
    items.push(many);
    let answer = app.post("/v1/transactions/batches", &json!({"items": items})).with(207).json;
    let fault = |index: usize| {
        let item = &answer["items"][index];
        assert_eq!(item["status"], "refused", "{item}");
        let error = &item["errors"][0];
        (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap(), error["detail"].as_str().unwrap())
    };
    assert_eq!(answer["items"][0]["status"], "created");
    assert_eq!((fault(1).0, fault(1).1), ("/customer_code", "unknown_customer"));
    assert_eq!((fault(2).0, fault(2).1), ("/occurred_at", "after_business_date"));
    assert!(fault(2).2.contains("2018-01-01") && fault(2).2.contains("business_date"), "{}", fault(2).2);
    assert_eq!((fault(3).0, fault(3).1), ("/lines/0/measures/quantity", "out_of_range"));
    assert_eq!((fault(4).0, fault(4).1), ("/lines/0/measures/quantity", "too_many_digits"));
    assert_eq!((fault(5).0, fault(5).1), ("/lines/0/measures/quantity", "wrong_type"));
    assert_eq!((fault(6).0, fault(6).1), ("/occurred_at", "date"));
    assert_eq!((fault(7).0, fault(7).1), ("/kind", "unknown_kind"));
    assert!(fault(7).2.contains("did you mean 'order'"), "{}", fault(7).2);
    assert_eq!((fault(8).0, fault(8).1), ("/lines/0/product", "unknown_product"));
    assert_eq!((fault(9).0, fault(9).1), ("/lines/0/measures/quantiti", "unknown_measure"));
    assert_eq!((fault(10).0, fault(10).1), ("/lines", "out_of_range"));
    assert_eq!(app.metric(&id, "bought", "2018-01-01"), "2");
}

#[test]
fn a_batch_of_which_nothing_is_good_is_answered_item_by_item() {
    let app = bakery();
    assert_eq!(app.record(&[order("A1", "X9", "2017-12-05", "2"), order("", "X9", "x", "-")]), ["refused", "refused"]);
}

#[test]
fn what_is_no_transaction_at_all_is_refused_alone() {
    let app = bakery();
    app.customer("X1", json!({}));
    let mut number = order("A2", "X1", "2017-12-05", "2");
    number["lines"][0]["measures"]["quantity"] = json!(2);
    let mut unknown = order("A3", "X1", "2017-12-05", "2");
    unknown["costumer_code"] = json!("X1");
    let items = [order("A1", "X1", "2017-12-05", "2"), number, unknown, json!(["X1"])];
    let answer = app.post("/v1/transactions/batches", &json!({"items": items})).with(207).json;
    let fault = |index: usize| answer["items"][index]["errors"][0]["pointer"].as_str().unwrap_or("none").to_owned();
    assert_eq!([fault(0), fault(1), fault(2), fault(3)], ["none", "/lines/0/measures/quantity", "/costumer_code", ""]);
    let doubled = r#"{"items": [{"source": "s", "external_id": "A9", "kind": "order", "customer_code": "X1", "occurred_at": "2017-12-05",
        "lines": [{"product": "white", "measures": {"quantity": "1", "quantity": "7"}}]}]}"#;
    let authorization = format!("Bearer {}", app.token);
    let headers = [("Content-Type", "application/json"), ("Authorization", authorization.as_str())];
    let answer = app.send_raw("POST", "/v1/transactions/batches", &headers, doubled.to_owned()).with(422);
    assert_eq!(answer.faults(), [("/items/0/lines/0/measures/quantity", "doubled")]);
}

#[test]
fn quantities_that_a_factor_makes_too_large_are_refused() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    let body = json!({"name": "Huge", "category": "wheat", "unit": "u", "factor": "999999999999999"});
    app.send("PUT", "/v1/products/huge", &[], &body).with(200);
    let huge = |id: &str, quantity: &str| {
        let mut item = order(id, "X1", "2017-12-05", quantity);
        item["lines"][0]["product"] = json!("huge");
        item
    };
    let items = [huge("A1", "70000000000000"), huge("A2", "1"), order("A3", "X1", "2017-12-05", "1")];
    assert_eq!(app.record(&items), ["refused", "created", "created"]);
    assert_eq!(app.metric(&id, "bought", "2018-01-01"), "1000000000000000");
    assert_eq!(app.run()["status"], "finished");
}

#[test]
fn a_batch_is_bounded_and_its_shape_checked() {
    let app = bakery();
    let too_many = json!({"items": vec![order("A", "X1", "2017-12-05", "2"); 10_001]});
    assert_eq!(app.post("/v1/transactions/batches", &too_many).with(422).faults(), [("/items", "out_of_range")]);
    let unknown_key = json!({"items": [], "extra": 1});
    assert_eq!(app.post("/v1/transactions/batches", &unknown_key).with(422).faults()[0].1, "unknown_field");
    app.send_raw("POST", "/v1/transactions/batches", &[], "{}".to_owned()).with(401);
}

#[test]
fn one_batch_sent_by_two_clients_at_once_counts_once() {
    let app = Arc::new(bakery());
    let ids: Vec<String> = (0..20).map(|n| app.customer(&format!("X{n}"), json!({}))).collect();
    let items: Vec<Json> =
        (0..400).map(|n| order(&format!("A{n}"), &format!("X{}", n % 20), "2017-12-05", "1")).collect();
    let senders: Vec<_> = (0..2)
        .map(|_| {
            let (app, items) = (app.clone(), items.clone());
            std::thread::spawn(move || app.record(&items))
        })
        .collect();
    let answers: Vec<Vec<String>> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    for (one, other) in answers[0].iter().zip(&answers[1]) {
        let mut both = [one.as_str(), other.as_str()];
        both.sort_unstable();
        assert_eq!(both, ["created", "unchanged"]);
    }
    for id in ids {
        assert_eq!(app.metric(&id, "bought", "2018-01-01"), "20");
    }
}

/// What happens to one of ten items: sent with an order, a quantity, a day, a customer, or cancelled.
#[derive(Clone, Debug)]
struct Step {
    item: u8,
    order: u8,
    customer: u8,
    day: u16,
    quantity: u32,
    cancelled: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..10_u8, 0..3_u8, 0..2_u8, 0..90_u16, 0..1000_u32, prop::bool::weighted(0.2)).prop_map(
        |(item, order, customer, day, quantity, cancelled)| Step { item, order, customer, day, quantity, cancelled },
    );
    prop::collection::vec(step, 1..30)
}

#[test]
fn totals_equal_the_lines_whatever_is_sent_corrected_moved_and_cancelled() {
    let app = bakery();
    let rounds = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let result = runner.run(&steps(), |steps| {
        let round = rounds.get() + 1;
        rounds.set(round);
        let code = |customer: u8| format!("R{round}-{customer}");
        let ids = [app.customer(&code(0), json!({})), app.customer(&code(1), json!({}))];
        let mut last: BTreeMap<u8, &Step> = BTreeMap::new();
        let day = |step: &Step| {
            let first: jiff::civil::Date = "2017-01-01".parse().unwrap();
            first.checked_add(jiff::Span::new().days(step.day)).unwrap()
        };
        for step in &steps {
            let quantity = Decimal::new(step.quantity.into(), 2).to_string();
            let id = format!("R{round}-{}", step.item);
            let mut item = order(&id, &code(step.customer), &day(step).to_string(), &quantity);
            item["cancelled"] = json!(step.cancelled);
            item["order"] = json!(format!("O{}", step.order));
            app.record(&[item]);
            last.insert(step.item, step);
        }
        for (customer, id) in ids.iter().enumerate() {
            let counted: Vec<&&Step> =
                last.values().filter(|step| usize::from(step.customer) == customer && !step.cancelled).collect();
            let sum: Decimal = counted.iter().map(|step| Decimal::new(step.quantity.into(), 2)).sum();
            let orders: BTreeSet<(u8, i8)> = counted.iter().map(|step| (step.order, day(step).month())).collect();
            prop_assert_eq!(app.metric(id, "lines", "2018-01-01"), counted.len().to_string());
            prop_assert_eq!(app.metric(id, "orders", "2018-01-01"), orders.len().to_string());
            let bought = app.metric(id, "bought", "2018-01-01");
            prop_assert_eq!(&bought, &sum.normalize().to_string());
        }
        Ok(())
    });
    result.unwrap();
}

#[test]
fn transactions_are_listed_latest_first_page_by_page() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    let items: Vec<Json> = (1..=5).map(|n| order(&format!("A{n}"), "X1", &format!("2017-12-0{n}"), "1.50")).collect();
    app.record(&items);
    let mut seen = Vec::new();
    let mut path = format!("/v1/customers/{id}/transactions?limit=2");
    loop {
        let page = app.get(&path).with(200).json;
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["external_id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/customers/{id}/transactions?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["A5", "A4", "A3", "A2", "A1"]);
    let first = app.get(&format!("/v1/customers/{id}/transactions?limit=1")).json;
    assert_eq!(first["items"][0]["lines"][0]["measures"]["quantity"], "1.5");
    assert_eq!(
        app.get(&format!("/v1/customers/{id}/transactions?limt=1")).with(422).faults()[0].1,
        "unknown_parameter"
    );
}
