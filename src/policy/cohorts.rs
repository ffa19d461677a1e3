//! Statistics of the population that policies compare customers with: quantiles, Pareto cuts and ranks, by group.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::model::{Cohort, CohortCuts, Cuts};
use super::pack::{CohortDeclaration, CutRule, Pack};
use crate::customers::model::{Value, Values};
use crate::digest::Digest;
use crate::transactions::model::METRIC_PLACES;

/// Collects the values of a population and makes its cohorts. Whom to add is the caller's: each active customer once.
#[derive(Debug)]
pub struct CohortBuilder {
    collecting: Vec<Collecting>,
}

/// One cohort while its values come in, by group; without a group those to whom no group applies.
#[derive(Debug)]
struct Collecting {
    id: String,
    declaration: CohortDeclaration,
    values: BTreeMap<Option<String>, Vec<Decimal>>,
}

impl CohortBuilder {
    /// A builder for the cohorts that the pack declares, with nobody in them.
    pub fn new(pack: &Pack) -> Self {
        let collecting = pack.cohorts.iter().map(|(id, declaration)| Collecting {
            id: id.clone(),
            declaration: declaration.clone(),
            values: BTreeMap::new(),
        });
        Self { collecting: collecting.collect() }
    }

    /// Adds one customer by his fields and metrics; the order of customers makes no difference.
    pub fn add(&mut self, values: &Values) {
        for cohort in &mut self.collecting {
            if let Some(Value::Number(number)) = values.get(&cohort.declaration.value)
                && cohort.declaration.includes(values)
            {
                cohort.values.entry(cohort.declaration.group_of(values)).or_default().push(number.normalize());
            }
        }
    }

    /// The cohorts of all who were added. A cohort of nobody has no cuts.
    pub fn finish(self) -> Cohort {
        Cohort { cohorts: self.collecting.into_iter().map(Collecting::finish).collect() }
    }
}

impl Collecting {
    fn finish(self) -> (String, CohortCuts) {
        let Self { id, declaration, values } = self;
        let mut groups = BTreeMap::new();
        let mut everybody = Vec::new();
        for (group, mut values) in values {
            everybody.extend_from_slice(&values);
            if let Some(group) = group
                && u64::try_from(values.len()).is_ok_and(|count| count >= declaration.minimum)
            {
                groups.insert(group, Arc::new(declaration.cuts.apply(&mut values)));
            }
        }
        (id, CohortCuts { all: Arc::new(declaration.cuts.apply(&mut everybody)), groups })
    }
}

impl CohortDeclaration {
    /// Whether a customer with these values belongs to the population.
    pub fn includes(&self, values: &Values) -> bool {
        self.population.iter().all(|(field, wanted)| match values.get(field) {
            Some(Value::Choices(chosen)) => chosen.iter().any(|choice| wanted.contains(choice)),
            Some(value) => wanted.contains(&value.to_string()),
            None => false,
        })
    }

    /// The group of a customer with these values: the grouping fields' values joined by `/`; none when the cohort has no
    /// groups or one of the values is absent.
    pub fn group_of(&self, values: &Values) -> Option<String> {
        if self.group.is_empty() {
            return None;
        }
        let parts: Option<Vec<String>> =
            self.group.iter().map(|field| values.get(field).map(ToString::to_string)).collect();
        parts.map(|parts| parts.join("/"))
    }

    /// The cuts that count for a customer with these values: his group's, with the group, or else those of all.
    pub fn cuts_of<'c>(&self, computed: &'c CohortCuts, values: &Values) -> (Option<String>, &'c Arc<Cuts>) {
        let group = self.group_of(values).filter(|group| computed.groups.contains_key(group));
        let cuts = computed.of(group.as_deref());
        (group, cuts)
    }
}

impl CutRule {
    /// How many cuts the rule makes, of a population that isn't empty.
    pub fn count(&self) -> usize {
        match self {
            Self::Quantiles(shares) | Self::Pareto(shares) => shares.len(),
            Self::Ranks(_) => 99,
        }
    }

