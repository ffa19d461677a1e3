//! What is made keeps to what the distributions say: always the same, in time, in season, and adding up.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::super::making::{GeneratedCustomer, GeneratedTransaction, Making};
use super::super::model::Generate;
use super::{generate, read};
use crate::customers::model::Value;

const SEED: u64 = 7;

/// Customers with their transactions, by kind.
fn made(generate: &Generate, customers: u32) -> Vec<(GeneratedCustomer, Vec<Vec<GeneratedTransaction>>)> {
    let making = Making::new(generate, SEED);
    let with = |customer: GeneratedCustomer| {
        let transactions = making.transactions(&customer);
        (customer, transactions)
    };
    (1..=customers).map(|number| with(making.customer(number))).collect()
}

fn value<'c>(generate: &Generate, customer: &'c GeneratedCustomer, key: &str) -> Option<&'c Value> {
    let place = generate.values.iter().position(|value| value.key == key).unwrap();
    customer.values[place].as_ref()
}

fn number(value: Option<&Value>) -> Decimal {
    let Some(Value::Number(number)) = value else { panic!("{value:?}") };
    *number
}

fn opened(generate: &Generate, customer: &GeneratedCustomer) -> Date {
    let Some(Value::Date(date)) = value(generate, customer, "opened_on") else { panic!("{customer:?}") };
    *date
}

fn mean(numbers: impl Iterator<Item = Decimal>) -> Decimal {
    let all: Vec<Decimal> = numbers.collect();
    assert!(!all.is_empty());
    all.iter().sum::<Decimal>() / Decimal::from(all.len())
}

#[test]
fn the_same_seed_makes_the_same_and_another_something_else() {
    let generate = generate();
    assert_eq!(made(&generate, 20), made(&generate, 20));
    assert_eq!(made(&generate, 5)[4], made(&generate, 20)[4], "a customer is the same however many there are");
    let of = |seed| Making::new(&generate, seed).customer(1).values;
    assert_ne!(of(1), of(2));
}

#[test]
fn the_first_customer_is_the_same_on_every_machine() {
    let generate = generate();
    let (customer, kinds) = &made(&generate, 1)[0];
    let values: Vec<String> =
        customer.values.iter().map(|value| value.as_ref().map(ToString::to_string).unwrap_or_default()).collect();
    let [loans, ..] = kinds.as_slice() else { panic!("{kinds:?}") };
    let first = &loans[0];
    assert_eq!(customer.code, "C000001");
    assert_eq!(values.join(","), "town,2.103687,calm,main,84,2019-10-25,true,+34 604593118,novels;poems");
    assert_eq!(format!("{} {:?}", first.on, first.lines[0].measures), "2023-01-02 [Some(6), Some(7.50)]");
}

#[test]
fn nothing_happens_before_a_customer_opened_or_on_the_business_date() {
    let generate = generate();
    let mut newcomers = 0;
    for (customer, kinds) in made(&generate, 400) {
        let opened = opened(&generate, &customer);
        newcomers += u32::from(opened >= Date::constant(2024, 1, 1));
        for transaction in kinds.iter().flatten() {
            assert!(transaction.on >= opened && transaction.on < generate.business_date, "{transaction:?}");
        }
    }
    assert!((40..=130).contains(&newcomers), "a fifth of 400 are newcomers, here {newcomers}");
}

#[test]
fn a_high_season_has_more_than_a_low_one() {
    let generate = generate();
    let all = made(&generate, 300);
    let loans_in =
        |month: i8| all.iter().flat_map(|(_, kinds)| &kinds[0]).filter(|loan| loan.on.month() == month).count();
    let (low, high) = (loans_in(2), loans_in(12));
    assert!(high > 2 * low && low > 0, "December has four times February's factor: {high} and {low}");
}

#[test]
fn who_closed_has_no_transactions_since_then() {
    let generate = generate();
    let all = made(&generate, 400);
    let last = |kinds: &[Vec<GeneratedTransaction>]| kinds.iter().flatten().map(|transaction| transaction.on).max();
    let closed: Vec<_> = all.iter().filter(|(customer, _)| !customer.active).collect();
    assert!((40..=120).contains(&closed.len()), "a fifth of 400 closed, unless they opened later: {}", closed.len());
    // They closed 6 to 12 months before 2025-01-01: 182.6 to 365.25 days.
    assert!(closed.iter().filter_map(|(_, kinds)| last(kinds)).all(|on| on < Date::constant(2024, 7, 3)));
    let others = all.iter().filter(|(customer, _)| customer.active);
    assert!(others.filter_map(|(_, kinds)| last(kinds)).any(|on| on > Date::constant(2024, 12, 20)));
}

