//! What `[generate]` of a sample says, checked and with every key resolved: by which distributions data are made.

use rust_decimal::Decimal;

use jiff::civil::Date;

/// By which distributions a sample's customers and transactions are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generate {
    /// The sample's "today": everything happened before it.
    pub business_date: Date,
    /// How many customers, unless somebody says otherwise.
    pub customers: u32,
    /// Where chance begins, unless somebody says otherwise.
    pub seed: u64,
    /// Fields and hidden values, each after those that it relates to.
    pub values: Vec<CustomerValue>,
    /// Products.
    pub products: Vec<GeneratedProduct>,
    /// Kinds of transactions, each after the one that it follows.
    pub kinds: Vec<KindPlan>,
    pub(super) code: Pattern,
    pub(super) names: Vec<Pattern>,
    pub(super) lists: Vec<Vec<String>>,
    pub(super) growth: Option<Number>,
    pub(super) closed: Option<Stop>,
    pub(super) silent: Option<Stop>,
    /// Where the date stands from which a customer has transactions.
    pub(super) opening: Option<usize>,
}

/// That some customers have no transactions since a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub chance: Number,
    pub months_before: Number,
}

/// A field of the customer file, or a hidden value to which others relate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerValue {
    /// Its key.
    pub key: String,
    /// Whether nobody sees it.
    pub hidden: bool,
    pub(super) draw: Draw<Leaf>,
    pub(super) absent: Option<Number>,
}

/// A product of the sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedProduct {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its category.
    pub category: String,
    /// Its unit.
    pub unit: String,
    /// What one unit of it is in the pack's unit.
    pub factor: Decimal,
    pub(super) price: Decimal,
    pub(super) weight: Number,
}

/// How the transactions of one kind are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindPlan {
    /// The kind.
    pub kind: String,
    /// Its measures, in the order of the lines' values.
    pub names: Vec<String>,
    /// Whether its lines name products.
    pub with_products: bool,
    /// Whether it is one of observations, whose value is the only measure.
    pub observed: bool,
    pub(super) origin: Origin,
    pub(super) share: Option<Number>,
    pub(super) measures: Vec<MeasurePlan>,
}

/// Why there is a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Monthly(Monthly),
    /// It follows one of another kind, by its place among the kinds.
    Follows {
        kind: usize,
        chance: Option<Number>,
        days_after: Number,
    },
}

/// So many a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Monthly {
    pub per_month: Number,
    pub regular: bool,
    pub months: u16,
    /// First and last day of the month, where not any will do.
    pub days: Option<(i8, i8)>,
    /// Twelve factors, January first.
    pub seasons: Option<Draw<Vec<Decimal>>>,
    pub lines: Option<Number>,
    /// Places of the products from which lines are chosen.
    pub products: Vec<usize>,
}

/// How a measure is made, and the others into which it is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MeasurePlan {
    pub measure: usize,
    pub number: Number,
    pub parts: Vec<(usize, Number)>,
}

/// Something whose value a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// A field or hidden value, by its place.
    Value(usize),
    /// A measure of the same line, by its place.
    Measure(usize),
    /// A measure of what is followed, by its place.
    Followed(usize),
    Season,
    Trend,
    Price,
    Delay,
    Product,
    Category,
}

/// A number that is drawn: its base, then what is applied to it in the order of the members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Number {
    pub base: Base,
    pub power: Option<Box<Number>>,
    pub times: Vec<Number>,
    pub divided_by: Vec<Number>,
    pub plus: Vec<Number>,
    pub min: Option<Box<Number>>,
    pub max: Option<Box<Number>>,
    pub places: Option<u32>,
}

/// Where a number comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Constant(Decimal),
    Of(Reference),
    Uniform(Box<[Number; 2]>),
    Whole(Box<[Number; 2]>),
    /// Mean and deviation.
    Normal(Box<[Number; 2]>),
    /// Median and spread.
    LogNormal(Box<[Number; 2]>),
    Choose(Box<Choose<Number>>),
}

impl Default for Base {
    fn default() -> Self {
        Self::Constant(Decimal::ZERO)
    }
}

/// One of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choose<T> {
    /// By weight.
    Mix(Vec<(Number, T)>),
    /// By what a value is.
    Is { key: Reference, cases: Vec<(String, T)>, otherwise: Option<Box<T>> },
    /// By what a number reaches first.
    From { key: Reference, cases: Vec<(Decimal, T)>, otherwise: Option<Box<T>> },
}

/// Something, perhaps chosen among several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Draw<T> {
    One(T),
    Choose(Box<Choose<Draw<T>>>),
}

/// How the value of a field is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// A number, kept within the field's bounds.
    Number { number: Number, min: Option<Decimal>, max: Option<Decimal> },
    /// A choice by weight.
    Weights(Vec<(Number, String)>),
    /// Several choices, each with its chance.
    Chances(Vec<(Number, String)>),
    /// True with a chance.
    Chance(Number),
    /// A date between two, both inside.
    Between(Date, Date),
    /// So many months before the business date.
    MonthsBefore(Number),
    /// So many days after another date.
    DaysAfter(Number, Reference),
    /// A text after one of these patterns.
    Text(Vec<Pattern>),
}

/// A text with places that are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(pub Vec<Piece>);

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    /// The customer's number, padded to so many digits.
    Number(usize),
    Digits(usize),
    Letters(usize),
    /// An entry of a list, by the list's place.
    List(usize),
    Value(Reference),
}

impl Number {
    /// Always this number.
    pub(super) fn constant(number: Decimal) -> Self {
        Self { base: Base::Constant(number), ..Self::default() }
    }
}

impl<T> Draw<T> {
    /// Shows everything that could be drawn.
    pub(super) fn each(&self, see: &mut dyn FnMut(&T)) {
        let choose = match self {
            Self::One(one) => return see(one),
            Self::Choose(choose) => choose,
        };
        let (cases, otherwise): (Vec<&Self>, _) = match choose.as_ref() {
            Choose::Mix(cases) => (cases.iter().map(|(_, case)| case).collect(), &None),
            Choose::Is { cases, otherwise, .. } => (cases.iter().map(|(_, case)| case).collect(), otherwise),
            Choose::From { cases, otherwise, .. } => (cases.iter().map(|(_, case)| case).collect(), otherwise),
        };
        cases.into_iter().chain(otherwise.as_deref()).for_each(|case| case.each(see));
    }
}
