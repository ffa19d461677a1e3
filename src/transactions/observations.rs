//! Observations: facts about a customer or an employee that are no transactions, such as scores of a visit, breaches and praise; their kinds as a pack
//! declares them, and metrics over them. No I/O.

use jiff::civil::Date;
use rust_decimal::prelude::FromPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::{Function, Period};
use crate::customers::model::Value;

/// Longest half-life, in days.
pub const MAX_HALF_LIFE: u16 = 3650;
/// Places of what a decay leaves of 1.
const DECAY_PLACES: u32 = 9;

/// Whom policies decide about, and observations are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A customer.
    #[default]
    Customer,
    /// An employee.
    Employee,
}

/// One kind of observation, as the pack declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservationKind {
    /// Whom it is made of.
    pub subject: SubjectKind,
    /// Whether an observation has a value; otherwise that it was made is all.
    pub value: bool,
    /// The smallest value.
    pub min: Option<Decimal>,
    /// The largest value.
    pub max: Option<Decimal>,
    /// Unit of its values, for people.
    pub unit: Option<String>,
    /// Whether only those record it who may evaluate staff.
    pub restricted: bool,
}

impl ObservationKind {
    /// A value that was sent, if the kind takes it; else a stable code and what would be right.
    pub fn check(&self, sent: Option<Decimal>) -> Result<Option<Decimal>, (&'static str, String)> {
        let Some(value) = sent else {
            return if self.value {
                Err(("required", "an observation of this kind has a value".to_owned()))
            } else {
                Ok(None)
            };
        };
        if !self.value {
            return Err(("not_allowed", "an observation of this kind has no value".to_owned()));
        }
        let below =
            self.min.filter(|min| value < *min).map(|min| format!("{value} is below {min}, the smallest value"));
        let above = self.max.filter(|max| value > *max).map(|max| format!("{value} is above {max}, the largest value"));
        below.or(above).map_or(Ok(Some(value)), |detail| Err(("out_of_range", detail)))
    }
}

/// An observation as metrics read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The day on which it was made.
    pub on: Date,
    /// Its value.
    pub value: Option<Decimal>,
}

impl Function {
    /// Whether it is computed from observations.
    pub fn reads_observations(self) -> bool {
        self.is_of_observations_alone()
            || matches!(self, Self::Sum | Self::Minimum | Self::Maximum | Self::LastDate | Self::Recency)
    }

    /// Whether it is computed from nothing but observations.
    pub fn is_of_observations_alone(self) -> bool {
        matches!(self, Self::Count | Self::Any | Self::Latest | Self::Mean | Self::DecayedSum)
    }

    /// Whether observations need a value for it.
    pub fn reads_values(self) -> bool {
        matches!(self, Self::Sum | Self::Minimum | Self::Maximum | Self::Latest | Self::Mean)
    }
}

