//! Packs and scripts that chance has changed: whatever they are, loading and evaluating them comes to an end and crashes nothing.
//! The corpus is that of `tests/hostile` and the packs of the repository. `make fuzz` goes on for as long as it is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use baremo::policy::model::{Circumstances, Cohort, NONE_OVERRIDES, NONE_PREVIOUS, NONE_STANDING, Subject};
use baremo::policy::release::check;
use baremo::policy::source::Source;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::attacks::{Attack, attacks};

/// Stack of the threads on which the service evaluates scripts.
const STACK: usize = 16 << 20;
/// Longest time that one input may take, in a build without optimisation too.
const LONGEST: Duration = Duration::from_secs(60);
/// Longest input that is changed further, in bytes.
const MAX_INPUT: usize = 300_000;
/// What is put in where chance wants something that means something.
const WORDS: [&str; 40] = [
    "fn f(x) { f(x) }",
    "while true {",
    "loop {",
    "}",
    "{",
    "(",
    ")",
    "[",
    "]",
    "#{",
    "`${",
    "}`",
    "\"",
    ";",
    ",",
    ".",
    "??",
    "const C = ",
    "let x = ",
    "x",
    "customer",
    "context",
    "customer.maybe.area ?? 0",
    "decision(\"1\")",
    ".because(\"a\", #{ v: 1 })",
    "bands([[1, \"1\"]], \"2\")",
    "lookup(#{ a: 1 })",
    "table([[\"*\", 1]])",
    ".of(x)",
    "switch x {",
    "=>",
    "for i in 0..10 {",
    "return ",
    "79228162514264337593543950335",
    "-1",
    "0.1",
    "**",
    "\n[fields.x]\n",
    "\n[policies.x]\n",
    "\u{202e}",
];

type Files = BTreeMap<String, String>;

/// Loads a pack, and evaluates a customer by it where it is sound.
fn load(files: Files) {
    let Ok(source) = Source::from_files(files) else { return };
    let Ok(loaded) = check(&source) else { return };
    let cohort = Cohort::default();
    let circumstances = Circumstances {
        as_of: jiff::civil::date(2018, 1, 1),
        cohort: &cohort,
        standing: &NONE_STANDING,
        previous: &NONE_PREVIOUS,
        overrides: &NONE_OVERRIDES,
    };
    let assessed = loaded.policies.assess(&Arc::new(Subject::default()), circumstances);
    assert_eq!(assessed.policies.len(), loaded.pack.policies.len());
}

/// One input at a time on a thread like the service's. The one that is tried is kept in a file, for the case that the process ends.
fn tried(name: &str, files: Files) {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
    let text: String = files.iter().map(|(path, text)| format!("=== {path}\n{text}\n")).collect();
    fs::write(&kept, text).unwrap();
    let begun = Instant::now();
    let work = std::thread::Builder::new().stack_size(STACK).spawn(move || load(files)).unwrap();
    assert!(work.join().is_ok(), "it crashed: see {}", kept.display());
    assert!(begun.elapsed() < LONGEST, "it took too long: see {}", kept.display());
}

/// A text that differs from another one in some places.
fn changed(text: &str, other: &str, chance: &mut StdRng) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let others: Vec<char> = other.chars().collect();
    for _ in 0..chance.random_range(1..6) {
        let from = chance.random_range(0..=letters.len());
        let to = chance.random_range(from..=letters.len().min(from + 60));
        let part: Vec<char> = letters[from..to].to_vec();
        let put: Vec<char> = match chance.random_range(0..6) {
            0 => Vec::new(),
            1 => part.repeat(2),
            2 if part.len() < 8 => part.repeat(chance.random_range(2..500)),
            3 => WORDS.choose(chance).unwrap().chars().collect(),
            4 if !others.is_empty() => {
                let begin = chance.random_range(0..others.len());
                others[begin..others.len().min(begin + chance.random_range(1..200))].to_vec()
            }
            _ => char::from_u32(chance.random_range(0..0x3000)).into_iter().collect(),
        };
        letters.splice(from..to, put);
    }
    letters.into_iter().collect()
}

/// Changes the corpus by chance, for as many seconds as the environment says: none in other tests than `make fuzz`.
fn changed_by_chance(name: &str, corpus: &[Files], changes: impl Fn(&str) -> bool) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("BAREMO_FUZZ_SECONDS").unwrap_or_default();
    let seed = number("BAREMO_FUZZ_SEED").unwrap_or_default();
    let mut chance = StdRng::seed_from_u64(seed);
    let (begun, mut count) = (Instant::now(), 0_u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let (mut files, other) = (corpus.choose(&mut chance).unwrap().clone(), corpus.choose(&mut chance).unwrap());
        let paths: Vec<String> = files.keys().filter(|path| changes(path)).cloned().collect();
        let path = paths.choose(&mut chance).unwrap();
        let other = other.get(path).cloned().unwrap_or_default();
        let text = changed(&files[path], &other, &mut chance);
        if text.len() < MAX_INPUT {
            files.insert(path.clone(), text);
            tried(name, files);
            count += 1;
        }
    }
    if seconds > 0 {
        eprintln!("{name}: {count} inputs from the seed {seed}");
    }
}

fn packs() -> Vec<Files> {
    let rules = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")).unwrap();
    let folders: Vec<PathBuf> =
        rules.map(|entry| entry.unwrap().path()).filter(|path| path.join("pack.toml").is_file()).collect();
    let files = |folder: PathBuf| {
        let source = Source::from_folder(&folder).unwrap();
        source.files().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
    };
    folders.into_iter().map(files).collect()
}

#[test]
fn hostile_packs_are_refused_for_what_they_are() {
    for attack in attacks().into_iter().filter(|attack| attack.refused) {
        let files = attack.pack();
        if files.contains_key("sample.toml") {
            // The files that a sample names stand outside of the engine: `baremo rules check` looks at them.
            continue;
        }
        let check = move || Source::from_files(files).and_then(|source| check(&source).map(drop));
        let checked = std::thread::Builder::new().stack_size(STACK).spawn(check).unwrap().join().unwrap();
        let faults = checked.err().unwrap_or_else(|| panic!("{} is not refused", attack.name));
        let codes: Vec<&str> = faults.iter().map(|fault| fault.code).collect();
        assert!(codes.contains(&attack.expected.as_str()), "{}: {codes:?}", attack.name);
    }
}

#[test]
fn packs_changed_by_chance_crash_nothing() {
    let mut corpus: Vec<Files> = attacks().iter().map(Attack::pack).collect();
    corpus.iter().for_each(|files| tried("packs", files.clone()));
    corpus.extend(packs());
    changed_by_chance("packs", &corpus, |_| true);
}

#[test]
fn scripts_changed_by_chance_crash_nothing() {
    let corpus: Vec<Files> = attacks().iter().map(Attack::pack).filter(|files| files.len() == 3).collect();
    changed_by_chance("scripts", &corpus, |path| path.ends_with(".rhai"));
}
