//! How the customers of a run are distributed: over the outcomes of policies and over the values that policies read, all together and
//! by group.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::tally::Side;
use crate::customers::model::{Value, Values};
use crate::policy::model::Assessed;

/// Where a value is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Bin {
    /// There is none.
    Absent,
    /// A number, by its first digit and the half of what follows (1, 1.5, 2, …, 9.5, 10, 15, …), towards 0; a date, by its year.
    Number(Decimal),
    /// A choice or a truth value.
    Text(String),
}

impl Bin {
    /// The bin of a value.
    pub fn of(value: Option<&Value>) -> Self {
        match value {
            None => Self::Absent,
            Some(Value::Number(number)) => Self::Number(first_digits(*number)),
            Some(Value::Date(date)) => Self::Number(Decimal::from(Date::year(*date))),
            Some(value) => Self::Text(value.to_string()),
        }
    }
}

fn first_digits(number: Decimal) -> Decimal {
    let number = number.normalize();
    let (mut digits, mut unit) = (number.mantissa(), 1);
    while digits.abs() >= 100 {
        digits /= 10;
        unit *= 10;
    }
    if digits.abs() >= 10 {
        digits -= digits % 5;
    }
    // Not larger than what it was made of, so it is within bounds.
    Decimal::try_from_i128_with_scale(digits * unit, number.scale()).unwrap_or_default().normalize()
}

impl From<Bin> for String {
    /// The key of a map: a sign before it says what it is.
    fn from(bin: Bin) -> Self {
        match bin {
            Bin::Absent => Self::new(),
            Bin::Number(number) => format!("#{number}"),
            Bin::Text(text) => format!("={text}"),
        }
    }
}

impl From<String> for Bin {
    fn from(key: String) -> Self {
        let number = key.strip_prefix('#').and_then(|number| number.parse().ok()).map(Self::Number);
        let text = || key.strip_prefix('=').map(|text| Self::Text(text.to_owned()));
        number.or_else(text).unwrap_or(Self::Absent)
    }
}

/// Customers by outcome and by value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// How many there are.
    pub customers: u64,
    /// By policy and outcome.
    pub outcomes: BTreeMap<String, BTreeMap<Side, u64>>,
    /// By key of a field or metric and its value.
    pub inputs: BTreeMap<String, BTreeMap<Bin, u64>>,
}

impl Counted {
    fn count(&mut self, outcomes: &[(&str, Side)], inputs: &[(&str, Bin)]) {
        self.customers += 1;
        for (policy, side) in outcomes {
            add(&mut self.outcomes, policy, side, 1);
        }
        for (key, bin) in inputs {
            add(&mut self.inputs, key, bin, 1);
        }
    }

    fn add(&mut self, other: &Self) {
        self.customers += other.customers;
        for (policy, counts) in &other.outcomes {
            counts.iter().for_each(|(side, number)| add(&mut self.outcomes, policy, side, *number));
        }
        for (key, counts) in &other.inputs {
            counts.iter().for_each(|(bin, number)| add(&mut self.inputs, key, bin, *number));
        }
    }
}

/// Adds to a count; keys are made only for what is counted the first time.
fn add<B: Ord + Clone>(counts: &mut BTreeMap<String, BTreeMap<B, u64>>, key: &str, bin: &B, number: u64) {
    if !counts.contains_key(key) {
        counts.insert(key.to_owned(), BTreeMap::new());
    }
    let Some(counts) = counts.get_mut(key) else { return };
    match counts.get_mut(bin) {
        Some(count) => *count += number,
        None => drop(counts.insert(bin.clone(), number)),
    }
}

/// How the customers of a run, or of a shard of it, are distributed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// All of them.
    pub all: Counted,
    /// Those with a value, by field and value.
    pub groups: BTreeMap<String, BTreeMap<String, Counted>>,
}

