//! The customers who are near a cut of a cohort: those whom a small change would move to another class.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::assess::{Assessor, PAGE};
use super::evaluate::Error;
use super::store;
use crate::Id;
use crate::customers::model::{Value, Values};
use crate::db::Conn;
use crate::db::id::SHARDS;
use crate::digest::Digest;
use crate::faults::{Fault, did_you_mean};
use crate::policy::model::CohortCuts;
use crate::policy::pack::CohortDeclaration;
use crate::releases::active::Active;
use crate::releases::store as release_store;

/// Most customers that one request looks at.
pub const MAX_LOOKED_AT: i64 = 2000;

/// Whom to look for.
pub struct Question {
    /// Digest of the computed cohorts.
    pub digest: Digest,
    /// Id of the cohort.
    pub cohort: String,
    /// How far from a cut is near: a share of the cut, above 0, at most 1.
    pub within: Decimal,
    /// Behind which customer to begin.
    pub after: Option<Place>,
    /// Most customers of the answer.
    pub limit: usize,
}

/// A customer's place in the order in which they are looked at: his shard and id.
pub type Place = (u8, Id);

/// Customers near a cut, and where to go on, unless all have been looked at.
pub type Page = (Vec<Near>, Option<Place>);

/// A customer near a cut.
#[derive(Debug, PartialEq)]
pub struct Near {
    /// His id.
    pub customer_id: Id,
    /// His code.
    pub code: String,
    /// His group, where it has cuts of its own.
    pub group: Option<String>,
    /// His value.
    pub value: Decimal,
    /// The nearest cut.
    pub cut: Decimal,
    /// His class: 1 below the lowest cut, one more from each cut on.
    pub band: usize,
    /// The class below the cut.
    pub band_below: usize,
}

/// Active customers of the cohort's population near one of the cuts that count for them, by their values now. Nothing where
/// there is no cohort of the digest.
pub fn page(conn: &mut Conn, active: Arc<Active>, question: &Question) -> Result<Option<Page>, Error> {
    let Some(computed) = release_store::cohort(conn, question.digest)? else { return Ok(None) };
    let release = active.release.clone();
    let declared = release.pack.cohorts.get(&question.cohort);
    let Some((declared, cuts)) = declared.zip(computed.cohorts.get(&question.cohort)) else {
        let known = release.pack.cohorts.keys().map(String::as_str).filter(|id| computed.cohorts.contains_key(*id));
        let hint = did_you_mean(&question.cohort, known);
        let detail = format!("the release in force and {} have no cohort '{}'{hint}", question.digest, question.cohort);
        return Err(Error::Invalid(vec![Fault::new("cohort", "unknown_cohort", detail)]));
    };
    let as_of = active.basis.business_date;
    let assessor = Assessor::new(conn, active, as_of)?;
    let (first, mut after) = question.after.unwrap_or((0, Id::NIL));
    let (mut found, mut left) = (Vec::new(), MAX_LOOKED_AT);
    for shard in first..SHARDS {
        loop {
            let page = store::customers_page(conn, shard, after, PAGE.min(left))?;
            let subjects = assessor.subjects(conn, store::stretch(&page), &page)?;
            if page.is_empty() {
                break;
            }
            for (customer, subject) in page.into_iter().zip(subjects) {
                after = customer.id;
                left -= 1;
                let near = subject.ok().and_then(|subject| nearest(declared, cuts, &subject.values, question.within));
                found.extend(near.map(|near| Near { customer_id: customer.id, code: customer.code, ..near }));
                if left == 0 || found.len() == question.limit {
                    return Ok(Some((found, Some((shard, after)))));
                }
            }
        }
        after = Id::NIL;
    }
    Ok(Some((found, None)))
}

/// The nearest cut of somebody with these values, if it is near.
fn nearest(declared: &CohortDeclaration, cuts: &CohortCuts, values: &Values, within: Decimal) -> Option<Near> {
    let Some(Value::Number(value)) = values.get(&declared.value).filter(|_| declared.includes(values)) else {
        return None;
    };
    let (group, cuts) = declared.cuts_of(cuts, values);
    let distance = |cut: &Decimal| value.saturating_sub(*cut).abs();
    let (place, cut) = cuts.cuts().iter().enumerate().min_by_key(|(_, cut)| distance(cut))?;
    (distance(cut) <= cut.abs() * within).then(|| Near {
        customer_id: Id::NIL,
        code: String::new(),
        group,
        value: *value,
        cut: *cut,
        band: 1 + cuts.reached(*value),
        band_below: 1 + place,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::policy::model::Cuts;
    use crate::policy::pack::CutRule;

    fn cuts(cuts: &[i64]) -> Arc<Cuts> {
        Arc::new(Cuts::new(9, cuts.iter().copied().map(Decimal::from).collect()))
    }

    fn near(value: &str, market: &str) -> Option<Near> {
        let declared = CohortDeclaration {
            value: "volume".to_owned(),
            group: vec!["market".to_owned()],
            minimum: 1,
            cuts: CutRule::Quantiles(Vec::new()),
            population: BTreeMap::from([("market".to_owned(), vec!["urban".to_owned(), "rural".to_owned()])]),
        };
        let computed =
            CohortCuts { all: cuts(&[100, 200]), groups: BTreeMap::from([("urban".to_owned(), cuts(&[10, 20]))]) };
        let values = Values::from([
            ("volume".to_owned(), Value::Number(value.parse().unwrap())),
            ("market".to_owned(), Value::Text(market.to_owned())),
        ]);
        nearest(&declared, &computed, &values, Decimal::new(5, 2))
    }

    #[test]
    fn near_is_a_share_of_the_cut_on_both_sides() {
        assert!(near("9.5", "urban").is_some_and(|near| (near.band, near.band_below) == (1, 1)));
        assert!(near("10", "urban").is_some_and(|near| (near.band, near.band_below) == (2, 1)));
        assert!(near("10.5", "urban").is_some() && near("19", "urban").is_some() && near("21", "urban").is_some());
        assert!(near("9.49", "urban").is_none() && near("10.51", "urban").is_none() && near("15", "urban").is_none());
    }

    #[test]
    fn a_group_without_cuts_of_its_own_has_those_of_all_and_others_are_not_counted() {
        let urban = near("20", "urban").unwrap();
        assert_eq!((urban.group.as_deref(), urban.cut, urban.band), (Some("urban"), Decimal::from(20), 3));
        let rural = near("195", "rural").unwrap();
        assert_eq!((rural.group, rural.cut, rural.band), (None, Decimal::from(200), 2));
        assert_eq!(near("195", "abroad"), None);
    }
}
