//! The same pack, subjects, cohort and date give the same bytes: in every order, on every thread, by a pack that was loaded anew, and in every build
//! profile. `make test` and, in a release build, `make audit` reproduce the digests of `tests/corpus/decisions.txt`.

use std::path::Path;
use std::sync::Arc;

use baremo::digest::Digest;
use baremo::policy::cohorts::CohortBuilder;
use baremo::policy::model::{Circumstances, Cohort, NONE_OVERRIDES, NONE_PREVIOUS, NONE_STANDING, Subject};
use baremo::policy::release::{LoadedPack, load};
use baremo::policy::source::Source;
use jiff::civil::{Date, date};
use proptest::prelude::*;

use crate::subjects::subjects;

pub const AS_OF: Date = date(2018, 1, 1);
const CORPUS: &str = "tests/corpus/decisions.txt";
/// Subjects of each pack in the corpus.
const SUBJECTS: usize = 1_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn loaded(pack: &str) -> LoadedPack {
    let source = Source::from_folder(&root().join("rules").join(pack)).unwrap();
    load(&source).unwrap()
}

pub fn cohort(loaded: &LoadedPack, subjects: &[Arc<Subject>]) -> Cohort {
    let mut builder = CohortBuilder::new(&loaded.pack);
    subjects.iter().for_each(|subject| builder.add(&subject.values));
    builder.finish()
}

/// What is stored of each subject, on so many threads: each takes every so many-th one, the last first where `reversed`.
fn stored(loaded: &LoadedPack, subjects: &[Arc<Subject>], threads: usize, reversed: bool) -> Vec<String> {
    let cohort = cohort(loaded, subjects);
    let circumstances = Circumstances {
        as_of: AS_OF,
        cohort: &cohort,
        standing: &NONE_STANDING,
        previous: &NONE_PREVIOUS,
        overrides: &NONE_OVERRIDES,
    };
    let assess =
        |number: usize| serde_json::to_string(&loaded.policies.assess(&subjects[number], circumstances)).unwrap();
    let mut stored = vec![String::new(); subjects.len()];
    std::thread::scope(|scope| {
        let start = |first: usize| {
            let work = move || {
                let mut mine: Vec<usize> = (first..subjects.len()).step_by(threads).collect();
                if reversed {
                    mine.reverse();
                }
                mine.into_iter().map(|number| (number, assess(number))).collect::<Vec<_>>()
            };
            std::thread::Builder::new().stack_size(16 << 20).spawn_scoped(scope, work).unwrap()
        };
        let started: Vec<_> = (0..threads).map(start).collect();
        for (number, text) in started.into_iter().flat_map(|thread| thread.join().unwrap()) {
            stored[number] = text;
        }
    });
    stored
}

/// The corpus as this build makes it: a line for each pack with the digest of its content and that of what is stored of its subjects.
fn corpus() -> String {
    let mut lines = String::new();
    for pack in ["automobile", "power", "real_estate", "tobacco"] {
        let loaded = loaded(pack);
        let subjects = subjects(&loaded.pack, 7, SUBJECTS, AS_OF);
        let stored = stored(&loaded, &subjects, 2, false);
        for (policy, _) in loaded.pack.customer_policies() {
            let decided = format!("{{\"policy\":\"{policy}\",\"decided\"");
            assert!(stored.iter().any(|text| text.contains(&decided)), "{pack}: {policy} decides about nobody");
        }
        lines.push_str(&format!("{pack} {} {}\n", loaded.digest, Digest::of(stored.join("\n"))));
    }
    lines
}

#[test]
fn every_build_reproduces_the_corpus() {
    let path = root().join(CORPUS);
    let made = corpus();
    if std::env::var_os("BAREMO_TEST_NEW_CORPUS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let renew = "BAREMO_TEST_NEW_CORPUS=1 cargo test --locked --test engine determinism::";
    assert!(
        made == kept,
        "{CORPUS} has other digests. Where the content of a pack has changed (the first digest of its line), so does what is decided: \
         renew the file by `{renew}`. Where it hasn't, old assessments no longer replay to the same bytes.\nkept:\n{kept}made:\n{made}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn threads_order_and_loading_make_no_difference(seed in any::<u64>(), count in 1_usize..120, threads in 2_usize..6) {
        let first = loaded("tobacco");
        let subjects = subjects(&first.pack, seed, count, AS_OF);
        let one_by_one = stored(&first, &subjects, 1, false);
        prop_assert_eq!(&one_by_one, &stored(&first, &subjects, 1, true));
        prop_assert_eq!(&one_by_one, &stored(&first, &subjects, threads, false));
        prop_assert_eq!(&one_by_one, &stored(&loaded("tobacco"), &subjects, threads, true));
    }
}
