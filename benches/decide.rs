//! What one decision costs, on one core: simple policies, a composite one and the tobacco pack, beside the same logic in plain Rust and in
//! other engines. That all decide alike is checked first.
//!
//! Peers are built and run where the machine can; which one was skipped, and why, is said. No database is needed:
//! `cargo bench --locked --bench decide`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark that can't go on has failed, and prints its figures"
)]

mod decide {
    pub mod peers;
    pub mod plain;
}
mod report;
#[path = "../tests/engine/subjects.rs"]
mod subjects;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use baremo::policy::cohorts::CohortBuilder;
use baremo::policy::model::{
    Circumstances, Cohort, Decision, Entitlement, NONE_OVERRIDES, NONE_PREVIOUS, NONE_STANDING, Subject, Verdict,
};
use baremo::policy::release::{self, LoadedPack, load};
use baremo::policy::source::Source;
use decide::peers::{self, Decided};
use decide::plain::{self, Band, Shop};
use jiff::civil::{Date, date};
use report::{Report, median};
use rust_decimal::Decimal;

const SUBJECTS: usize = 10_000;
const ROUNDS: usize = 11;
/// Policies of the pack whose check is measured, beside those that are measured themselves.
const COPIES: usize = 50;
const AS_OF: Date = date(2018, 1, 1);
/// What scripts want of the stack.
const STACK: usize = 16 << 20;

/// A pack with subjects and their cohort.
struct Measured {
    loaded: LoadedPack,
    subjects: Vec<Arc<Subject>>,
    cohort: Cohort,
}

fn main() {
    std::thread::Builder::new().stack_size(STACK).spawn(measure).unwrap().join().unwrap();
}

fn measure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let simple = Measured::new(&root.join("benches/decide/pack"));
    let shops: Vec<Shop> = simple.subjects.iter().map(|subject| Shop::of(&subject.values).unwrap()).collect();
    let decided = check(&simple, &shops);
    let about = format!(
        "{SUBJECTS} made-up subjects, one core, median of {ROUNDS} rounds; outcome: without a record of why; decided: with inputs and \
         reasons; stored: as JSON too"
    );
    let mut report = Report::new("decide", about);
    let plain_band = nanoseconds(&shops, plain::band);
    let plain_entitled = nanoseconds(&shops, plain::band_entitled);
    let plain_composite = nanoseconds(&shops, plain::composite);
    for (policy, plain) in [("band", plain_band), ("band_entitled", plain_entitled), ("composite", plain_composite)] {
        let measures = simple.policy(policy);
        for (what, cost) in measures {
            report.against(format!("{policy}, {what}"), cost, "ns", "plain Rust", plain);
        }
        if policy == "composite" {
            for (peer, nanoseconds) in peers::run(root, &shops, &decided) {
                for (what, cost) in measures {
                    report.against(format!("composite, {what}"), cost, "ns", peer, nanoseconds);
                }
            }
        }
    }
    let tobacco = Measured::new(&root.join("rules/tobacco"));
    let (mut all_decided, mut all_stored) = (0.0, 0.0);
    for policy in tobacco.loaded.pack.policies.keys() {
        let measures = tobacco.policy(policy);
        for (what, cost) in measures {
            report.figure(format!("tobacco: {policy}, {what}"), cost, "ns");
        }
        let [_, (_, decided), (_, stored)] = measures;
        all_decided += decided;
        all_stored += stored;
    }
    let (decided, stored) = tobacco.pack();
    report.against("tobacco: whole pack, decided", decided, "ns", "sum of its policies", all_decided);
    report.against("tobacco: whole pack, stored", stored, "ns", "sum of its policies", all_stored);
    report.figure(format!("check of a pack of {COPIES} composite policies"), checking(root), "ms");
    report.print();
}

impl Measured {
    fn new(folder: &Path) -> Self {
        let source = Source::from_folder(folder).unwrap();
        let loaded = load(&source).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let complete = loaded.pack.fields.iter().count() + loaded.pack.definitions.metrics.len();
        // Subjects with nothing absent, of whom every policy decides.
        let mut subjects = subjects::subjects(&loaded.pack, 1, SUBJECTS * 40, AS_OF);
        subjects.retain(|subject| subject.values.len() == complete);
        subjects.truncate(SUBJECTS);
        assert_eq!(subjects.len(), SUBJECTS);
        let mut builder = CohortBuilder::new(&loaded.pack);
        subjects.iter().for_each(|subject| builder.add(&subject.values));
        Self { loaded, subjects, cohort: builder.finish() }
    }

    fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            as_of: AS_OF,
            cohort: &self.cohort,
            standing: &NONE_STANDING,
            previous: &NONE_PREVIOUS,
            overrides: &NONE_OVERRIDES,
        }
    }

    /// What one policy costs, the outcomes of others being given.
    fn policy(&self, policy: &str) -> [(&'static str, f64); 3] {
        let mut others = BTreeMap::new();
        for (id, declared) in &self.loaded.pack.policies {
            others.insert(id.clone(), declared.outcomes[0].clone());
        }
        let policies = &self.loaded.policies;
        let outcome =
            |subject: &Arc<Subject>| policies.outcome(policy, subject, self.circumstances(), &others).unwrap();
        let assess = |subject: &Arc<Subject>| policies.assess_one(policy, subject, self.circumstances(), &others);
        let stored = |subject: &Arc<Subject>| serde_json::to_string(&assess(subject)).unwrap();
        [
            ("outcome", nanoseconds(&self.subjects, outcome)),
            ("decided", nanoseconds(&self.subjects, assess)),
            ("stored", nanoseconds(&self.subjects, stored)),
        ]
    }

    fn pack(&self) -> (f64, f64) {
        let assess = |subject: &Arc<Subject>| self.loaded.policies.assess(subject, self.circumstances());
        let decided = nanoseconds(&self.subjects, assess);
        let stored = nanoseconds(&self.subjects, |subject| serde_json::to_string(&assess(subject)).unwrap());
        (decided, stored)
    }
}

/// Milliseconds that checking a pack of many policies takes: the composite one in copies of other names.
fn checking(root: &Path) -> f64 {
    let measured = Source::from_folder(&root.join("benches/decide/pack")).unwrap();
    let mut files: BTreeMap<String, String> =
        measured.files().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    let script = files["policies/composite.rhai"].clone();
    let mut manifest = files["pack.toml"].clone();
    let declared = manifest.split_off(manifest.find("[policies.composite]").unwrap());
    let mut texts = files["texts/en.toml"].clone();
    let sections: Vec<String> = texts
        .split("\n[")
        .filter(|section| section.split(']').next().unwrap().ends_with(".composite"))
        .map(|section| format!("\n[{}\n", section.trim_end()))
        .collect();
    let labels: String = (0..COPIES).map(|number| format!("copy_{number} = \"Copy {number}\"\n")).collect();
    texts = texts.replace("[policies]\n", &format!("[policies]\n{labels}"));
    manifest += &declared;
    for number in 0..COPIES {
        let copied = |text: &str| text.replace("composite", &format!("copy_{number}"));
        manifest += &format!("\n{}", copied(&declared));
        texts += &sections.iter().map(|section| copied(section)).collect::<String>();
        files.insert(format!("policies/copy_{number}.rhai"), script.clone());
    }
    files.insert("pack.toml".to_owned(), manifest);
    files.insert("texts/en.toml".to_owned(), texts);
    let source = Source::from_files(files).unwrap();
    let check = |_| {
        let begin = Instant::now();
        let checked = release::check(black_box(&source)).unwrap_or_else(|faults| panic!("{faults:#?}"));
        black_box(release::warnings(&checked));
        begin.elapsed().as_secs_f64() * 1e3
    };
    median((0..ROUNDS).map(check).collect())
}

/// Nanoseconds of `work` for one item.
fn nanoseconds<T, R>(items: &[T], work: impl Fn(&T) -> R) -> f64 {
    let round = |_| {
        let begin = Instant::now();
        for item in items {
            black_box(work(black_box(item)));
        }
        begin.elapsed().as_secs_f64() * 1e9 / f64::from(u32::try_from(items.len()).unwrap())
    };
    median((0..ROUNDS).map(round).collect())
}

/// Checks that the policies decide as the plain code does, and gives what the composite one decides.
fn check(simple: &Measured, shops: &[Shop]) -> Vec<Decided> {
    let mut decided = Vec::with_capacity(shops.len());
    for (subject, shop) in simple.subjects.iter().zip(shops) {
        let assessed = simple.loaded.policies.assess(subject, simple.circumstances());
        let decisions = assessed.policies.iter().map(|result| match &result.result {
            Verdict::Decided(decision) => decision,
            other => panic!("{other:?}"),
        });
        let [banded, with_supply, composed] = decisions.collect::<Vec<_>>()[..] else { panic!("three policies") };
        let band = plain::band(shop);
        assert!(is_like(banded, &band, shop.monthly_volume));
        let (band, supply) = plain::band_entitled(shop);
        assert!(is_like(with_supply, &band, shop.monthly_volume));
        assert_eq!(with_supply.entitlements["monthly_supply"], Entitlement::Text(supply.to_string()));
        let composite = plain::composite(shop);
        assert!(is_like(composed, &composite.band, composite.score));
        assert_eq!(composed.score, Some(composite.score));
        assert_eq!(composed.entitlements["monthly_supply"], Entitlement::Text(composite.supply.to_string()));
        for (indicator, contribution) in composed.indicators.iter().zip(composite.contributions) {
            // One of them takes what rounding left over.
            assert!((indicator.contribution.unwrap() - contribution).abs() < Decimal::new(5, 6));
        }
        assert_eq!(composed.reasons[1].values["size"], composite.size);
        assert_eq!(composed.reasons.iter().any(|reason| reason.code == "pays_late"), composite.pays_late);
        decided.push(Decided::of(&composite));
    }
    decided
}

/// Whether a decision is that of a band, and explained by it.
fn is_like(decision: &Decision, band: &Band, value: Decimal) -> bool {
    let mut values = BTreeMap::from([("value".to_owned(), value.normalize().to_string())]);
    values.extend(band.from.map(|from| ("from".to_owned(), from.to_string())));
    if let Some((number, outcome)) = band.next {
        values.insert("next".to_owned(), number.to_string());
        values.insert("next_outcome".to_owned(), outcome.to_owned());
    }
    decision.outcome == band.outcome && decision.reasons[0].values == values
}