#[test]
fn parts_add_up_to_the_whole_exactly() {
    let generate = generate();
    let plan = generate.kinds.iter().position(|plan| plan.kind == "reading").unwrap();
    let mut seen = 0;
    for (_, kinds) in made(&generate, 100) {
        for line in kinds[plan].iter().flat_map(|reading| &reading.lines) {
            let [whole, peak, flat, valley] = line.measures.iter().map(|m| m.unwrap()).collect::<Vec<_>>()[..] else {
                panic!("{line:?}")
            };
            assert_eq!(peak + flat + valley, whole);
            assert!(peak.min(flat).min(valley) >= Decimal::ZERO);
            assert!(whole.scale() <= 1, "{whole}");
            seen += 1;
        }
    }
    assert!(seen > 1000, "{seen}");
}

#[test]
fn a_regular_kind_comes_once_a_month_on_its_days() {
    let generate = generate();
    let plan = generate.kinds.iter().position(|plan| plan.kind == "reading").unwrap();
    let old = made(&generate, 100)
        .into_iter()
        .find(|(customer, _)| customer.active && opened(&generate, customer) < Date::constant(2023, 1, 1));
    let (_, kinds) = old.unwrap();
    assert_eq!(kinds[plan].len(), 24, "24 months, January 2023 to December 2024");
    assert!(kinds[plan].iter().all(|reading| (25..=28).contains(&reading.on.day())));
}

#[test]
fn amounts_are_quantity_times_price_and_payments_have_the_amount_of_what_they_follow() {
    let generate = generate();
    let (mut loans, mut payments, mut late) = (0, 0, 0);
    for (_, kinds) in made(&generate, 60) {
        let mut sums = Vec::new();
        for loan in &kinds[0] {
            for line in &loan.lines {
                let price = if line.product == Some(0) { "1.25" } else { "2.5" }.parse::<Decimal>().unwrap();
                let [Some(quantity), Some(amount)] = line.measures[..] else { panic!("{line:?}") };
                assert_eq!(amount, quantity * price);
                loans += 1;
            }
            let products: std::collections::BTreeSet<_> = loan.lines.iter().map(|line| line.product).collect();
            assert_eq!(products.len(), loan.lines.len(), "each line has another product");
            sums.push((loan.on, loan.lines.iter().map(|line| line.measures[1].unwrap()).sum::<Decimal>()));
        }
        for payment in &kinds[1] {
            let [Some(amount), Some(on_time)] = payment.lines[0].measures[..] else { panic!("{payment:?}") };
            let paid = sums.iter().find(|(on, sum)| {
                let days = (payment.on - *on).get_days();
                *sum == amount && (0..=40).contains(&days) && ((on_time == amount) == (days < 31) || amount.is_zero())
            });
            assert!(paid.is_some(), "{payment:?} of {sums:?}");
            payments += 1;
            late += u32::from(on_time.is_zero());
        }
    }
    assert!(loans > payments && payments > 0 && late > 0, "{loans} loans, {payments} payments, {late} late");
}

#[test]
fn fields_relate_to_each_other() {
    let generate = generate();
    let all = made(&generate, 1000);
    let is = |customer: &GeneratedCustomer, key: &str, wanted: &str| {
        value(&generate, customer, key).is_some_and(|value| value.to_string() == wanted)
    };
    let town: Vec<_> = all.iter().filter(|(customer, _)| is(customer, "market", "town")).map(|(c, _)| c).collect();
    let village: Vec<_> =
        all.iter().filter(|(customer, _)| is(customer, "market", "village")).map(|(c, _)| c).collect();
    assert!((650..=750).contains(&town.len()), "7 of 10: {}", town.len());
    assert!(village.iter().all(|customer| is(customer, "branch", "mobile")));
    assert!(town.iter().any(|customer| is(customer, "branch", "main")));
    let size = |customers: &[&GeneratedCustomer]| {
        mean(customers.iter().map(|customer| number(value(&generate, customer, "size"))))
    };
    assert!(size(&town) > size(&village), "a town's size is twice a village's");
    let absent = all.iter().filter(|(customer, _)| value(&generate, customer, "floor_area").is_none()).count();
    assert!((60..=140).contains(&absent), "a tenth of 1000 are absent: {absent}");
    let areas: Vec<_> = all.iter().filter_map(|(customer, _)| value(&generate, customer, "floor_area")).collect();
    assert!(areas.iter().all(|area| (Decimal::from(10)..=Decimal::from(200)).contains(&number(Some(area)))));
}