/// A metric over observations of one kind, in the order of their days, with the figures that it comes from.
pub fn evaluate(
    function: Function,
    half_life: Option<u16>,
    (observed, window, as_of): (&[Observed], Period, Date),
) -> (Option<Value>, Vec<(&'static str, Value)>) {
    let within: Vec<&Observed> = observed.iter().filter(|one| (window.from..=window.to).contains(&one.on)).collect();
    let count = Decimal::from(within.len());
    let values = || within.iter().filter_map(|one| one.value);
    let sum: Decimal = values().sum();
    let last = within.last();
    let mut figures = vec![("count", Value::Number(count))];
    let value = match function {
        Function::Any => Some(count.min(Decimal::ONE)),
        Function::Mean => {
            figures.push(("sum", Value::Number(sum)));
            sum.checked_div(count)
        }
        Function::Latest => last.and_then(|last| last.value),
        Function::Minimum => values().min(),
        Function::Maximum => values().max(),
        Function::LastDate => {
            return (last.map(|last| Value::Date(last.on)), figures);
        }
        Function::Recency => last.map(|last| Decimal::from((as_of - last.on).get_days())),
        _ => Some(within.iter().filter_map(|one| left(function, half_life, one, as_of)).sum()),
    };
    if let Some(last) = last {
        figures.push(("last_on", Value::Date(last.on)));
    }
    (value.map(Value::Number), figures)
}

/// What is left of an observation in a metric that is the sum of what is left of each; nothing for other functions.
pub fn left(function: Function, half_life: Option<u16>, observed: &Observed, as_of: Date) -> Option<Decimal> {
    match function {
        Function::Count => Some(Decimal::ONE),
        Function::Sum => observed.value,
        Function::DecayedSum => {
            let value = observed.value.unwrap_or(Decimal::ONE);
            Some(value * decay(as_of, observed.on, half_life.unwrap_or(1)))
        }
        _ => None,
    }
}

/// What is left of 1 after the days since: half of it after each half-life, rounded half up to 9 places.
fn decay(as_of: Date, on: Date, half_life: u16) -> Decimal {
    let days = f64::from((as_of - on).get_days());
    let left = libm::exp2(-days / f64::from(half_life));
    Decimal::from_f64(left)
        .unwrap_or_default()
        .round_dp_with_strategy(DECAY_PLACES, RoundingStrategy::MidpointAwayFromZero)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::transactions::model::{Definitions, Metric};

    fn of(function: Function, observed: &[(Date, i64)]) -> Option<String> {
        let observed: Vec<Observed> =
            observed.iter().map(|(on, value)| Observed { on: *on, value: Some(Decimal::from(*value)) }).collect();
        let window = Period { from: date(2017, 1, 1), to: date(2018, 1, 1) };
        let (value, _) = evaluate(function, Some(30), (&observed, window, date(2018, 1, 1)));
        value.map(|value| value.to_string())
    }

    #[test]
    fn a_metric_looks_at_what_lies_within_its_window() {
        let observed = [(date(2016, 12, 31), 90), (date(2017, 1, 1), 40), (date(2017, 12, 2), 80)];
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of(Function::Count, &observed), text("2"));
        assert_eq!(of(Function::Any, &observed), text("1"));
        assert_eq!(of(Function::Sum, &observed), text("120"));
        assert_eq!(of(Function::Mean, &observed), text("60"));
        assert_eq!(of(Function::Latest, &observed), text("80"));
        assert_eq!((of(Function::Minimum, &observed), of(Function::Maximum, &observed)), (text("40"), text("80")));
        assert_eq!(of(Function::LastDate, &observed), text("2017-12-02"));
        assert_eq!(of(Function::Recency, &observed), text("30"));
    }

    #[test]
    fn half_is_left_after_a_half_life() {
        assert_eq!(of(Function::DecayedSum, &[(date(2017, 12, 2), 80), (date(2018, 1, 1), 10)]), Some("50".to_owned()));
    }

    #[test]
    fn of_nothing_there_is_no_mean_and_a_count_of_0() {
        for function in [Function::Count, Function::Any, Function::Sum, Function::DecayedSum] {
            assert_eq!(of(function, &[]), Some("0".to_owned()), "{function:?}");
        }
        for function in [Function::Mean, Function::Latest, Function::Minimum, Function::Recency, Function::LastDate] {
            assert_eq!(of(function, &[]), None, "{function:?}");
        }
    }

    #[test]
    fn a_value_lies_within_the_bounds_of_its_kind() {
        let scored = ObservationKind {
            subject: SubjectKind::Customer,
            value: true,
            min: Some(Decimal::ZERO),
            max: Some(Decimal::ONE_HUNDRED),
            unit: None,
            restricted: false,
        };
        assert_eq!(scored.check(Some(Decimal::ONE_HUNDRED)), Ok(Some(Decimal::ONE_HUNDRED)));
        assert_eq!(scored.check(Some(Decimal::from(101))).unwrap_err().0, "out_of_range");
        assert_eq!(scored.check(Some(Decimal::NEGATIVE_ONE)).unwrap_err().0, "out_of_range");
        assert_eq!(scored.check(None).unwrap_err().0, "required");
        let plain = ObservationKind {
            subject: SubjectKind::Customer,
            value: false,
            min: None,
            max: None,
            unit: None,
            restricted: false,
        };
        assert_eq!((plain.check(None), plain.check(Some(Decimal::ONE)).unwrap_err().0), (Ok(None), "not_allowed"));
    }

    #[test]
    fn time_changes_nothing_where_nothing_was_observed() {
        let metric = |text: &str| {
            toml::from_str::<Metric>(&format!("{text}\nkind = \"breach\"\nwindow = {{ days = 730 }}")).unwrap()
        };
        let metrics = [
            ("breaches", metric("function = \"count\"")),
            ("points", metric("function = \"decayed_sum\"\nhalf_life = 30")),
            ("last", metric("function = \"latest\"")),
        ];
        let of = |min: Option<Decimal>| Definitions {
            observations: [(
                "breach".to_owned(),
                ObservationKind {
                    subject: SubjectKind::Customer,
                    value: true,
                    min,
                    max: None,
                    unit: None,
                    restricted: false,
                },
            )]
            .into(),
            metrics: metrics.clone().map(|(key, metric)| (key.to_owned(), metric)).into(),
            ..Definitions::default()
        };
        let (today, tomorrow) = (date(2018, 1, 1), Some(date(2018, 1, 2)));
        let above = of(Some(Decimal::ONE));
        for (key, nothing) in [("breaches", Some("0")), ("points", Some("0")), ("last", None)] {
            assert_eq!(above.next_change(key, nothing, today), None, "{key}");
            assert_eq!(above.next_change(key, Some("2"), today), tomorrow, "{key}");
        }
        assert_eq!(of(None).next_change("points", Some("0"), today), tomorrow, "values may cancel each other out");
    }

    proptest! {
        #[test]
        fn what_is_left_of_each_sums_to_the_balance(observed in prop::collection::vec((0_i32..900, prop::option::of(1_i64..100)), 0..20), half_life in 1_u16..400) {
            let as_of = date(2018, 1, 1);
            let on = |age: i32| as_of.checked_sub(jiff::Span::new().days(age)).unwrap();
            let mut observed: Vec<Observed> =
                observed.into_iter().map(|(age, value)| Observed { on: on(age), value: value.map(Decimal::from) }).collect();
            observed.sort_by_key(|one| one.on);
            let window = Period { from: on(730), to: as_of };
            for function in [Function::Count, Function::Sum, Function::DecayedSum] {
                let within = observed.iter().filter(|one| (window.from..=window.to).contains(&one.on));
                let lines: Decimal = within.filter_map(|one| left(function, Some(half_life), one, as_of)).sum();
                let (balance, _) = evaluate(function, Some(half_life), (&observed, window, as_of));
                prop_assert_eq!(balance, Some(Value::Number(lines)));
            }
        }

        #[test]
        fn a_decayed_sum_falls_with_each_day(value in 1_i64..1000, age in 0_i32..1800, half_life in 1_u16..=MAX_HALF_LIFE) {
            let on = date(2010, 1, 1);
            let as_of = |age: i32| on.checked_add(jiff::Span::new().days(age)).unwrap();
            let left = |age: i32| Decimal::from(value) * decay(as_of(age), on, half_life);
            prop_assert!(left(age) <= Decimal::from(value) && left(age + 1) <= left(age));
        }
    }
}
