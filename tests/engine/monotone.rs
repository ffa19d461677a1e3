//! What makes a customer better never makes his grade worse, in every pack, and the classes by amount share out the whole amount.

use std::collections::BTreeMap;
use std::sync::Arc;

use baremo::customers::model::Value;
use baremo::policy::model::{
    Circumstances, Cohort, NONE_OVERRIDES, NONE_PREVIOUS, NONE_STANDING, PolicyResult, Subject, Verdict,
};
use baremo::policy::release::LoadedPack;
use proptest::prelude::*;
use rust_decimal::Decimal;

use crate::determinism::{AS_OF, cohort, loaded};
use crate::subjects::subjects;

/// A pack's policy, with a field or metric of which more is better for the customer, and the most that there can be.
const BETTER: [(&str, &str, &str, i64); 16] = [
    ("tobacco", "volume_grade", "monthly_volume", 1_000),
    ("tobacco", "level", "quarterly_quantity", 100_000),
    ("tobacco", "level", "quarterly_price", 1_000_000),
    ("tobacco", "value", "on_time_share", 1),
    ("tobacco", "value", "ordering_months", 1),
    ("tobacco", "value", "yearly_amount", 1_000_000),
    ("tobacco", "abc", "yearly_amount", 1_000_000),
    ("tobacco", "four_degrees", "satisfaction", 100),
    ("tobacco", "integrity", "integrity_added", 100),
    ("tobacco", "customer_share", "yearly_amount", 1_000_000),
    ("power", "credit", "on_time_share", 1),
    ("power", "value", "on_time_share", 1),
    ("power", "abc", "yearly_amount", 1_000_000),
    ("real_estate", "intention", "budget", 10_000_000),
    ("automobile", "owner_value", "service_margin", 1_000_000),
    ("automobile", "finance_credit", "monthly_income", 1_000_000),
];

/// Outcomes that say that nobody knows: neither better nor worse than others.
const WITHOUT_A_GRADE: [&str; 2] = ["unknown", "unrated"];

/// What a policy decides of a subject, on a stack like the service's.
fn decided(loaded: &LoadedPack, subject: &Arc<Subject>, cohort: &Cohort, policy: &str) -> Option<String> {
    let circumstances = Circumstances {
        as_of: AS_OF,
        cohort,
        standing: &NONE_STANDING,
        previous: &NONE_PREVIOUS,
        overrides: &NONE_OVERRIDES,
    };
    let assess = || loaded.policies.assess(subject, circumstances);
    let assessed = std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(16 << 20).spawn_scoped(scope, assess).unwrap().join().unwrap()
    });
    let is_it = |result: &&PolicyResult| result.policy == policy;
    match &assessed.policies.iter().find(is_it).unwrap().result {
        Verdict::Decided(decision) => Some(decision.outcome.clone()),
        Verdict::Failed(_) | Verdict::Blocked(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn more_of_what_is_good_is_never_worse(seed in any::<u64>(), more in 1_u32..1_000) {
        let packs: BTreeMap<&str, LoadedPack> =
            ["tobacco", "power", "real_estate", "automobile"].map(|pack| (pack, loaded(pack))).into();
        for (pack, policy, key, most) in BETTER {
            let loaded = &packs[pack];
            let population = subjects(&loaded.pack, seed, 30, AS_OF);
            let cohort = cohort(loaded, &population);
            let outcomes = &loaded.pack.policies[policy].outcomes;
            let place = |subject: &Arc<Subject>| {
                let outcome = decided(loaded, subject, &cohort, policy)?;
                outcomes.iter().position(|known| *known == outcome).filter(|_| !WITHOUT_A_GRADE.contains(&&*outcome))
            };
            for subject in population.iter().take(4) {
                let Some(Value::Number(before)) = subject.values.get(key) else { continue };
                let most = Decimal::from(most);
                let after = (*before + most * Decimal::from(more) / Decimal::from(1_000)).min(most.max(*before));
                let mut better = Subject::clone(subject);
                better.values.insert(key.to_owned(), Value::Number(after));
                if let Some((before_place, after_place)) = place(subject).zip(place(&Arc::new(better))) {
                    prop_assert!(
                        after_place <= before_place,
                        "{pack}: {policy} goes from {} to {} when {key} rises from {before} to {after}",
                        outcomes[before_place], outcomes[after_place]
                    );
                }
            }
        }
    }

    #[test]
    fn the_classes_by_amount_share_out_the_whole(seed in any::<u64>(), count in 1_usize..60) {
        let loaded = loaded("tobacco");
        let population = subjects(&loaded.pack, seed, count, AS_OF);
        let cohort = cohort(&loaded, &population);
        let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
        let mut total = Decimal::ZERO;
        for subject in &population {
            let Some(Value::Number(amount)) = subject.values.get("yearly_amount") else { continue };
            let class = decided(&loaded, subject, &cohort, "abc").unwrap();
            *sums.entry(class).or_default() += *amount;
            total += *amount;
        }
        prop_assert_eq!(sums.values().sum::<Decimal>(), total);
        let of_a = sums.get("A").copied().unwrap_or_default();
        prop_assert!(of_a >= total * Decimal::new(8, 1), "{} of {}", of_a, total);
    }
}