impl Distribution {
    /// Counts a customer by what was decided, by the values of `keys`, and in the groups that the fields `by` make.
    pub fn count(&mut self, assessed: &Assessed, values: &Values, keys: &BTreeSet<String>, by: &[String]) {
        let policies = assessed.policies.iter();
        let outcomes: Vec<(&str, Side)> =
            policies.map(|result| (result.policy.as_str(), Side::of(Some(result)))).collect();
        let inputs: Vec<(&str, Bin)> = keys.iter().map(|key| (key.as_str(), Bin::of(values.get(key)))).collect();
        self.all.count(&outcomes, &inputs);
        for field in by {
            let Some(value) = values.get(field) else { continue };
            let groups = self.groups.entry(field.clone()).or_default();
            groups.entry(value.to_string()).or_default().count(&outcomes, &inputs);
        }
    }

    /// Adds what was counted of other customers.
    pub fn add(&mut self, other: &Self) {
        self.all.add(&other.all);
        for (field, groups) in &other.groups {
            let sums = self.groups.entry(field.clone()).or_default();
            groups.iter().for_each(|(value, counted)| sums.entry(value.clone()).or_default().add(counted));
        }
    }

    /// All customers, and each group by field and value.
    pub fn parts(&self) -> impl Iterator<Item = (Option<(&str, &str)>, &Counted)> {
        let groups = self.groups.iter().flat_map(|(field, groups)| {
            groups.iter().map(move |(value, counted)| (Some((field.as_str(), value.as_str())), counted))
        });
        std::iter::once((None, &self.all)).chain(groups)
    }

    /// The customers of a group, or all.
    pub fn part(&self, group: Option<(&str, &str)>) -> Option<&Counted> {
        match group {
            None => Some(&self.all),
            Some((field, value)) => self.groups.get(field)?.get(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::model::{PolicyResult, Verdict};

    fn bin(number: &str) -> String {
        String::from(Bin::of(Some(&Value::Number(number.parse().unwrap()))))
    }

    #[test]
    fn numbers_are_counted_by_their_first_digit_and_the_half_of_what_follows() {
        let expected = [
            ("0", "#0"),
            ("7", "#7"),
            ("12.5", "#10"),
            ("15", "#15"),
            ("19.99", "#15"),
            ("0.834", "#0.8"),
            ("0.0086", "#0.0085"),
            ("123456", "#100000"),
            ("-12.5", "#-10"),
            ("1.000", "#1"),
        ];
        for (number, wanted) in expected {
            assert_eq!(bin(number), wanted, "{number}");
        }
        assert_eq!(String::from(Bin::of(None)), "");
        assert_eq!(String::from(Bin::of(Some(&Value::Boolean(true)))), "=true");
    }

    fn failed() -> Assessed {
        let result = Verdict::Failed("no".to_owned());
        Assessed { policies: vec![PolicyResult { policy: "grade".to_owned(), result, inputs: Vec::new() }] }
    }

    proptest! {
        #[test]
        fn a_bin_lies_towards_zero_by_less_than_a_third(mantissa in -1_000_000_000_i64..1_000_000_000, scale in 0_u32..9) {
            let number = Decimal::new(mantissa, scale);
            let edge = first_digits(number);
            prop_assert!(edge.abs() <= number.abs());
            prop_assert!((number - edge).abs() * Decimal::from(3) <= number.abs(), "{number} {edge}");
        }

        #[test]
        fn parts_add_up_to_the_whole_and_survive_being_kept(numbers in proptest::collection::vec(-500_i64..500, 1..60)) {
            let (keys, by) = (["volume".to_owned()].into(), ["area".to_owned()]);
            let (mut whole, mut parts) = (Distribution::default(), Distribution::default());
            for number in numbers {
                let area = Value::Text((number % 3).to_string());
                let values = [("volume".to_owned(), Value::Number(Decimal::new(number, 1))), ("area".to_owned(), area)];
                let values = Values::from(values);
                whole.count(&failed(), &values, &keys, &by);
                let mut part = Distribution::default();
                part.count(&failed(), &values, &keys, &by);
                parts.add(&serde_json::from_str(&serde_json::to_string(&part).unwrap()).unwrap());
            }
            prop_assert_eq!(&whole, &parts);
            let customers: u64 = whole.groups["area"].values().map(|counted| counted.customers).sum();
            prop_assert_eq!(customers, whole.all.customers);
        }
    }
}
