//! What a pack declares about transactions: kinds, metrics, windows. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::lines::{
    Dated, Line, MeasureTotals, MonthTotals, ProductTotals, add_products, in_unit, not_negative, total, total_of,
};
use super::observations::MAX_HALF_LIFE;
pub use super::observations::{ObservationKind, Observed, SubjectKind};
pub(super) use super::period::complete;
pub use super::period::{Month, Period, Window};
use crate::customers::model::{FieldType, Fields, Value, Values};
use crate::faults::{Fault, did_you_mean};

/// The measure that a product's factor converts to the pack's unit.
pub const QUANTITY: &str = "quantity";
/// The measure in money.
pub const AMOUNT: &str = "amount";
/// Decimal places of a metric, rounded half up (away from zero for negative numbers) before anything reads it.
pub const METRIC_PLACES: u32 = 6;
/// Most lines of one transaction.
pub const MAX_LINES: usize = 200;

/// One kind of transaction, as the pack declares it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Whether each line names a product.
    #[serde(default)]
    pub products: bool,
    /// The kind that this one subtracts from: a return has positive amounts and lowers the orders' sums.
    pub subtracts_from: Option<String>,
    /// The measures of a line; those of the kind it subtracts from when none are named.
    #[serde(default)]
    pub measures: Vec<String>,
}

/// How a metric is computed from the totals of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// Sum of the measure; 0 of nothing.
    Sum,
    /// Sum divided by the months of the window, those before the customer opened left out; 0 of nothing.
    MeanPerMonth,
    /// Number of orders.
    Orders,
    /// Number of lines.
    Lines,
    /// Date of the last transaction; absent of nothing.
    LastDate,
    /// Days from the last transaction to the as-of date; absent of nothing.
    Recency,
    /// Share of the window's months that have a transaction, 0 to 1; months before the customer opened are left out.
    ActiveMonths,
    /// Sum over the sum of the window just before, less 1; absent when that one is not positive.
    Growth,
    /// Sum of the measure over the sum of the measure `of`; absent when that one is not positive.
    Ratio,
    /// Amount over quantity; absent when the quantity is not positive.
    AveragePrice,
    /// Number of different products.
    Breadth,
    /// Share of the largest product in the sum over the products whose own sum is positive, 0 to 1; absent when there is none.
    Concentration,
    /// Smallest value of the measure on a line; absent of nothing.
    Minimum,
    /// Largest value of the measure on a line; absent of nothing.
    Maximum,
    /// Number of observations.
    Count,
    /// 1 where there is an observation, else 0.
    Any,
    /// Value of the last observation; absent of nothing.
    Latest,
    /// Mean value of the observations; absent of nothing.
    Mean,
    /// Sum of the values, of which half is left after each half-life; 0 of nothing. An observation without a value counts as 1.
    DecayedSum,
}

/// A derived field, declared by the pack over transactions of a kind and a window.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// How it is computed.
    pub function: Function,
    /// Kind of transactions or observations it reads; kinds that subtract from it lower its sums.
    pub kind: String,
    /// Measure it reads, where the function wants one.
    pub measure: Option<String>,
    /// The measure it divides by, for a ratio.
    pub of: Option<String>,
    /// The one product category it reads; all when absent.
    pub category: Option<String>,
    /// The time it is computed over.
    pub window: Window,
    /// Days after which half of an observation is left, for a decayed sum.
    pub half_life: Option<u16>,
    /// Unit of its values, for people: `case`, `CNY`, `day`.
    pub unit: Option<String>,
}

/// What a pack declares about transactions and observations.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// Kinds by key.
    pub kinds: IndexMap<String, Kind>,
    /// Kinds of observations by key.
    pub observations: IndexMap<String, ObservationKind>,
    /// Metrics by key.
    pub metrics: IndexMap<String, Metric>,
    /// The date field from which a newcomer's months are counted.
    pub opening_field: Option<String>,
}

/// What metrics need of the totals by product; each includes what stands before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProductsRead {
    /// Nothing of them.
    #[default]
    Nothing,
    /// Which products there were.
    Codes,
    /// Their sums.
    Sums,
}

