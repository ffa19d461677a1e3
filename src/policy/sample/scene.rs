//! Drawing: what a number, a choice or a field's value is, given what is known where it is asked for.

use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::chance::{Chance, divided, power, round, times};
use super::model::{Base, Choose, Draw, GeneratedProduct, Leaf, Number, Pattern, Piece, Reference};
use crate::customers::model::Value;
use crate::policy::host::dates::months;

/// Days of a month, on average: 365.25 / 12.
const DAYS_OF_A_MONTH: Decimal = Decimal::from_parts(304_375, 0, 0, false, 4);
/// Places of a number that says nothing about them.
const PLACES: u32 = 9;

/// What is known where something is drawn.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub business_date: Date,
    /// The customer's number, from 1.
    pub number: u32,
    pub lists: &'a [Vec<String>],
    /// His fields and hidden values as far as they are made.
    pub values: &'a [Option<Value>],
    pub measures: &'a [Option<Decimal>],
    /// Measures of what is followed.
    pub followed: &'a [Option<Decimal>],
    pub season: Decimal,
    pub trend: Decimal,
    pub delay: Decimal,
    pub product: Option<&'a GeneratedProduct>,
}

impl<'a> Scene<'a> {
    /// What is known of a customer before anything else is.
    pub(super) fn of_customer(
        business_date: Date,
        number: u32,
        lists: &'a [Vec<String>],
        values: &'a [Option<Value>],
    ) -> Self {
        let (measures, followed, product): (&[_], &[_], _) = (&[], &[], None);
        let (season, trend, delay) = (Decimal::ONE, Decimal::ONE, Decimal::ZERO);
        Self { business_date, number, lists, values, measures, followed, season, trend, delay, product }
    }

    /// Draws a number.
    pub(super) fn number(&self, number: &Number, chance: &mut Chance) -> Decimal {
        let mut drawn = self.base(&number.base, chance);
        if let Some(exponent) = &number.power {
            drawn = power(drawn, self.number(exponent, chance));
        }
        for factor in &number.times {
            drawn = times(drawn, self.number(factor, chance));
        }
        for divisor in &number.divided_by {
            drawn = divided(drawn, self.number(divisor, chance));
        }
        for more in &number.plus {
            drawn += self.number(more, chance);
        }
        if let Some(min) = &number.min {
            drawn = drawn.max(self.number(min, chance));
        }
        if let Some(max) = &number.max {
            drawn = drawn.min(self.number(max, chance));
        }
        round(drawn, number.places.unwrap_or(PLACES))
    }

    fn base(&self, base: &Base, chance: &mut Chance) -> Decimal {
        let two = |pair: &[Number; 2], chance: &mut Chance| {
            let [first, second] = pair;
            (self.number(first, chance), self.number(second, chance))
        };
        match base {
            Base::Constant(number) => *number,
            Base::Of(reference) => self.value(*reference),
            Base::Uniform(pair) => {
                let (low, high) = two(pair, chance);
                low + times(high - low, chance.unit())
            }
            Base::Whole(pair) => {
                let (low, high) = two(pair, chance);
                let count = (high.floor() - low.ceil()).to_u32().map_or(0, |more| more.saturating_add(1));
                low.ceil() + Decimal::from(chance.below(count))
            }
            Base::Normal(pair) => {
                let (mean, deviation) = two(pair, chance);
                mean + times(deviation, chance.normal())
            }
            Base::LogNormal(pair) => {
                let (median, spread) = two(pair, chance);
                chance.lognormal(median, spread)
            }
            Base::Choose(choose) => self.choose(choose, chance).map_or(Decimal::ZERO, |n| self.number(n, chance)),
        }
    }