    /// The cuts of a group with these values.
    fn apply(&self, values: &mut [Decimal]) -> Cuts {
        values.sort_unstable();
        let cuts = match self {
            Self::Quantiles(shares) => shares.iter().filter_map(|share| quantile(values, *share)).collect(),
            Self::Ranks(_) => (1..=99).filter_map(|rank| quantile(values, Decimal::new(rank, 2))).collect(),
            // The largest customers come first in a share of the sum, so the largest share has the lowest cut.
            Self::Pareto(shares) => shares.iter().rev().filter_map(|share| pareto(values, *share)).collect(),
        };
        Cuts::new(u64::try_from(values.len()).unwrap_or(u64::MAX), cuts)
    }
}

/// The smallest of the ascending values with at least this share of all below it; where there is none, as when the largest
/// is shared by many, a number just above the largest, which nobody of this population reaches.
fn quantile(ascending: &[Decimal], share: Decimal) -> Option<Decimal> {
    let largest = ascending.last()?;
    let below = (share * Decimal::from(ascending.len())).ceil().to_usize()?;
    let candidate = ascending.get(below);
    // The first of equal values has fewer below it than its own place says: then the next larger value is the cut.
    let cut = candidate.and_then(|value| {
        let first = ascending.partition_point(|other| other < value);
        if first == below { Some(value) } else { ascending.get(ascending.partition_point(|other| other <= value)) }
    });
    Some(cut.copied().unwrap_or_else(|| largest.saturating_add(Decimal::new(1, METRIC_PLACES))))
}

/// The smallest positive value of which the larger ones make less than this share of the sum; where nobody has a positive
/// value, the smallest that there is, so that all lie below.
fn pareto(ascending: &[Decimal], share: Decimal) -> Option<Decimal> {
    let positive = || ascending.iter().rev().copied().take_while(|value| *value > Decimal::ZERO);
    let wanted = positive().fold(Decimal::ZERO, Decimal::saturating_add) * share;
    let (mut cut, mut larger, mut seen) = (None, Decimal::ZERO, Decimal::ZERO);
    for value in positive() {
        if cut != Some(value) {
            larger = seen;
        }
        if larger >= wanted {
            break;
        }
        cut = Some(value);
        seen = seen.saturating_add(value);
    }
    cut.or_else(|| ascending.first().map(|_| Decimal::new(1, METRIC_PLACES)))
}

impl Cohort {
    /// The canonical form: maps are sorted and numbers are texts in their shortest form, so equal cohorts have equal bytes.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// The name of the content: the digest of its canonical form.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use proptest::prelude::*;

    use super::*;

    fn declaration(cuts: CutRule) -> CohortDeclaration {
        CohortDeclaration {
            value: "volume".to_owned(),
            group: Vec::new(),
            minimum: 0,
            cuts,
            population: BTreeMap::new(),
        }
    }

    fn builder(declaration: CohortDeclaration) -> CohortBuilder {
        CohortBuilder {
            collecting: IndexMap::from([("c".to_owned(), declaration)])
                .into_iter()
                .map(|(id, declaration)| Collecting { id, declaration, values: BTreeMap::new() })
                .collect(),
        }
    }

    fn customer(volume: i64, entries: &[(&str, &str)]) -> Values {
        let texts = entries.iter().map(|(key, text)| ((*key).to_owned(), Value::Text((*text).to_owned())));
        texts.chain([("volume".to_owned(), Value::Number(Decimal::from(volume)))]).collect()
    }

    fn shares(shares: &[&str]) -> Vec<Decimal> {
        shares.iter().map(|share| share.parse().unwrap()).collect()
    }

    fn cuts(rule: CutRule, values: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut builder = builder(declaration(rule));
        for value in values {
            builder.add(&customer(value, &[]));
        }
        builder.finish().cohorts["c"].all.cuts().iter().map(|cut| cut.to_i64().unwrap()).collect()
    }

    fn quantiles(of: &[&str], values: impl IntoIterator<Item = i64>) -> Vec<i64> {
        cuts(CutRule::Quantiles(shares(of)), values)
    }