impl Definitions {
    /// Every fault of the declarations, with a pointer into the manifest (`/metrics/monthly_volume/measure`).
    pub fn check(&self, fields: &Fields) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (key, kind) in &self.kinds {
            let at = format!("/kinds/{key}");
            if let Some(base) = &kind.subtracts_from {
                match self.kinds.get(base) {
                    Some(base_kind) if base_kind.subtracts_from.is_none() => {}
                    Some(_) => faults.push(Fault::new(
                        format!("{at}/subtracts_from"),
                        "kind",
                        format!("'{base}' itself subtracts from another kind"),
                    )),
                    None => {
                        let hint = did_you_mean(base, self.kinds.keys().map(String::as_str));
                        let detail = format!("there is no kind '{base}'{hint}");
                        faults.push(Fault::new(format!("{at}/subtracts_from"), "unknown_kind", detail));
                    }
                }
            }
            if self.measures(key).is_empty() {
                faults.push(Fault::new(at, "measures", format!("the kind '{key}' declares no measures")));
            }
        }
        for key in self.observations.keys().filter(|key| self.kinds.contains_key(*key)) {
            let detail = format!("'{key}' is already the key of a kind of transactions");
            faults.push(Fault::new(format!("/observations/{key}"), "doubled", detail));
        }
        for (key, metric) in &self.metrics {
            if fields.get(key).is_some() {
                let detail = format!("'{key}' is already the key of a field");
                faults.push(Fault::new(format!("/metrics/{key}"), "doubled", detail));
            }
            faults.extend(self.check_metric(metric).into_iter().map(|fault| fault.under(&format!("/metrics/{key}"))));
        }
        if let Some(key) = &self.opening_field
            && fields.get(key).is_none_or(|field| field.field_type != FieldType::Date)
        {
            let detail = format!("'{key}' is not a field of type date");
            faults.push(Fault::new("/pack/opening_field", "unknown_field", detail));
        }
        faults
    }

    fn check_metric(&self, metric: &Metric) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |part: &str, code: &str, detail: String| faults.push(Fault::new(part, code, detail));
        if let Some(kind) = self.observations.get(&metric.kind) {
            return metric.check_over(kind);
        }
        if metric.function.is_of_observations_alone() && self.kinds.contains_key(&metric.kind) {
            fault("/function", "function", "the function is one over observations".to_owned());
            return faults;
        }
        if !self.kinds.contains_key(&metric.kind) {
            let known = self.kinds.keys().chain(self.observations.keys()).map(String::as_str);
            let hint = did_you_mean(&metric.kind, known);
            fault("/kind", "unknown_kind", format!("there is no kind '{}'{hint}", metric.kind));
            return faults;
        }
        let measures = self.measures(&metric.kind);
        for (part, measure, wanted) in [
            ("/measure", &metric.measure, metric.function.reads_measure()),
            ("/of", &metric.of, metric.function == Function::Ratio),
        ] {
            match measure {
                None if wanted => {
                    fault("", "measure", format!("the function needs '{}'", part.trim_start_matches('/')));
                }
                Some(name) if !measures.contains(name) => {
                    let hint = did_you_mean(name, measures.iter().map(String::as_str));
                    fault(part, "unknown_measure", format!("the kind '{}' has no measure '{name}'{hint}", metric.kind));
                }
                Some(_) if !wanted => fault(part, "measure", "the function reads no such measure".to_owned()),
                _ => {}
            }
        }
        let has_products = self.kinds.get(&metric.kind).is_some_and(|kind| kind.products);
        if metric.reads_products() > ProductsRead::Nothing && !has_products {
            fault("/kind", "products", format!("the kind '{}' has no products", metric.kind));
        }
        if metric.category.is_some()
            && !matches!(
                metric.function,
                Function::Sum
                    | Function::MeanPerMonth
                    | Function::Growth
                    | Function::Ratio
                    | Function::AveragePrice
                    | Function::Breadth
                    | Function::Concentration
            )
        {
            fault("/category", "category", "the function is not kept by category".to_owned());
        }
        let by_month = matches!(metric.function, Function::MeanPerMonth | Function::ActiveMonths);
        faults.extend(metric.check_window(by_month));
        if metric.half_life.is_some() {
            faults.push(Fault::new("/half_life", "function", "a half-life belongs to a decayed_sum"));
        }
        faults
    }

    /// The measures of a kind: its own, or those of the kind it subtracts from.
    pub fn measures(&self, kind: &str) -> &[String] {
        let Some(kind) = self.kinds.get(kind) else { return &[] };
        match &kind.subtracts_from {
            Some(base) if kind.measures.is_empty() => self.kinds.get(base).map_or(&[], |base| base.measures.as_slice()),
            _ => &kind.measures,
        }
    }

    /// What metrics need of the totals by product.
    pub fn read_products(&self) -> ProductsRead {
        self.metrics.values().map(Metric::reads_products).max().unwrap_or_default()
    }

    /// Whether any metric needs the categories of products.
    pub fn read_categories(&self) -> bool {
        self.metrics.values().any(|metric| metric.category.is_some())
    }

    /// The first and last day of transactions that any metric reads as of a date; nothing when there are no such metrics.
    pub fn reach(&self, as_of: Date) -> Option<Period> {
        let periods = || self.of_transactions().flat_map(move |metric| metric.periods(as_of));
        Some(Period { from: periods().map(|p| p.from).min()?, to: periods().map(|p| p.to).max()? })
    }

    /// The kinds of transactions that any metric reads.
    pub fn kinds_read(&self) -> BTreeSet<&str> {
        self.of_transactions().flat_map(|metric| self.read_kinds(&metric.kind)).map(|(kind, _)| kind).collect()
    }

    /// The measures of transactions that any metric reads.
    pub fn measures_read(&self) -> BTreeSet<&str> {
        self.of_transactions().flat_map(Metric::read_measures).collect()
    }

    /// The kinds of observations that any metric reads as of a date, each with the first and last day.
    pub fn observed(&self, as_of: Date) -> BTreeMap<&str, Period> {
        let mut read: BTreeMap<&str, Period> = BTreeMap::new();
        for metric in self.metrics.values().filter(|metric| self.observations.contains_key(&metric.kind)) {
            let window = metric.window.period(as_of);
            let known = read.entry(metric.kind.as_str()).or_insert(window);
            *known = Period { from: known.from.min(window.from), to: known.to.max(window.to) };
        }
        read
    }

    /// Whom a metric is of.
    pub fn subject_of(&self, metric: &Metric) -> SubjectKind {
        self.observations.get(&metric.kind).map(|kind| kind.subject).unwrap_or_default()
    }

    /// What is declared about one kind of subjects.
    pub fn of(&self, subject: SubjectKind) -> Self {
        let mut own = self.clone();
        own.metrics.retain(|_, metric| self.subject_of(metric) == subject);
        own.observations.retain(|_, kind| kind.subject == subject);
        own
    }

    fn of_transactions(&self) -> impl Iterator<Item = &Metric> {
        self.metrics.values().filter(|metric| !self.observations.contains_key(&metric.kind))
    }

    /// The parts of months that metrics read as of a date, by kind: totals don't have them, lines do.
    /// A part that reaches the last day with data is as good as a whole month and is left out.
    pub fn parts(&self, as_of: Date, known_until: Date) -> BTreeSet<(String, Period)> {
        let mut parts = BTreeSet::new();
        for metric in self.of_transactions() {
            for piece in metric.periods(as_of).flat_map(Period::pieces) {
                if !complete(piece, known_until).is_whole_month() {
                    parts.extend(self.read_kinds(&metric.kind).map(|(kind, _)| (kind.to_owned(), piece)));
                }
            }
        }
        parts
    }

    /// The first day after `as_of` on which time alone can change the value of a metric; nothing where it comes of no observations, since
    /// time adds none.
    pub fn next_change(&self, key: &str, value: Option<&str>, as_of: Date) -> Option<Date> {
        let metric = self.metrics.get(key)?;
        let of_nothing = |kind: &ObservationKind| match (value, metric.function) {
            (None, _) | (Some("0"), Function::Count | Function::Any) => true,
            // Values that cancel each other out come to 0 as well.
            (Some("0"), _) => !kind.value || kind.min.is_some_and(|min| min > Decimal::ZERO),
            _ => false,
        };
        let waits = self.observations.get(&metric.kind).is_some_and(of_nothing);
        (!waits).then(|| metric.next_change(as_of))
    }

    /// The opening date in a customer's file.
    pub fn opened_on(&self, values: &Values) -> Option<Date> {
        match values.get(self.opening_field.as_ref()?) {
            Some(Value::Date(date)) => Some(*date),
            _ => None,
        }
    }

    /// Whether a metric counts transactions of a kind on a day, as of a date.
    pub fn counts(&self, metric: &Metric, kind: &str, on: Date, as_of: Date) -> bool {
        self.read_kinds(&metric.kind).any(|(read, _)| read == kind)
            && metric.periods(as_of).any(|period| (period.from..=period.to).contains(&on))
    }

    /// The kinds a metric reads.
    pub fn kinds_of<'a>(&'a self, metric: &'a Metric) -> impl Iterator<Item = &'a Kind> {
        self.read_kinds(&metric.kind).filter_map(|(kind, _)| self.kinds.get(kind))
    }

    /// The kinds a metric reads, each with the sign of its sums.
    pub(super) fn read_kinds<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, Decimal)> {
        let subtracting = self.kinds.iter().filter(move |(_, k)| k.subtracts_from.as_deref() == Some(kind));
        std::iter::once((kind, Decimal::ONE)).chain(subtracting.map(|(key, _)| (key.as_str(), Decimal::NEGATIVE_ONE)))
    }
}

