//! Made-up subjects of a pack, with a value of each field and metric in a plausible range: the same ones for a seed on every
//! machine. Benchmarks use them too.

use std::collections::BTreeMap;
use std::sync::Arc;

use baremo::customers::model::{Field, FieldType, Value};
use baremo::policy::model::Subject;
use baremo::policy::pack::Pack;
use baremo::transactions::model::{Function, Metric};
use jiff::civil::Date;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rust_decimal::Decimal;

/// So many subjects as of a date. One value in sixteen is absent where the pack allows that.
pub fn subjects(pack: &Pack, seed: u64, count: usize, as_of: Date) -> Vec<Arc<Subject>> {
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed));
    (0..count).map(|number| Arc::new(subject(pack, &mut chance, number, as_of))).collect()
}

struct Chance(ChaCha8Rng);

impl Chance {
    /// A whole number from 0 to below `n`.
    fn below(&mut self, n: u32) -> u32 {
        u32::try_from((u64::from(self.0.next_u32()) * u64::from(n)) >> 32).unwrap()
    }

    /// A number from 0 to below `n`, in steps of 10 to the minus `places`.
    fn decimal(&mut self, n: u32, places: u32) -> Decimal {
        Decimal::new(i64::from(self.below(n * 10_u32.pow(places))), places)
    }

    fn one<'a>(&mut self, of: &'a [String]) -> &'a str {
        &of[usize::try_from(self.below(u32::try_from(of.len()).unwrap())).unwrap()]
    }

    fn absent(&mut self) -> bool {
        self.below(16) == 0
    }
}

fn subject(pack: &Pack, chance: &mut Chance, number: usize, as_of: Date) -> Subject {
    let mut values = BTreeMap::new();
    for (key, field) in pack.fields.iter() {
        if field.required || !chance.absent() {
            values.insert(key.to_owned(), of_field(field, chance, as_of));
        }
    }
    let mut windows = BTreeMap::new();
    for (key, metric) in &pack.definitions.metrics {
        windows.insert(key.clone(), metric.window.period(as_of));
        if let Some(value) = of_metric(metric, chance, as_of) {
            values.insert(key.clone(), value);
        }
    }
    Subject { code: format!("C{number:06}"), values, windows: Arc::new(windows) }
}

fn of_field(field: &Field, chance: &mut Chance, as_of: Date) -> Value {
    match field.field_type {
        FieldType::Text | FieldType::Phone | FieldType::Email => {
            Value::Text(format!("text {}", chance.below(1_000_000)))
        }
        FieldType::Choice => Value::Text(chance.one(&field.choices).to_owned()),
        FieldType::Choices => Value::Choices(vec![chance.one(&field.choices).to_owned()]),
        FieldType::Boolean => Value::Boolean(chance.below(2) == 0),
        FieldType::Integer => Value::Number(field.min.unwrap_or_default() + Decimal::from(chance.below(30))),
        FieldType::Decimal => Value::Number(field.min.unwrap_or_default() + chance.decimal(1_000, 2)),
        FieldType::Date => Value::Date(days_before(as_of, chance.below(4_000))),
    }
}

/// The value of a metric; absent, for one of sixteen, where nothing gives no value.
fn of_metric(metric: &Metric, chance: &mut Chance, as_of: Date) -> Option<Value> {
    let value = match metric.function {
        Function::Sum => chance.decimal(900, 2),
        Function::MeanPerMonth => chance.decimal(30, 6),
        Function::Orders | Function::Lines | Function::Breadth => Decimal::from(chance.below(60)),
        Function::ActiveMonths => (Decimal::from(chance.below(13)) / Decimal::from(12)).round_dp(6),
        Function::Count | Function::DecayedSum => Decimal::from(chance.below(10)),
        Function::Any => Decimal::from(chance.below(2)),
        _ if chance.absent() => return None,
        Function::LastDate => return Some(Value::Date(days_before(as_of, chance.below(365)))),
        Function::Recency => Decimal::from(chance.below(365)),
        Function::Growth => chance.decimal(1, 6) - Decimal::new(4, 1),
        Function::Ratio | Function::Concentration => Decimal::ONE - chance.decimal(1, 6) / Decimal::from(4),
        Function::AveragePrice => chance.decimal(40_000, 2),
        Function::Minimum | Function::Maximum | Function::Latest | Function::Mean => chance.decimal(100, 2),
    };
    Some(Value::Number(value.normalize()))
}

fn days_before(date: Date, days: u32) -> Date {
    date.saturating_sub(jiff::Span::new().days(days))
}