    fn paretos(of: &[&str], values: impl IntoIterator<Item = i64>) -> Vec<i64> {
        cuts(CutRule::Pareto(shares(of)), values)
    }

    #[test]
    fn a_quantile_has_its_share_of_customers_before_it() {
        // Of ten customers, 80 % are the eight from 1 to 8: the cut is the ninth.
        assert_eq!(quantiles(&["0.5", "0.8"], 1..=10), [6, 9]);
        // Of eleven, 5.5 must lie before: six do before the seventh.
        assert_eq!(quantiles(&["0.5"], 1..=11), [7]);
        assert_eq!(quantiles(&["0.5"], []), [0_i64; 0]);
    }

    #[test]
    fn equal_values_share_the_lower_class() {
        // Six of ten bought nothing: they are no better than anybody, so the median cut lies above them.
        assert_eq!(quantiles(&["0.5"], [0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), [1]);
        assert_eq!(quantiles(&["0.5"], [0, 0, 0, 0, 0, 1, 2, 3, 4, 5]), [1]);
        assert_eq!(quantiles(&["0.5"], [0, 0, 0, 0, 1, 1, 1, 1, 4, 5]), [4]);
    }

    #[test]
    fn nobody_reaches_a_cut_with_too_few_below_the_largest() {
        let cut = |values: &[i64]| {
            let mut values: Vec<Decimal> = values.iter().copied().map(Decimal::from).collect();
            CutRule::Quantiles(shares(&["0.8"])).apply(&mut values).cuts().to_vec()
        };
        let just_above_7 = Decimal::new(7_000_001, 6);
        assert_eq!(cut(&[7]), [just_above_7]);
        assert_eq!(cut(&[1, 2, 3, 7]), [just_above_7]);
        assert_eq!(cut(&[1, 2, 3, 4, 7]), [Decimal::from(7)]);
        assert_eq!(cut(&[1, 2, 3, 7, 7]), [just_above_7]);
    }

    #[test]
    fn ranks_cut_at_every_hundredth() {
        let cuts = cuts(CutRule::Ranks(true), 1..=200);
        assert_eq!(cuts.len(), 99);
        assert_eq!((cuts[0], cuts[49], cuts[98]), (3, 101, 199));
    }

    #[test]
    fn abc_classes_are_cut_by_shares_of_the_sum() {
        // Sum 100: A are those before whom less than 80 lies (50, then 25 after 50, then 10 after 75), B less than 95.
        assert_eq!(paretos(&["0.8", "0.95"], [50, 25, 10, 6, 5, 4]), [5, 10]);
        // Exactly 80 before the third: he is no A any more.
        assert_eq!(paretos(&["0.8", "0.95"], [50, 30, 15, 5]), [15, 30]);
        // One customer with nearly everything is the only A, and there is no B.
        assert_eq!(paretos(&["0.8", "0.95"], [960, 30, 10]), [960, 960]);
        // Equal values share a class: before each of the four lies nothing.
        assert_eq!(paretos(&["0.5"], [25, 25, 25, 25]), [25]);
    }

    #[test]
    fn returns_and_nothing_bought_do_not_count_in_a_sum() {
        assert_eq!(paretos(&["0.8"], [80, 20, 0, -50]), [80]);
        let mut nothing_bought = [Decimal::ZERO, Decimal::from(-50)];
        let cuts = CutRule::Pareto(shares(&["0.8", "0.95"])).apply(&mut nothing_bought).cuts().to_vec();
        assert_eq!(cuts, [Decimal::new(1, 6), Decimal::new(1, 6)]);
        assert_eq!(paretos(&["0.8"], []), [0_i64; 0]);
    }

    #[test]
    fn groups_have_cuts_of_their_own_when_they_are_large_enough() {
        let mut with_groups = declaration(CutRule::Quantiles(shares(&["0.5"])));
        with_groups.group = vec!["format".to_owned(), "market".to_owned()];
        with_groups.minimum = 3;
        let mut builder = builder(with_groups);
        for volume in [1, 2, 3] {
            builder.add(&customer(volume, &[("format", "kiosk"), ("market", "urban")]));
        }
        builder.add(&customer(100, &[("format", "kiosk"), ("market", "rural")]));
        builder.add(&customer(200, &[("format", "kiosk"), ("market", "rural")]));
        builder.add(&customer(300, &[("format", "kiosk")]));
        builder.add(&Values::new());
        let cohort = builder.finish();
        let cuts = &cohort.cohorts["c"];
        assert_eq!((cuts.all.count(), cuts.all.cuts()), (6, &[Decimal::from(100)][..]));
        assert_eq!(cuts.groups.keys().collect::<Vec<_>>(), ["kiosk/urban"]);
        assert_eq!(*cuts.groups["kiosk/urban"], Cuts::new(3, vec![Decimal::from(3)]));
    }

    #[test]
    fn only_the_population_counts() {
        let mut urban = declaration(CutRule::Quantiles(shares(&["0.5"])));
        urban.population.insert("market".to_owned(), vec!["urban".to_owned()]);
        let mut builder = builder(urban);
        builder.add(&customer(1, &[("market", "urban")]));
        builder.add(&customer(2, &[("market", "rural")]));
        builder.add(&customer(3, &[]));
        assert_eq!(builder.finish().cohorts["c"].all.count(), 1);
    }

    #[test]
    fn the_digest_does_not_see_trailing_zeros() {
        let digest = |volume: &str| {
            let mut builder = builder(declaration(CutRule::Quantiles(shares(&["0.5"]))));
            builder.add(&Values::from([("volume".to_owned(), Value::Number(volume.parse().unwrap()))]));
            builder.finish().digest()
        };
        assert_eq!(digest("2.50"), digest("2.5"));
        assert_ne!(digest("2.50"), digest("2.51"));
    }

    proptest! {
        #[test]
        fn the_order_of_customers_makes_no_difference(
            (values, shuffled) in proptest::collection::vec(-20_i64..100, 0..60)
                .prop_flat_map(|values| (Just(values.clone()), Just(values).prop_shuffle())),
        ) {
            for rule in [CutRule::Ranks(true), CutRule::Pareto(shares(&["0.8", "0.95"])), CutRule::Quantiles(shares(&["0.3", "0.5"]))] {
                prop_assert_eq!(cuts(rule.clone(), values.clone()), cuts(rule, shuffled.clone()));
            }
        }

        #[test]
        fn who_reaches_a_quantile_has_at_least_the_share_below_him_and_nobody_else(
            values in proptest::collection::vec(-20_i64..20, 1..60),
            percent in 1_i64..100,
        ) {
            let mut numbers: Vec<Decimal> = values.iter().copied().map(Decimal::from).collect();
            let cut = CutRule::Quantiles(vec![Decimal::new(percent, 2)]).apply(&mut numbers).cuts()[0];
            for value in &values {
                let below = values.iter().filter(|other| *other < value).count() * 100;
                let has_share = below >= usize::try_from(percent).unwrap() * values.len();
                prop_assert_eq!(Decimal::from(*value) >= cut, has_share);
            }
        }

        #[test]
        fn those_above_a_pareto_cut_make_less_than_the_share(
            values in proptest::collection::vec(-20_i64..100, 1..60),
            percent in 1_i64..100,
        ) {
            let share = Decimal::new(percent, 2).to_string();
            let positive: Vec<i64> = values.iter().copied().filter(|value| *value > 0).collect();
            let total: i64 = positive.iter().sum();
            let larger_than = |cut: i64| -> i64 { positive.iter().filter(|value| **value > cut).sum() };
            match paretos(&[&share], values.clone()).first() {
                None => prop_assert!(values.is_empty()),
                Some(_) if positive.is_empty() => {}
                Some(cut) => {
                    prop_assert!(larger_than(*cut) * 100 < percent * total);
                    let next = positive.iter().copied().filter(|value| value < cut).max();
                    prop_assert!(next.is_none_or(|next| larger_than(next) * 100 >= percent * total));
                }
            }
        }
    }
}
