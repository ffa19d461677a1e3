//! The year of real orders, replayed as it came: day after day, closing after closing, each order twice and in any order. It ends
//! where a base ends that got everything at once, and every closing made stand what was known at that time.

use std::collections::BTreeMap;

use baremo::csv_rows::{Input, Progress};
use baremo::transactions::import::import_products;
use diesel::prelude::*;
use diesel::sql_types::{SmallInt, Text};
use jiff::ToSpan;
use jiff::civil::{Date, date};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value as Json, json};

use crate::app::{TestApp, pack};
use crate::clock::InForce;
use crate::decisions::{SAMPLE, ids_of, load_customers, orders};
use crate::tobacco::grades;

const FIRST: Date = date(2017, 1, 1);
const LAST: Date = date(2018, 1, 1);

/// The sample's orders by day, as a till would send them.
fn orders_by_day() -> BTreeMap<Date, Vec<Json>> {
    let mut days: BTreeMap<Date, Vec<Json>> = BTreeMap::new();
    for row in orders() {
        let (day, time) = row["ordered_at"].split_once(' ').unwrap();
        let measures = ["quantity", "amount", "discount"].map(|measure| (measure.to_owned(), json!(row[measure])));
        let (order, product) = (&row["order_id"], &row["product_code"]);
        days.entry(day.parse().unwrap()).or_default().push(json!({
            "source": "till", "external_id": format!("{order}-{product}"), "order": order, "kind": "order",
            "customer_code": row["customer_code"], "occurred_at": format!("{day}T{time}"),
            "lines": [{"product": product, "measures": BTreeMap::from(measures)}],
        }));
    }
    days
}

#[derive(QueryableByName)]
struct Outcome {
    #[diesel(sql_type = Text)]
    code: String,
    #[diesel(sql_type = Text)]
    policy: String,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Text)]
    closed_on: String,
    #[diesel(sql_type = Text)]
    provisional: String,
}

/// What is in force, by customer and policy.
/// Policies of the tobacco pack.
const POLICIES: usize = 14;

type Grades = BTreeMap<(String, String), InForce>;

/// What is in force for every customer, in one look.
fn in_force(app: &TestApp) -> Grades {
    let rows: Vec<Outcome> = rows(
        app,
        "SELECT code, policy, outcome, COALESCE(closed_on, '') closed_on, COALESCE(provisional, outcome) provisional \
         FROM outcomes JOIN customers ON customers.id = outcomes.customer_id",
    );
    let entry = |row: Outcome| {
        let Outcome { code, policy, outcome, closed_on, provisional } = row;
        ((code, policy), InForce { outcome, closed_on, provisional })
    };
    rows.into_iter().map(entry).collect()
}

fn rows<T: diesel::QueryableByName<diesel::mysql::Mysql> + 'static>(app: &TestApp, query: &str) -> Vec<T> {
    app.base.db.run_here(|conn| Ok::<_, baremo::db::Error>(diesel::sql_query(query).load(conn)?)).unwrap()
}

/// Sends orders twice, shuffled, in some batches.
fn send(app: &TestApp, orders: &[Json], random: &mut StdRng) {
    let mut twice = [orders, orders].concat();
    twice.shuffle(random);
    let mut created = 0;
    for batch in twice.chunks(random.random_range(twice.len() / 3..=twice.len()).max(1)) {
        let answers = app.record(batch);
        assert!(!answers.iter().any(|status| status == "refused" || status == "corrected"), "{answers:?}");
        created += answers.iter().filter(|status| *status == "created").count();
    }
    assert_eq!(created, orders.len());
}

/// A row of totals as it is kept.
#[derive(QueryableByName, Debug, PartialEq, Eq)]
struct Totals {
    #[diesel(sql_type = Text)]
    code: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = SmallInt)]
    year: i16,
    #[diesel(sql_type = Text)]
    months: String,
    #[diesel(sql_type = Text)]
    products: String,
}

fn totals(app: &TestApp) -> Vec<Totals> {
    let joined = "totals JOIN customers ON customers.id = totals.customer_id";
    rows(app, &format!("SELECT code, kind, year, months, products FROM {joined} ORDER BY code, kind, year"))
}