#[test]
fn distributions_have_their_means_and_spreads() {
    let text = r#"
business_date = "2025-01-01"
[generate]
customers = 1
code = "{number}"
name = "x"
fields.opened_on = { between = ["2020-01-01", "2020-01-03"] }
fields.market = { value = "town" }
hidden.even = { uniform = [2, 4] }
hidden.die = { whole = [1, 6] }
hidden.bell = { normal = [10, 2] }
hidden.skewed = { lognormal = [100, 2] }
hidden.root = { of = "even", power = "0.5" }
hidden.steps = { by = "die", from = [[5, 100], [3, 10]], else = 1 }
hidden.sum = { of = "die", times = [2], divided_by = [4], plus = ["die", "0.5"], max = 7 }
"#;
    let generate = read(text).unwrap().unwrap().generate.unwrap();
    let making = Making::new(&generate, 1);
    let all: Vec<_> = (1..=4000).map(|number| making.customer(number)).collect();
    let of = |customer: &GeneratedCustomer, key: &str| number(value(&generate, customer, key));
    let near = |key: &str, wanted: i64, off: &str| {
        let mean = mean(all.iter().map(|customer| of(customer, key)));
        assert!((mean - Decimal::from(wanted)).abs() < off.parse().unwrap(), "{key}: {mean}");
    };
    near("even", 3, "0.05");
    near("bell", 10, "0.15");
    for value in 1..=6 {
        let count = all.iter().filter(|customer| of(customer, "die") == Decimal::from(value)).count();
        assert!((560..=770).contains(&count), "{count} times {value}");
    }
    let between = |key: &str, low: i64, high: i64| {
        all.iter().filter(|c| (Decimal::from(low)..=Decimal::from(high)).contains(&of(c, key))).count()
    };
    assert!((2600..=2860).contains(&between("bell", 8, 12)), "68 of 100 are within a deviation");
    assert!((2600..=2860).contains(&between("skewed", 50, 200)), "68 of 100 are within a spread");
    assert!((1900..=2100).contains(&between("skewed", 0, 100)), "half are below the median");
    for customer in &all {
        let (even, root, die) = (of(customer, "even"), of(customer, "root"), of(customer, "die"));
        assert!((root * root - even).abs() < "0.00001".parse().unwrap());
        let steps = if die >= Decimal::from(5) {
            100
        } else if die >= Decimal::from(3) {
            10
        } else {
            1
        };
        assert_eq!(of(customer, "steps"), Decimal::from(steps));
        assert_eq!(
            of(customer, "sum"),
            (die * "1.5".parse::<Decimal>().unwrap() + "0.5".parse::<Decimal>().unwrap()).min(Decimal::from(7))
        );
    }
}

#[test]
fn observations_are_made_within_the_bounds_of_their_kind_and_change_nothing_else() {
    let manifest = format!(
        "{}\n[observations.praise]\nmin = 1\nmax = 3\n[observations.visit]\nvalue = false\n[observations.remark]\nsubject = \"employee\"\n",
        super::MANIFEST
    );
    let text = format!(
        "{}\n[generate.observations.praise]\nper_month = 2\nvalue = {{ whole = [0, 9] }}\n\
         [generate.observations.visit]\nfollows = \"loan\"\ndays_after = 1\n",
        super::GENERATE
    );
    let plain = generate();
    let with = super::read_with(&manifest, &text).map_err(super::listed).unwrap().unwrap().generate.unwrap();
    let place = |kind: &str| with.kinds.iter().position(|plan| plan.kind == kind).unwrap();
    let (mut praises, mut visits) = (0, 0);
    for ((_, transactions), (_, all)) in made(&plain, 20).into_iter().zip(made(&with, 20)) {
        assert_eq!(transactions[..], all[..transactions.len()]);
        for praise in &all[place("praise")] {
            let value = praise.lines[0].measures[0].unwrap();
            assert!(value >= Decimal::ONE && value <= Decimal::from(3), "{value}");
            praises += 1;
        }
        assert!(all[place("visit")].iter().all(|visit| visit.lines[0].measures == [None]));
        visits += all[place("visit")].len();
    }
    assert!(praises > 20 && visits > 0, "{praises} {visits}");
    let of_nobody = text.replace("generate.observations.praise", "generate.observations.remark");
    let faults = super::read_with(&manifest, &of_nobody).unwrap_err();
    assert_eq!((faults.len(), faults[0].code), (1, "unknown_kind"), "{faults:?}");
}
