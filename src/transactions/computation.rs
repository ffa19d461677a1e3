//! Computing a metric: from the totals in a customer's ledger to a value, with the figures that a hand can recompute it from.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy};

use super::model::{
    AMOUNT, Definitions, Function, METRIC_PLACES, MeasureTotals, Metric, Month, MonthTotals, Observed, Period,
    ProductTotals, QUANTITY, complete,
};
use super::observations;
use crate::customers::model::Value;

/// Totals and observations of one customer, as far as the pack's metrics read them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    kinds: BTreeMap<String, KindLedger>,
    observations: BTreeMap<String, Vec<Observed>>,
}

/// Totals of one kind, by whole month and by part of a month.
#[derive(Clone, Debug, Default)]
struct KindLedger {
    months: BTreeMap<Month, (MonthTotals, ProductTotals)>,
    parts: BTreeMap<Period, (MonthTotals, ProductTotals)>,
}

impl Ledger {
    /// Enters the totals of a whole month.
    pub fn enter_month(&mut self, kind: &str, month: Month, totals: MonthTotals, products: ProductTotals) {
        self.of_kind(kind).months.insert(month, (totals, products));
    }

    /// Enters the totals of a part of a month.
    pub fn enter_part(&mut self, kind: &str, part: Period, totals: MonthTotals, products: ProductTotals) {
        self.of_kind(kind).parts.insert(part, (totals, products));
    }

    /// Enters an observation; those of a kind in the order of their days.
    pub fn observe(&mut self, kind: &str, observed: Observed) {
        self.observations.entry(kind.to_owned()).or_default().push(observed);
    }

    fn of_kind(&mut self, kind: &str) -> &mut KindLedger {
        self.kinds.entry(kind.to_owned()).or_default()
    }

    fn piece(&self, kind: &str, piece: Period) -> Option<&(MonthTotals, ProductTotals)> {
        let ledger = self.kinds.get(kind)?;
        if piece.is_whole_month() { ledger.months.get(&Month::of(piece.from)) } else { ledger.parts.get(&piece) }
    }
}

/// A metric's value with what it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricValue {
    /// The value, rounded half up to [`METRIC_PLACES`]; absent where the function says so.
    pub value: Option<Value>,
    /// The window.
    pub window: Period,
    figures: Figures,
}

/// Numbers and dates by name.
type Figures = Vec<(&'static str, Value)>;

impl MetricValue {
    /// The figures that the value can be recomputed from by hand, by name.
    pub fn figures(&self) -> BTreeMap<&'static str, String> {
        let text = |value: &Value| match value {
            Value::Number(number) => number.normalize().to_string(),
            other => other.to_string(),
        };
        self.figures.iter().map(|(name, value)| (*name, text(value))).collect()
    }
}

/// What a metric is computed from.
#[derive(Clone, Copy)]
pub struct Basis<'a> {
    /// The customer's totals.
    pub ledger: &'a Ledger,
    /// Category of each product code.
    pub categories: &'a BTreeMap<String, String>,
    /// The date the metric is computed as of.
    pub as_of: Date,
    /// When the customer opened, if the pack names the field and the file has it.
    pub opened_on: Option<Date>,
}

impl Definitions {
    /// Computes one metric.
    pub fn evaluate(&self, metric: &Metric, basis: Basis<'_>, known_until: Date) -> MetricValue {
        Computation { definitions: self, metric, basis, known_until, figures: Figures::new() }.run()
    }
}

struct Computation<'a> {
    definitions: &'a Definitions,
    metric: &'a Metric,
    basis: Basis<'a>,
    known_until: Date,
    figures: Figures,
}