/// Compares a closing that everybody has passed with what stood before, with evaluations, and with the grades of that day as they are
/// worked out without a base.
fn check_closing(app: &TestApp, day: Date, before: &Grades, with_files: bool) {
    let now = in_force(app);
    assert_eq!(now.len(), 136 * POLICIES);
    let period_end = day.yesterday().unwrap().to_string();
    let is_quarter = day.month() % 3 == 1;
    let pack = app.get("/v1/pack").with(200).json;
    let cadences: BTreeMap<&str, &str> = pack["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|policy| (policy["id"].as_str().unwrap(), policy["cadence"].as_str().unwrap()))
        .collect();
    for (key, now) in &now {
        let (closed_on, stands) = (now.closed_on.as_str(), &now.outcome);
        match cadences[key.1.as_str()] {
            "continuous" => assert_eq!((closed_on, &now.provisional), ("", stands), "{key:?} on {day}"),
            cadence if cadence == "month" || is_quarter => {
                assert_eq!((closed_on, &now.provisional), (period_end.as_str(), stands), "{key:?} on {day}");
            }
            _ => assert_eq!(
                (closed_on, stands),
                (before[key].closed_on.as_str(), &before[key].outcome),
                "{key:?} on {day}"
            ),
        }
    }
    for (code, id) in ids_of(app).iter().step_by(17) {
        let shown = app.in_force(id);
        let evaluation = app.post("/v1/evaluations", &json!({"customer_id": id})).with(200).json;
        assert_eq!(evaluation["as_of"], day.to_string());
        for decision in evaluation["decisions"].as_array().unwrap() {
            let policy = decision["policy"].as_str().unwrap();
            assert_eq!(decision["outcome"], shown[policy].provisional, "{policy} of {code} on {day}");
            assert_eq!(shown[policy], now[&(code.clone(), policy.to_owned())], "{policy} of {code} on {day}");
        }
    }
    if with_files {
        for row in grades(&day.to_string()) {
            // What reads outcomes that stand for longer than a month is the same only when all of them have closed.
            let is_new = |policy: &str| is_quarter || cadences[policy] == "month";
            for (key, now) in now.iter().filter(|(key, _)| key.0 == row["code"] && is_new(&key.1)) {
                assert_eq!(now.outcome, row[&key.1], "{key:?} on {day}");
            }
        }
    }
}

/// Imports the products that the orders name.
fn load_products(app: &TestApp) {
    let products: BTreeMap<String, String> =
        orders().into_iter().map(|row| (row["product_code"].clone(), row["category"].clone())).collect();
    let mut text = String::from("code,name,category,unit,factor\n");
    for (code, category) in &products {
        text += &format!("{code},{code},{category},case,1\n");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("products.csv");
    std::fs::write(&file, text).unwrap();
    let import = Input { file, ..Input::default() };
    let report = import_products(&app.state.db, &import, &mut Progress::hidden()).unwrap();
    assert_eq!((report.counts.created, report.counts.faulty), (products.len().try_into().unwrap(), 0));
}

/// Replays the year in steps of so many days, and of fewer where a month ends.
fn replay(days_of_step: i64) {
    let app = TestApp::new(&pack("tobacco"), &FIRST.to_string());
    load_customers(&app);
    let mut days = orders_by_day();
    load_products(&app);
    app.settled();
    app.close_now();
    let mut random = StdRng::seed_from_u64(17);
    let mut before = in_force(&app);
    let mut closings = 0;
    let mut day = FIRST;
    loop {
        let later = days.split_off(&day.tomorrow().unwrap());
        let until_today: Vec<Json> = std::mem::replace(&mut days, later).into_values().flatten().collect();
        send(&app, &until_today, &mut random);
        if day == LAST {
            break;
        }
        let next = day.checked_add(days_of_step.days()).unwrap();
        day = if day == day.last_of_month() { day.tomorrow().unwrap() } else { next.min(day.last_of_month()) };
        app.move_to(&day.to_string());
        if day.day() == 1 {
            let is_quarter = day.month() % 3 == 1;
            check_closing(&app, day, &before, is_quarter || days_of_step == 1);
            before = in_force(&app);
            closings += 1;
        }
    }
    app.settled();
    assert_eq!((days.len(), closings), (0, 12));
    let schedule = app.get("/v1/closings?limit=100").json;
    let finished = schedule["items"].as_array().unwrap().iter().filter(|closing| closing["finished_at"].is_string());
    assert_eq!(finished.count(), 13, "the first one by command, and one a month");

    let plain = in_force(&SAMPLE);
    let now = in_force(&app);
    assert_eq!((plain.len(), now.len()), (136 * POLICIES, 136 * POLICIES));
    for (key, now) in now {
        assert_eq!(now.provisional, plain[&key].outcome, "{key:?}");
    }
    let kept = totals(&app);
    assert!(kept.len() >= 136, "{} rows", kept.len());
    assert_eq!(kept, totals(&SAMPLE));
}

#[test]
fn a_year_replayed_in_steps_ends_where_it_ends_at_once() {
    replay(10);
}

#[test]
#[ignore = "takes minutes: `make audit` runs it"]
fn a_year_replayed_day_by_day_ends_where_it_ends_at_once() {
    replay(1);
}
