//! Weights: a score as the weighted mean of its parts, the weight of absent parts spread over the others.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::rounded;
use crate::faults::did_you_mean;
use crate::policy::model::Indicator;

/// Weights by part.
#[derive(Debug)]
pub(crate) struct Weights {
    parts: BTreeMap<String, Decimal>,
}

/// What a part of a score is worth.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Its data are absent.
    Absent,
    /// A number.
    Number(Decimal),
    /// A score, whose parts become parts of the part.
    Score(Score),
}

/// A score and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Score {
    /// Rounded half up to 6 places; absent when every part is.
    pub(crate) value: Option<Decimal>,
    /// Its parts by key.
    pub(crate) indicators: Vec<Indicator>,
}

impl Score {
    /// Keys of the absent parts whose weight the others carry, those of nested scores included.
    pub(crate) fn spread(&self) -> Vec<&str> {
        fn gather<'a>(indicators: &'a [Indicator], keys: &mut Vec<&'a str>) {
            let some_present = indicators.iter().any(|indicator| indicator.value.is_some());
            for indicator in indicators {
                if indicator.value.is_none() && some_present {
                    keys.push(&indicator.key);
                }
                gather(&indicator.parts, keys);
            }
        }
        let mut keys = Vec::new();
        gather(&self.indicators, &mut keys);
        keys
    }
}

impl Score {
    /// How deep its parts nest, and how many there are altogether.
    pub(crate) fn extent(&self) -> (usize, usize) {
        fn of(indicators: &[Indicator]) -> (usize, usize) {
            let inner = indicators.iter().map(|indicator| of(&indicator.parts));
            let (levels, parts) =
                inner.fold((0, 0), |(deepest, all), (levels, parts)| (levels.max(deepest), all + parts));
            (levels + usize::from(!indicators.is_empty()), parts + indicators.len())
        }
        of(&self.indicators)
    }
}

impl Weights {
    /// Weights above zero.
    pub(crate) fn new(parts: BTreeMap<String, Decimal>) -> Result<Self, String> {
        if parts.is_empty() {
            return Err("weights want at least one part".to_owned());
        }
        if let Some((key, weight)) = parts.iter().find(|(_, weight)| **weight <= Decimal::ZERO) {
            return Err(format!("the weight {} of '{key}' isn't above 0", weight.normalize()));
        }
        Ok(Self { parts })
    }

    /// The score of exactly the declared parts. Their contributions add up to it.
    pub(crate) fn score(&self, parts: BTreeMap<&str, Part>) -> Result<Score, String> {
        if let Some(key) = parts.keys().find(|key| !self.parts.contains_key(**key)) {
            let hint = did_you_mean(key, self.parts.keys().map(String::as_str));
            return Err(format!("the weights have no part '{key}'{hint}"));
        }
        if let Some(key) = self.parts.keys().find(|key| !parts.contains_key(key.as_str())) {
            return Err(format!("the score lacks its part '{key}'; give absent() where there is no value"));
        }
        // The same keys, both in their order.
        let indicators = self.parts.iter().zip(parts.into_values()).map(|((key, weight), part)| {
            let (value, parts) = match part {
                Part::Absent => (None, Vec::new()),
                Part::Number(number) => (Some(number), Vec::new()),
                Part::Score(score) => (score.value, score.indicators),
            };
            let (value, weight) = (value.map(rounded), weight.normalize());
            Indicator { key: key.clone(), value, weight, contribution: None, parts }
        });
        let mut indicators: Vec<Indicator> = indicators.collect();
        let value = weigh(&mut indicators).ok_or("the numbers of the score are too large")?;
        Ok(Score { value, indicators })
    }
}

