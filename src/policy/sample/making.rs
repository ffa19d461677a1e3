//! Making a sample's customers and their transactions, one customer after the other. Each has chance of his own, so that he
//! is the same however many there are, and each kind has, so that another kind changes nothing in it.

use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::chance::{Chance, divided, power, round, times};
use super::model::{Draw, Generate, KindPlan, Monthly, Number, Origin, Stop};
use super::scene::Scene;
use crate::customers::model::Value;
use crate::transactions::model::{MAX_LINES, Month};

/// Streams of chance that each customer has: one for himself, one for each kind.
const STREAMS: u64 = 256;
/// Most transactions of one kind that one month brings a customer.
const MOST_A_MONTH: u32 = 1_000;

/// A customer that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedCustomer {
    /// His number, from 1.
    pub number: u32,
    /// His code.
    pub code: String,
    /// His name.
    pub name: String,
    /// False when he has closed.
    pub active: bool,
    /// His fields and hidden values, in the order of [`Generate::values`]; absent ones are nothing.
    pub values: Vec<Option<Value>>,
    growth: Decimal,
    opened: Option<Date>,
    stopped: Option<Date>,
}

/// A transaction that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedTransaction {
    /// Its date.
    pub on: Date,
    /// Its lines, at least one.
    pub lines: Vec<GeneratedLine>,
}

/// A line of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedLine {
    /// Place of its product in [`Generate::products`].
    pub product: Option<usize>,
    /// Its measures, in the order of [`KindPlan::names`]; absent ones are nothing.
    pub measures: Vec<Option<Decimal>>,
}

/// Makes customers and transactions.
pub struct Making<'g> {
    generate: &'g Generate,
    seed: u64,
}

impl<'g> Making<'g> {
    /// Makes what this says, beginning with this seed.
    pub fn new(generate: &'g Generate, seed: u64) -> Self {
        Self { generate, seed }
    }

    /// The customer of this number, from 1.
    pub fn customer(&self, number: u32) -> GeneratedCustomer {
        let generate = self.generate;
        let mut chance = self.chance(number, 0);
        let mut values = Vec::with_capacity(generate.values.len());
        for value in &generate.values {
            let scene = self.scene(number, &values);
            let absent = value.absent.as_ref().is_some_and(|absent| scene.happens(absent, &mut chance));
            let leaf = (!absent).then(|| scene.draw(&value.draw, &mut chance)).flatten();
            let drawn = leaf.and_then(|leaf| scene.leaf(leaf, &mut chance));
            values.push(drawn);
        }
        let scene = self.scene(number, &values);
        let code = scene.pattern(std::slice::from_ref(&generate.code), &mut chance);
        let name = scene.pattern(&generate.names, &mut chance);
        let growth = generate.growth.as_ref().map(|growth| scene.number(growth, &mut chance)).unwrap_or_default();
        let opened = generate.opening.and_then(|place| match values.get(place) {
            Some(Some(Value::Date(date))) => Some(*date),
            _ => None,
        });
        let mut stop = |stop: &Option<Stop>| {
            let stop = stop.as_ref().filter(|stop| scene.happens(&stop.chance, &mut chance))?;
            let date = scene.months_before(&stop.months_before, &mut chance);
            opened.is_none_or(|opened| date > opened).then_some(date)
        };
        let closed = stop(&generate.closed);
        let stopped = closed.or_else(|| stop(&generate.silent));
        GeneratedCustomer { number, code, name, active: closed.is_none(), values, growth, opened, stopped }
    }

    /// His transactions, for each kind in the order of [`Generate::kinds`], by date.
    pub fn transactions(&self, customer: &GeneratedCustomer) -> Vec<Vec<GeneratedTransaction>> {
        let mut made: Vec<Vec<GeneratedTransaction>> = Vec::with_capacity(self.generate.kinds.len());
        for (stream, plan) in (1..).zip(&self.generate.kinds) {
            let chance = self.chance(customer.number, stream);
            let scene = self.scene(customer.number, &customer.values);
            let mut of_kind = OfKind { generate: self.generate, customer, plan, scene, chance };
            let mut transactions = of_kind.all(&made);
            transactions.sort_by_key(|transaction| transaction.on);
            made.push(transactions);
        }
        made
    }