impl Function {
    /// Whether the declaration names a measure.
    fn reads_measure(self) -> bool {
        matches!(
            self,
            Self::Sum
                | Self::MeanPerMonth
                | Self::Growth
                | Self::Ratio
                | Self::Concentration
                | Self::Minimum
                | Self::Maximum
        )
    }
}

impl Metric {
    /// The measures that it reads.
    pub fn read_measures(&self) -> impl Iterator<Item = &str> {
        let of_price: &[&str] = if self.function == Function::AveragePrice { &[AMOUNT, QUANTITY] } else { &[] };
        of_price.iter().copied().chain(self.measure.as_deref()).chain(self.of.as_deref())
    }

    fn reads_products(&self) -> ProductsRead {
        match self.function {
            Function::Breadth => ProductsRead::Codes,
            Function::Concentration => ProductsRead::Sums,
            _ if self.category.is_some() => ProductsRead::Sums,
            _ => ProductsRead::Nothing,
        }
    }

    fn check_over(&self, kind: &ObservationKind) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |part: &str, code: &str, detail: &str| faults.push(Fault::new(part, code, detail));
        if !self.function.reads_observations() {
            fault(
                "/function",
                "function",
                "over observations there are count, any, latest, mean, sum, minimum, maximum, last_date, recency and decayed_sum",
            );
        } else if self.function.reads_values() && !kind.value {
            fault("/function", "function", "observations of this kind have no value");
        }
        for (part, given) in [("/measure", &self.measure), ("/of", &self.of)] {
            if given.is_some() {
                fault(part, "measure", "an observation has one value, and no measures");
            }
        }
        if self.category.is_some() {
            fault("/category", "category", "observations name no products");
        }
        match (self.function == Function::DecayedSum, self.half_life) {
            (true, Some(days)) if (1..=MAX_HALF_LIFE).contains(&days) => {}
            (true, _) => {
                fault("", "function", &format!("a decayed_sum needs 'half_life', from 1 to {MAX_HALF_LIFE} days"))
            }
            (false, Some(_)) => fault("/half_life", "function", "a half-life belongs to a decayed_sum"),
            (false, None) => {}
        }
        faults.extend(self.check_window(false));
        faults
    }

    fn check_window(&self, by_month: bool) -> Option<Fault> {
        let allowed = match self.window {
            Window::FullMonths(months) => (1..=60).contains(&months),
            Window::MonthToDate(yes) => yes && !by_month,
            Window::Days(days) => (1..=1830).contains(&days) && !by_month,
        };
        let rule = "full_months from 1 to 60; or, but not for a function by month, month_to_date = true or days from 1 to 1830";
        (!allowed).then(|| Fault::new("/window", "window", format!("the window is one of: {rule}")))
    }

    /// The first day after `as_of` on which time alone can change the value: a day leaves the window or grows older, or the
    /// window moves.
    pub fn next_change(&self, as_of: Date) -> Date {
        let daily = match self.window {
            _ if self.function == Function::DecayedSum => true,
            Window::Days(_) => true,
            Window::MonthToDate(_) => matches!(self.function, Function::Recency | Function::Growth),
            Window::FullMonths(_) => self.function == Function::Recency,
        };
        if daily { as_of.tomorrow().unwrap_or(Date::MAX) } else { Month::of(as_of).plus(1).period().from }
    }

    fn periods(&self, as_of: Date) -> impl Iterator<Item = Period> {
        let previous = (self.function == Function::Growth).then(|| self.window.previous(as_of));
        std::iter::once(self.window.period(as_of)).chain(previous)
    }

    /// The type of its values.
    pub fn value_type(&self) -> FieldType {
        if self.function == Function::LastDate { FieldType::Date } else { FieldType::Decimal }
    }
}