/// Enters the contributions and gives their sum, or nothing where a number becomes too large. Each is rounded for itself;
/// the last one takes what rounding left over, so that readers can add them up.
fn weigh(indicators: &mut [Indicator]) -> Option<Option<Decimal>> {
    let mut weights = Decimal::ZERO;
    let mut products = Decimal::ZERO;
    for indicator in indicators.iter() {
        if let Some(value) = indicator.value {
            weights = weights.checked_add(indicator.weight)?;
            products = products.checked_add(value.checked_mul(indicator.weight)?)?;
        }
    }
    if weights.is_zero() {
        return Some(None);
    }
    let total = rounded(products.checked_div(weights)?);
    let mut rest = total;
    let mut last = None;
    for indicator in indicators.iter_mut() {
        if let Some(value) = indicator.value {
            let contribution = rounded(value.checked_mul(indicator.weight)?.checked_div(weights)?);
            rest = rest.checked_sub(contribution)?;
            last = Some(indicator.contribution.insert(contribution));
        }
    }
    if let Some(last) = last {
        *last = last.checked_add(rest)?.normalize();
    }
    Some(Some(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weights(parts: &[(&str, Decimal)]) -> Result<Weights, String> {
        Weights::new(parts.iter().map(|(key, weight)| ((*key).to_owned(), *weight)).collect())
    }

    fn score(weights: &Weights, parts: &[(&str, Part)]) -> Result<Score, String> {
        weights.score(parts.iter().map(|(key, part)| (*key, part.clone())).collect())
    }

    #[test]
    fn a_score_is_the_weighted_mean() {
        let weights = weights(&[("contribution", dec!(35)), ("support", dec!(15))]).unwrap();
        let score =
            score(&weights, &[("contribution", Part::Number(dec!(80))), ("support", Part::Number(dec!(40)))]).unwrap();
        assert_eq!(score.value, Some(dec!(68)));
        assert_eq!(score.indicators[0].contribution, Some(dec!(56)));
        assert_eq!(score.indicators[1].contribution, Some(dec!(12)));
        assert!(score.spread().is_empty());
    }

    #[test]
    fn the_weight_of_an_absent_part_is_spread() {
        let weights = weights(&[("a", dec!(50)), ("b", dec!(30)), ("c", dec!(20))]).unwrap();
        let inner =
            score(&weights, &[("a", Part::Number(dec!(10))), ("b", Part::Number(dec!(10))), ("c", Part::Absent)]);
        let inner = inner.unwrap();
        assert_eq!((inner.value, inner.spread()), (Some(dec!(10)), vec!["c"]));
        let outer =
            score(&weights, &[("a", Part::Score(inner)), ("b", Part::Absent), ("c", Part::Number(dec!(24)))]).unwrap();
        assert_eq!(outer.value, Some(dec!(14)), "(10 × 50 + 24 × 20) / 70");
        assert_eq!(outer.spread(), ["c", "b"]);
    }

    #[test]
    fn a_score_of_nothing_is_absent() {
        let weights = weights(&[("a", dec!(1)), ("b", dec!(1))]).unwrap();
        let score = score(&weights, &[("a", Part::Absent), ("b", Part::Absent)]).unwrap();
        assert_eq!(score.value, None);
        assert!(score.spread().is_empty(), "no other part carries their weight");
    }

    #[test]
    fn parts_must_be_those_declared() {
        let support = weights(&[("support", dec!(1))]).unwrap();
        let error = score(&support, &[("suport", Part::Absent)]).unwrap_err();
        assert!(error.contains("did you mean 'support'"), "{error}");
        assert!(score(&support, &[]).unwrap_err().contains("lacks its part 'support'"));
        assert!(weights(&[("a", dec!(0))]).unwrap_err().contains("the weight 0 of 'a'"));
        assert!(weights(&[]).is_err());
    }

    proptest! {
        #[test]
        fn contributions_add_up_to_the_score(
            parts in proptest::collection::vec((1i64..10_000, proptest::option::of(-100_000i64..100_000)), 1..8)
        ) {
            let key = |index: usize| format!("part_{index}");
            let weights = Weights::new((0..).zip(&parts).map(|(i, (w, _))| (key(i), Decimal::new(*w, 2))).collect());
            let keys: Vec<String> = (0..parts.len()).map(key).collect();
            let given = keys.iter().zip(&parts).map(|(key, (_, value))| {
                (key.as_str(), value.map_or(Part::Absent, |value| Part::Number(Decimal::new(value, 3))))
            });
            let score = weights.unwrap().score(given.collect()).unwrap();
            let sum: Option<Decimal> = score
                .indicators
                .iter()
                .filter_map(|indicator| indicator.contribution)
                .reduce(|sum, contribution| sum + contribution);
            prop_assert_eq!(sum, score.value);
        }
    }
}