    fn chance(&self, number: u32, stream: u64) -> Chance {
        Chance::new(self.seed, u64::from(number) * STREAMS + stream)
    }

    fn scene<'a>(&'a self, number: u32, values: &'a [Option<Value>]) -> Scene<'a> {
        Scene::of_customer(self.generate.business_date, number, &self.generate.lists, values)
    }
}

/// The making of one customer's transactions of one kind.
struct OfKind<'a> {
    generate: &'a Generate,
    customer: &'a GeneratedCustomer,
    plan: &'a KindPlan,
    scene: Scene<'a>,
    chance: Chance,
}

impl OfKind<'_> {
    fn all(&mut self, made: &[Vec<GeneratedTransaction>]) -> Vec<GeneratedTransaction> {
        let plan = self.plan;
        if plan.share.as_ref().is_some_and(|share| !self.scene.happens(share, &mut self.chance)) {
            return Vec::new();
        }
        match &plan.origin {
            Origin::Monthly(monthly) => self.monthly(monthly),
            Origin::Follows { kind, chance, days_after } => {
                let followed = made.get(*kind).map(Vec::as_slice).unwrap_or_default();
                followed.iter().filter_map(|followed| self.following(followed, chance.as_ref(), days_after)).collect()
            }
        }
    }

    /// Whether he could have a transaction on this date.
    fn may_be(&self, on: Date) -> bool {
        let Self { customer, generate, .. } = self;
        on < generate.business_date
            && customer.opened.is_none_or(|opened| on >= opened)
            && customer.stopped.is_none_or(|stopped| on < stopped)
    }

    fn monthly(&mut self, monthly: &Monthly) -> Vec<GeneratedTransaction> {
        let plain = self.scene;
        let current = Month::of(self.generate.business_date);
        let seasons = monthly.seasons.as_ref().and_then(|draw: &Draw<_>| plain.draw(draw, &mut self.chance));
        let chances: Vec<Decimal> = monthly
            .products
            .iter()
            .filter_map(|place| self.generate.products.get(*place))
            .map(|product| plain.number(&product.weight, &mut self.chance))
            .collect();
        let mut made = Vec::new();
        for back in (0..=i32::from(monthly.months)).rev() {
            let first = current.plus(-back).period().from;
            let place = usize::try_from(first.month() - 1).unwrap_or_default();
            let season = seasons.and_then(|factors: &Vec<Decimal>| factors.get(place)).copied();
            let trend = self.trend(back);
            self.scene = Scene { season: season.unwrap_or(Decimal::ONE), trend, ..plain };
            for _ in 0..self.count(monthly) {
                let on = self.day(first, monthly.days);
                let lines = self.lines(monthly, &chances);
                if self.may_be(on) {
                    made.push(GeneratedTransaction { on, lines });
                }
            }
        }
        made
    }

    /// What the customer's growth makes of 1, so many months before the business date.
    fn trend(&self, months: i32) -> Decimal {
        if self.customer.growth.is_zero() {
            return Decimal::ONE;
        }
        power(Decimal::ONE + self.customer.growth, divided(Decimal::from(-months), Decimal::from(12)))
    }

    fn count(&mut self, monthly: &Monthly) -> u32 {
        let mean = self.scene.number(&monthly.per_month, &mut self.chance);
        let count = if monthly.regular {
            let whole = mean.floor().to_u32().unwrap_or_default();
            whole.saturating_add(u32::from(self.chance.happens(mean.fract())))
        } else {
            self.chance.poisson(mean)
        };
        count.min(MOST_A_MONTH)
    }

    fn day(&mut self, first: Date, days: Option<(i8, i8)>) -> Date {
        let (from, to) = days.unwrap_or((1, first.days_in_month()));
        let drawn = self.chance.below(u32::try_from(to - from).unwrap_or_default() + 1);
        first.saturating_add((i64::from(from) - 1 + i64::from(drawn)).days())
    }

    fn lines(&mut self, monthly: &Monthly, weights: &[Decimal]) -> Vec<GeneratedLine> {
        if !self.plan.with_products {
            return vec![self.line(None)];
        }
        let scene = self.scene;
        let wanted = monthly.lines.as_ref().map_or(Decimal::ONE, |lines| scene.number(lines, &mut self.chance));
        let wanted = round(wanted, 0).to_usize().unwrap_or_default().clamp(1, MAX_LINES.min(weights.len()).max(1));
        let mut weights = weights.to_vec();
        let mut lines = Vec::with_capacity(wanted);
        while lines.len() < wanted {
            let Some(place) = self.chance.pick(&weights) else { break };
            if let Some(weight) = weights.get_mut(place) {
                *weight = Decimal::ZERO;
            }
            lines.push(self.line(monthly.products.get(place).copied()));
        }
        lines
    }

    fn following(
        &mut self,
        followed: &GeneratedTransaction,
        chance: Option<&Number>,
        days_after: &Number,
    ) -> Option<GeneratedTransaction> {
        let (plain, generate) = (self.scene, self.generate);
        let (product, measures) = if self.plan.with_products {
            let line = followed.lines.get(self.chance.place(followed.lines.len()))?;
            (line.product, line.measures.clone())
        } else {
            (None, sums(&followed.lines))
        };
        let sold = product.and_then(|place| generate.products.get(place));
        let scene = Scene { followed: &measures, product: sold, ..plain };
        let happens = chance.is_none_or(|chance| scene.happens(chance, &mut self.chance));
        let delay = round(scene.number(days_after, &mut self.chance), 0).max(Decimal::ZERO);
        let on = scene.days_after(followed.on, delay);
        let line = line(self.plan, &Scene { delay, ..scene }, product, &mut self.chance);
        (happens && self.may_be(on)).then(|| GeneratedTransaction { on, lines: vec![line] })
    }

    fn line(&mut self, product: Option<usize>) -> GeneratedLine {
        let scene = Scene { product: product.and_then(|place| self.generate.products.get(place)), ..self.scene };
        line(self.plan, &scene, product, &mut self.chance)
    }
}