impl Computation<'_> {
    fn run(mut self) -> MetricValue {
        let window = self.metric.window.period(self.basis.as_of);
        if self.definitions.observations.contains_key(&self.metric.kind) {
            return self.observed(window);
        }
        let measure = self.metric.measure.as_deref().unwrap_or(AMOUNT);
        let value = match self.metric.function {
            Function::Sum => Some(self.figure("sum", self.sum(measure, window))),
            Function::MeanPerMonth => {
                let sum = self.figure("sum", self.sum(measure, window));
                let months = self.open_months(window);
                Some(sum.checked_div(months).unwrap_or_default())
            }
            Function::Orders => Some(self.count("orders", window, |totals| totals.orders)),
            Function::Lines => Some(self.count("lines", window, |totals| totals.lines)),
            Function::ActiveMonths => {
                let active = self.own(window).count();
                let active = self.figure("active_months", Decimal::from(active));
                let months = self.open_months(window);
                Some(active.checked_div(months).unwrap_or_default().min(Decimal::ONE))
            }
            Function::LastDate => {
                let last = self.last_on(window).map(Value::Date);
                return MetricValue { value: last, window, figures: self.figures };
            }
            Function::Recency => self.last_on(window).map(|last| {
                let days = (self.basis.as_of - last).get_days();
                Decimal::from(days)
            }),
            Function::Growth => {
                let sum = self.figure("sum", self.sum(measure, window));
                let before = self.sum(measure, self.metric.window.previous(self.basis.as_of));
                let before = self.figure("sum_before", before);
                sum.checked_div(before).filter(|_| before > Decimal::ZERO).map(|ratio| ratio - Decimal::ONE)
            }
            Function::Ratio => self.quotient(measure, self.metric.of.as_deref().unwrap_or(QUANTITY), window),
            Function::AveragePrice => self.quotient(AMOUNT, QUANTITY, window),
            Function::Breadth => {
                let breadth = self.products(window).len();
                Some(self.figure("products", Decimal::from(breadth)))
            }
            Function::Concentration => {
                // A product of which more came back than went out has no share that could be larger than others.
                let mut sums = self.product_sums(measure, window);
                sums.retain(|_, sum| *sum > Decimal::ZERO);
                let largest = sums.values().max().copied().unwrap_or_default();
                let sum = self.figure("sum", sums.into_values().sum());
                let largest = self.figure("largest", largest);
                (sum > Decimal::ZERO).then(|| largest / sum)
            }
            Function::Minimum => self.measures(measure, window).map(|totals| totals.min).min(),
            Function::Maximum => self.measures(measure, window).map(|totals| totals.max).max(),
            // Over transactions the checks refuse them.
            Function::Count | Function::Any | Function::Latest | Function::Mean | Function::DecayedSum => None,
        };
        MetricValue { value: value.map(rounded), window, figures: self.figures }
    }

    fn observed(self, window: Period) -> MetricValue {
        let Metric { function, half_life, kind, .. } = self.metric;
        let observed = self.basis.ledger.observations.get(kind).map(Vec::as_slice).unwrap_or_default();
        let (value, figures) = observations::evaluate(*function, *half_life, (observed, window, self.basis.as_of));
        let value = value.map(|value| match value {
            Value::Number(number) => rounded(number),
            value => value,
        });
        MetricValue { value, window, figures }
    }

    fn figure(&mut self, name: &'static str, value: Decimal) -> Decimal {
        self.figures.push((name, Value::Number(value)));
        value
    }

    fn count(&mut self, name: &'static str, window: Period, of: fn(&MonthTotals) -> u32) -> Decimal {
        let count = self.own(window).map(|(totals, _)| Decimal::from(of(totals))).sum();
        self.figure(name, count)
    }

    fn quotient(&mut self, measure: &str, of: &str, window: Period) -> Option<Decimal> {
        let sum = self.figure("sum", self.sum(measure, window));
        let divisor = self.figure("divisor", self.sum(of, window));
        // More came back than went out: the quotient of such sums says nothing.
        (divisor > Decimal::ZERO).then(|| sum.checked_div(divisor)).flatten()
    }

    fn last_on(&mut self, window: Period) -> Option<Date> {
        let last = self.own(window).map(|(totals, _)| totals.last_on).max()?;
        self.figures.push(("last_on", Value::Date(last)));
        Some(last)
    }

    /// The months of the window from the one in which the customer opened.
    fn open_months(&mut self, window: Period) -> Decimal {
        let months =
            window.pieces().filter(|piece| self.basis.opened_on.is_none_or(|opened| opened <= piece.to)).count();
        self.figure("months", Decimal::from(months))
    }

    /// Totals of the metric's own kind, piece by piece.
    fn own(&self, window: Period) -> impl Iterator<Item = &(MonthTotals, ProductTotals)> {
        self.of_kind(&self.metric.kind, window)
    }

    fn of_kind(&self, kind: &str, window: Period) -> impl Iterator<Item = &(MonthTotals, ProductTotals)> {
        window.pieces().filter_map(move |piece| self.basis.ledger.piece(kind, complete(piece, self.known_until)))
    }

    fn measures(&self, measure: &str, window: Period) -> impl Iterator<Item = &MeasureTotals> {
        self.own(window).filter_map(move |(totals, _)| totals.measures.get(measure))
    }

    /// The sum of a measure: of the kind, less that of the kinds that subtract from it.
    fn sum(&self, measure: &str, window: Period) -> Decimal {
        if self.metric.category.is_some() {
            return self.product_sums(measure, window).into_values().sum();
        }
        let kinds = self.definitions.read_kinds(&self.metric.kind);
        kinds
            .flat_map(|(kind, sign)| self.of_kind(kind, window).map(move |(totals, _)| (totals, sign)))
            .filter_map(|(totals, sign)| Some(totals.measures.get(measure)?.sum * sign))
            .sum()
    }

    /// The sum of a measure by product, of the metric's category.
    fn product_sums(&self, measure: &str, window: Period) -> BTreeMap<&str, Decimal> {
        let mut sums = BTreeMap::new();
        for (kind, sign) in self.definitions.read_kinds(&self.metric.kind) {
            for (product, measures) in self.of_kind(kind, window).flat_map(|(_, products)| products) {
                if self.is_read(product) {
                    *sums.entry(product.as_str()).or_default() +=
                        measures.get(measure).copied().unwrap_or_default() * sign;
                }
            }
        }
        sums
    }

    fn products(&self, window: Period) -> BTreeSet<&str> {
        self.own(window)
            .flat_map(|(_, products)| products.keys())
            .map(String::as_str)
            .filter(|p| self.is_read(p))
            .collect()
    }

    fn is_read(&self, product: &str) -> bool {
        self.metric.category.as_ref().is_none_or(|category| self.basis.categories.get(product) == Some(category))
    }
}

fn rounded(number: Decimal) -> Value {
    Value::Number(number.round_dp_with_strategy(METRIC_PLACES, RoundingStrategy::MidpointAwayFromZero).normalize())
}

#[cfg(test)]
mod tests;