    /// Chooses one; nothing where the value is none of the cases and nothing else is said.
    pub(super) fn choose<'c, T>(&self, choose: &'c Choose<T>, chance: &mut Chance) -> Option<&'c T> {
        match choose {
            Choose::Mix(cases) => self.pick(cases, chance),
            Choose::Is { key, cases, otherwise } => {
                let is = self.text(*key);
                let found = cases.iter().find(|(value, _)| is.as_deref() == Some(value));
                found.map(|(_, case)| case).or(otherwise.as_deref())
            }
            Choose::From { key, cases, otherwise } => {
                let reached = self.value(*key);
                let found = cases.iter().find(|(from, _)| reached >= *from);
                found.map(|(_, case)| case).or(otherwise.as_deref())
            }
        }
    }

    /// Draws what may be chosen among several.
    pub(super) fn draw<'c, T>(&self, draw: &'c Draw<T>, chance: &mut Chance) -> Option<&'c T> {
        match draw {
            Draw::One(one) => Some(one),
            Draw::Choose(choose) => self.draw(self.choose(choose, chance)?, chance),
        }
    }

    /// One by weight.
    fn pick<'c, T>(&self, cases: &'c [(Number, T)], chance: &mut Chance) -> Option<&'c T> {
        let weights: Vec<Decimal> = cases.iter().map(|(weight, _)| self.number(weight, chance)).collect();
        chance.pick(&weights).and_then(|place| cases.get(place)).map(|(_, case)| case)
    }

    /// Whether something of this probability happens.
    pub(super) fn happens(&self, probability: &Number, chance: &mut Chance) -> bool {
        let probability = self.number(probability, chance);
        chance.happens(probability)
    }

    /// Draws the value of a field.
    pub(super) fn leaf(&self, leaf: &Leaf, chance: &mut Chance) -> Option<Value> {
        Some(match leaf {
            Leaf::Number { number, min, max } => {
                let drawn = self.number(number, chance);
                let drawn = min.map_or(drawn, |min| drawn.max(min));
                Value::Number(max.map_or(drawn, |max| drawn.min(max)))
            }
            Leaf::Weights(weights) => Value::Text(self.pick(weights, chance)?.clone()),
            Leaf::Chances(chances) => {
                let chosen: Vec<String> = chances
                    .iter()
                    .filter(|(probability, _)| self.happens(probability, chance))
                    .map(|(_, choice)| choice.clone())
                    .collect();
                (!chosen.is_empty()).then_some(Value::Choices(chosen))?
            }
            Leaf::Chance(probability) => Value::Boolean(self.happens(probability, chance)),
            Leaf::Between(first, last) => {
                let days = u32::try_from((*last - *first).get_days()).unwrap_or_default();
                Value::Date(self.days_after(*first, Decimal::from(chance.below(days.saturating_add(1)))))
            }
            Leaf::MonthsBefore(number) => Value::Date(self.months_before(number, chance)),
            Leaf::DaysAfter(number, of) => {
                let Reference::Value(place) = of else { return None };
                let Value::Date(date) = self.values.get(*place)?.as_ref()? else { return None };
                Value::Date(self.days_after(*date, self.number(number, chance)))
            }
            Leaf::Text(patterns) => Value::Text(self.pattern(patterns, chance)),
        })
    }

    /// A date so many months before the business date.
    pub(super) fn months_before(&self, number: &Number, chance: &mut Chance) -> Date {
        let days = times(self.number(number, chance), DAYS_OF_A_MONTH);
        self.days_after(self.business_date, -days)
    }

    /// A date so many days later, rounded.
    pub(super) fn days_after(&self, date: Date, days: Decimal) -> Date {
        date.saturating_add(round(days, 0).to_i32().unwrap_or_default().clamp(-400_000, 400_000).days())
    }

    /// A text after one of these patterns.
    pub(super) fn pattern(&self, patterns: &[Pattern], chance: &mut Chance) -> String {
        let mut text = String::new();
        let Some(Pattern(pieces)) = patterns.get(chance.place(patterns.len())) else { return text };
        for piece in pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Number(width) => text.push_str(&format!("{:0width$}", self.number)),
                Piece::Digits(count) => text.extend((0..*count).filter_map(|_| char::from_digit(chance.below(10), 10))),
                Piece::Letters(count) => text.extend(
                    (0..*count)
                        .filter_map(|_| char::from_digit(10 + chance.below(26), 36))
                        .map(|c| c.to_ascii_uppercase()),
                ),
                Piece::List(place) => {
                    let entries = self.lists.get(*place).map(Vec::as_slice).unwrap_or_default();
                    text.push_str(entries.get(chance.place(entries.len())).map(String::as_str).unwrap_or_default());
                }
                Piece::Value(reference) => text.push_str(&self.text(*reference).unwrap_or_default()),
            }
        }
        text
    }

    /// What a key stands for, as a number: 0 where it is absent.
    fn value(&self, reference: Reference) -> Decimal {
        let at = |values: &[Option<Decimal>], place: usize| values.get(place).copied().flatten().unwrap_or_default();
        match reference {
            Reference::Value(place) => match self.values.get(place).and_then(Option::as_ref) {
                Some(Value::Number(number)) => *number,
                Some(Value::Boolean(yes)) => Decimal::from(u8::from(*yes)),
                Some(Value::Date(date)) => Decimal::from(months(*date, self.business_date)),
                Some(Value::Text(_) | Value::Choices(_)) | None => Decimal::ZERO,
            },
            Reference::Measure(place) => at(self.measures, place),
            Reference::Followed(place) => at(self.followed, place),
            Reference::Season => self.season,
            Reference::Trend => self.trend,
            Reference::Price => self.product.map(|product| product.price).unwrap_or_default(),
            Reference::Delay => self.delay,
            Reference::Product | Reference::Category => Decimal::ZERO,
        }
    }

    /// What a key stands for, as text.
    fn text(&self, reference: Reference) -> Option<String> {
        match reference {
            Reference::Value(place) => self.values.get(place)?.as_ref().map(ToString::to_string),
            Reference::Product => self.product.map(|product| product.code.clone()),
            Reference::Category => self.product.map(|product| product.category.clone()),
            _ => Some(round(self.value(reference), PLACES).normalize().to_string()),
        }
    }
}