/// A line with every measure that the plan makes.
fn line(plan: &KindPlan, scene: &Scene<'_>, product: Option<usize>, chance: &mut Chance) -> GeneratedLine {
    let mut measures = vec![None; plan.names.len()];
    for measure in &plan.measures {
        let scene = Scene { measures: &measures, ..*scene };
        let whole = scene.number(&measure.number, chance).max(Decimal::ZERO);
        let weights: Vec<Decimal> = measure.parts.iter().map(|(_, weight)| scene.number(weight, chance)).collect();
        let parts = divide(whole, &weights, measure.number.places.unwrap_or_default());
        let places = measure.parts.iter().map(|(place, _)| *place);
        for (place, value) in std::iter::once((measure.measure, whole)).chain(places.zip(parts)) {
            if let Some(slot) = measures.get_mut(place) {
                *slot = Some(value);
            }
        }
    }
    GeneratedLine { product, measures }
}

/// Parts in the proportion of weights: none negative, their sum exactly the whole; all of it is in the last where no weight is
/// above 0.
fn divide(whole: Decimal, weights: &[Decimal], places: u32) -> Vec<Decimal> {
    let positive = |weight: &Decimal| (*weight).max(Decimal::ZERO);
    let all: Decimal = weights.iter().map(positive).sum();
    let (mut weight, mut before) = (Decimal::ZERO, Decimal::ZERO);
    let parts = weights.iter().enumerate().map(|(place, own)| {
        weight += positive(own);
        let last = place + 1 == weights.len();
        let until = if last { whole } else { round(times(whole, divided(weight, all)), places) };
        let part = until - before;
        before = until;
        part
    });
    parts.collect()
}

/// The sum of each measure over lines.
fn sums(lines: &[GeneratedLine]) -> Vec<Option<Decimal>> {
    let width = lines.first().map_or(0, |line| line.measures.len());
    let sum = |place: usize| {
        let values = lines.iter().filter_map(|line| line.measures.get(place).copied().flatten());
        values.fold(None, |sum, value| Some(sum.unwrap_or(Decimal::ZERO) + value))
    };
    (0..width).map(sum).collect()
}
