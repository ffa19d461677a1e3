//! The packs of `tests/hostile`, one a file: its first line says whether it is refused or stopped, and with what.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub const MANIFEST: &str = r#"
[pack]
id = "trial"
title = { en = "Trial" }
contract = 1
time_zone = "UTC"
currency = "EUR"
unit = "piece"
languages = ["en"]
[kinds.order]
measures = ["quantity"]
[metrics.volume]
function = "sum"
kind = "order"
measure = "quantity"
window = { full_months = 3 }
[fields.attack]
section = "basic"
type = "text"
[fields.area]
section = "basic"
type = "decimal"
"#;
pub const POLICY: &str = r#"
subject = "customer"
outcomes = ["1", "2"]
cadence = "continuous"
indicators = ["a", "b"]
entitlements = { gifts = { type = "texts" } }
"#;
pub const TEXTS: &str = r#"
fields = { attack = "Attack", area = "Area" }
kinds.order = "Order"
measures.quantity = "Quantity"
metrics.volume = "Volume"
"#;
pub const HARMLESS: &str = "//! Harmless.\nfn decide(customer, context) { decision(\"1\") }\n";

/// One hostile file.
pub struct Attack {
    pub name: String,
    /// Whether it is refused when it is loaded; else it is stopped when it runs.
    pub refused: bool,
    /// The code with which it is refused, or a part of what is said when it is stopped.
    pub expected: String,
    /// The file without its first line, with everything written out.
    pub text: String,
    pub is_pack: bool,
}

/// Writes out what stands in a file in short: `⟪500×x§⟫` is x0, x1 and so on.
fn written_out(text: &str) -> String {
    let mut parts = text.split('⟪');
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (repeated, rest) = part.split_once('⟫').expect("a ⟪ has its ⟫");
        let (count, unit) = repeated.split_once('×').expect("a repetition has a number");
        for number in 0..count.parse::<usize>().unwrap() {
            all += &unit.replace('§', &number.to_string());
        }
        all += rest;
    }
    all
}

/// All hostile files, sorted.
pub fn attacks() -> Vec<Attack> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let attack = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let (head, rest) = text.split_once('\n').unwrap();
        let (what, expected) = head.trim_start_matches(['/', '#', ' ']).split_once(": ").unwrap();
        assert!(["refused", "stopped"].contains(&what), "{}: {head}", path.display());
        Attack {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            refused: what == "refused",
            expected: expected.to_owned(),
            text: written_out(rest),
            is_pack: path.extension().is_some_and(|extension| extension == "pack"),
        }
    };
    paths.into_iter().map(attack).collect()
}

/// The texts of a policy; reasons only where its script gives one.
pub fn texts_of(policy: &str, script: &str) -> String {
    let reason =
        if script.contains(".because(\"a\"") { format!("reasons.{policy}.a = \"a\"\n") } else { String::new() };
    format!(
        "policies.{policy} = \"p\"\noutcomes.{policy} = {{ 1 = \"1\", 2 = \"2\" }}\nindicators.{policy} = {{ a = \"a\", b = \"b\" }}\n\
         entitlements.{policy}.gifts = \"g\"\n{reason}"
    )
}

impl Attack {
    /// The files of a pack that is sound but for the attack.
    pub fn pack(&self) -> BTreeMap<String, String> {
        let manifest = format!("{MANIFEST}[policies.grade]{POLICY}");
        let script = if self.is_pack { HARMLESS } else { &self.text };
        let mut files =
            BTreeMap::from([("pack.toml".to_owned(), manifest), ("policies/grade.rhai".to_owned(), script.to_owned())]);
        let parts = if self.is_pack { self.text.as_str() } else { "" };
        let mut texts = String::new();
        for part in parts.split("=== ").skip(1) {
            let (path, text) = part.split_once('\n').unwrap();
            match path.strip_prefix('+') {
                Some("texts/en.toml") => texts += text,
                Some(path) => *files.get_mut(path).unwrap() += text,
                None => drop(files.insert(path.to_owned(), text.to_owned())),
            }
        }
        let texts = format!("{TEXTS}{}{texts}", texts_of("grade", &files["policies/grade.rhai"]));
        files.insert("texts/en.toml".to_owned(), texts);
        files
    }
}
