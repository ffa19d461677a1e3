//! Evaluations of employees, and how a pool is divided by their scores. No I/O.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::Id;
use crate::digest::Digest;
use crate::policy::model::Assessed;

/// An evaluation of an employee for a month.
#[derive(Clone, Debug)]
pub struct StaffEvaluation {
    /// Its id.
    pub id: Id,
    /// The employee.
    pub employee_id: Id,
    /// The first day of the month.
    pub period: Date,
    /// The area that he served.
    pub area: String,
    /// The policy whose score is the final one.
    pub policy: String,
    /// The user who is in charge of him.
    pub in_charge_id: Id,
    /// That user's name.
    pub in_charge: String,
    /// The release by which it was computed.
    pub release: Digest,
    /// The final score.
    pub score: Decimal,
    /// What the policies about employees decided.
    pub assessed: Assessed,
    /// What is remarked, by module.
    pub remarks: BTreeMap<String, String>,
    /// The signed evaluation that it corrects.
    pub corrects: Option<Id>,
    /// Why it does.
    pub reason: Option<String>,
    /// Whether a later one corrects it.
    pub corrected: bool,
    /// How often it was computed or signed, from 1.
    pub version: i64,
    /// When it was computed.
    pub computed_at: Timestamp,
    /// When the employee signed.
    pub employee_signed_at: Option<Timestamp>,
    /// When the person in charge signed.
    pub in_charge_signed_at: Option<Timestamp>,
}

/// How far an evaluation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationStatus {
    /// Nobody has signed.
    Draft,
    /// One of the two has signed.
    HalfSigned,
    /// Both have: it doesn't change any more.
    Signed,
}

impl StaffEvaluation {
    /// How far it is.
    pub fn status(&self) -> EvaluationStatus {
        match (self.employee_signed_at, self.in_charge_signed_at) {
            (Some(_), Some(_)) => EvaluationStatus::Signed,
            (None, None) => EvaluationStatus::Draft,
            _ => EvaluationStatus::HalfSigned,
        }
    }
}

/// A bonus pool of an area for a month.
#[derive(Clone, Debug)]
pub struct BonusPool {
    /// Its id.
    pub id: Id,
    /// The area.
    pub area: String,
    /// The first day of the month.
    pub period: Date,
    /// What was collected in the month of the area's customers, net of what was paid back.
    pub collected: Decimal,
    /// Which share of it is distributed, from 0 to 1.
    pub share: Decimal,
    /// What is distributed, to the hundredth.
    pub amount: Decimal,
    /// ISO 4217 code of the money.
    pub currency: String,
    /// Who gets what, by code.
    pub shares: Vec<Share>,
    /// The user who distributed it.
    pub user_id: Id,
    /// His name then.
    pub author: String,
    /// When.
    pub created_at: Timestamp,
    /// The pool that it corrects.
    pub corrects: Option<Id>,
    /// Why it does.
    pub reason: Option<String>,
    /// Whether a later one corrects it.
    pub corrected: bool,
}

/// What an employee gets of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// His id.
    pub employee_id: Id,
    /// His code.
    pub code: String,
    /// His name.
    pub name: String,
    /// The signed evaluation.
    pub evaluation_id: Id,
    /// Its score.
    pub score: Decimal,
    /// His part of the pool, to the hundredth.
    pub amount: Decimal,
}

/// What is distributed of what was collected: rounded half up to the hundredth, and nothing where more was paid back.
pub fn pool(collected: Decimal, share: Decimal) -> Option<Decimal> {
    let exact = collected.checked_mul(share)?.max(Decimal::ZERO);
    Some(exact.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero))
}

/// Divides an amount of hundredths by scores, none of them below 0, so that the parts sum to it: each gets the hundredths that are wholly his, and those
/// that are left go to the largest remainders, one each, the first first where they are equal (largest remainder, after Hamilton). Nothing
/// where the scores sum to 0 and the amount doesn't.
pub fn divide(amount: Decimal, scores: &[Decimal]) -> Option<Vec<Decimal>> {
    let sum: Decimal = scores.iter().sum();
    if amount.is_zero() {
        return Some(vec![Decimal::ZERO; scores.len()]);
    }
    let mut parts = Vec::with_capacity(scores.len());
    let mut left = amount.checked_mul(Decimal::ONE_HUNDRED)?;
    let hundredths = left;
    for score in scores {
        let product = hundredths.checked_mul(*score)?;
        let remainder = product.checked_rem(sum)?;
        let whole = (product - remainder).checked_div(sum)?.round();
        left -= whole;
        parts.push((whole, remainder));
    }
    let mut order: Vec<usize> = (0..parts.len()).collect();
    // Stable: of equal remainders the first comes first.
    order.sort_by_key(|place| std::cmp::Reverse(parts.get(*place).map(|(_, remainder)| *remainder)));
    for place in order {
        if left <= Decimal::ZERO {
            break;
        }
        if let Some((whole, _)) = parts.get_mut(place) {
            *whole += Decimal::ONE;
            left -= Decimal::ONE;
        }
    }
    Some(parts.into_iter().map(|(whole, _)| whole / Decimal::ONE_HUNDRED).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimals(texts: &[&str]) -> Vec<Decimal> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_left_goes_to_the_largest_remainders() {
        // 100.00 by thirds: 33.33 each, and the hundredth that is left goes to the first of equals.
        let amount = Decimal::ONE_HUNDRED;
        assert_eq!(divide(amount, &decimals(&["1", "1", "1"])), Some(decimals(&["33.34", "33.33", "33.33"])));
        // 10.00 by 90, 75 and 60 of 225: 4, 3.3333…, 2.6666…: the hundredth goes to the last.
        let by_scores = divide(Decimal::TEN, &decimals(&["90", "75", "60"]));
        assert_eq!(by_scores, Some(decimals(&["4.00", "3.33", "2.67"])));
    }

    #[test]
    fn of_nothing_everybody_gets_nothing_and_scores_of_nothing_divide_nothing() {
        assert_eq!(divide(Decimal::ZERO, &decimals(&["90", "0"])), Some(decimals(&["0", "0"])));
        assert_eq!(divide(Decimal::ZERO, &decimals(&["0", "0"])), Some(decimals(&["0", "0"])));
        assert_eq!(divide(Decimal::ONE, &decimals(&["0", "0"])), None);
    }

    #[test]
    fn a_pool_is_a_share_of_what_came_in() {
        let of =
            |collected: &str| pool(collected.parse().unwrap(), "0.001".parse().unwrap()).map(|sum| sum.to_string());
        assert_eq!(of("123455.00"), Some("123.46".to_owned()), "half a hundredth is rounded up");
        assert_eq!(of("-500.00"), Some("0".to_owned()), "more was paid back than came in");
    }

    proptest! {
        #[test]
        fn the_parts_sum_to_the_pool_and_lie_within_a_hundredth(hundredths in 0_i64..100_000_000, scores in prop::collection::vec(0_i64..100_000_000, 1..30)) {
            let amount = Decimal::new(hundredths, 2);
            let scores: Vec<Decimal> = scores.into_iter().map(|score| Decimal::new(score, 6)).collect();
            let sum: Decimal = scores.iter().sum();
            prop_assume!(!sum.is_zero());
            let parts = divide(amount, &scores).unwrap();
            prop_assert_eq!(parts.iter().sum::<Decimal>(), amount);
            for (part, score) in parts.iter().zip(&scores) {
                prop_assert!((*part - amount * score / sum).abs() < Decimal::new(1, 2) + Decimal::new(1, 12), "{} of {}", part, amount);
            }
        }
    }
}
