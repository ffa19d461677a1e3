//! Reads `texts/<lang>.toml` and checks that each language has every text, none that nothing needs, and no placeholder
//! that its reason doesn't give.

use std::collections::{BTreeMap, BTreeSet};

use super::super::diagnostic::Diagnostic;
use super::super::document::{Faults, Item, Read, Span, Table};
use super::super::pack::Pack;
use super::super::source::Source;
use super::{BAND, BAND_FIRST, BAND_LAST, BETWEEN_PARTS, LabelKind, Language, OWN_FALLBACK, Template, Texts, own};

/// What the policies give, as far as their scripts are sound: reason codes with the names of their values, by policy.
pub(in super::super) type Given = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The sections of labels: name in the file, what they name, and whether its labels belong to something.
const SECTIONS: [(&str, LabelKind, bool); 11] = [
    ("fields", LabelKind::Field, false),
    ("choices", LabelKind::Choice, true),
    ("kinds", LabelKind::Kind, false),
    ("observations", LabelKind::Observation, false),
    ("measures", LabelKind::Measure, false),
    ("metrics", LabelKind::Metric, false),
    ("policies", LabelKind::Policy, false),
    ("outcomes", LabelKind::Outcome, true),
    ("lists", LabelKind::List, false),
    ("indicators", LabelKind::Indicator, true),
    ("entitlements", LabelKind::Entitlement, true),
];
/// The section of reason texts.
const REASONS: &str = "reasons";

/// The texts of all the pack's languages with all their faults. `faulty` are names that the manifest declares with faults,
/// `given` the reasons of policies whose scripts are sound.
pub(in super::super) fn read(
    source: &Source,
    pack: &Pack,
    faulty: &BTreeSet<String>,
    given: &Given,
) -> (Texts, Vec<Diagnostic>) {
    let mut faults = Vec::new();
    let mut languages = BTreeMap::new();
    let files = source.texts();
    let own = parts(pack, given);
    for language in &pack.languages {
        let mut texts = Language::default();
        for (folder, wanted, given) in &own {
            let file = format!("{folder}texts/{language}.toml");
            let Some(text) = source.file(&file) else {
                let message = format!("the pack names the language '{language}' but has no {file}");
                faults.push(Diagnostic::of_file(&file, "missing_texts", message));
                continue;
            };
            let collected = Faults::new(&file, text);
            if let Some(root) = collected.parse() {
                let reader = Reader { faults: &collected, pack, wanted, faulty, given };
                let top = Table::new(&collected, root.get_ref(), 0..0, "the file");
                texts.add(reader.language(&top));
            }
            faults.extend(collected.into_list());
        }
        languages.insert(language.clone(), texts);
    }
    if !pack.languages.is_empty() {
        for language in files.keys().filter(|language| !pack.languages.contains(language)) {
            let message = format!("'{language}' is not one of the pack's languages {}", pack.languages.join(", "));
            faults.push(Diagnostic::of_file(&format!("texts/{language}.toml"), "unknown_language", message));
        }
    }
    (Texts { fallback: pack.languages.first().cloned().unwrap_or_default(), languages }, faults)
}

/// Keys by whose they are.
type Keys = BTreeMap<String, BTreeSet<String>>;
/// Labels by what they name.
type Wanted = BTreeMap<LabelKind, Keys>;

/// Whose texts stand together: the folder, with the labels and reasons that are wanted there. First the pack's own, then those of each general
/// policy that it takes.
fn parts(pack: &Pack, given: &Given) -> Vec<(String, Wanted, Given)> {
    let common = pack.policies.iter().filter(|(_, policy)| policy.common).map(|(id, _)| id.as_str());
    let part = |folder: String, is_of: &dyn Fn(&str) -> bool| {
        let reasons = given.iter().filter(|(policy, _)| is_of(policy));
        (folder, wanted(pack, is_of), reasons.map(|(policy, given)| (policy.clone(), given.clone())).collect())
    };
    let own = part(String::new(), &|policy| pack.policies.get(policy).is_none_or(|policy| !policy.common));
    let mut parts = vec![own];
    for id in common {
        let (folder, mut wanted, given) = part(super::super::source::common(id, ""), &|policy| policy == id);
        wanted.retain(|kind, _| OF_POLICIES.contains(kind));
        parts.push((folder, wanted, given));
    }
    parts
}

/// What policies have labels for.
const OF_POLICIES: [LabelKind; 4] =
    [LabelKind::Policy, LabelKind::Outcome, LabelKind::Indicator, LabelKind::Entitlement];

/// Every label that the declarations want, of the policies that `is_of` names.
fn wanted(pack: &Pack, is_of: &dyn Fn(&str) -> bool) -> Wanted {
    let policies = || pack.policies.iter().filter(|(id, _)| is_of(id));
    let nobodys = |keys: BTreeSet<String>| Keys::from([(String::new(), keys)]);
    let choices = pack.fields.iter().filter(|(_, field)| !field.choices.is_empty());
    let of_policies = |keys: fn(&super::super::pack::PolicyDeclaration) -> BTreeSet<String>| -> Keys {
        let keys = policies().map(|(id, policy)| (id.clone(), keys(policy)));
        keys.filter(|(_, keys)| !keys.is_empty()).collect()
    };
    BTreeMap::from([
        (LabelKind::Field, nobodys(pack.fields.iter().map(|(key, _)| key.to_owned()).collect())),
        (
            LabelKind::Choice,
            choices.map(|(key, field)| (key.to_owned(), field.choices.iter().cloned().collect())).collect(),
        ),
        (LabelKind::Kind, nobodys(pack.definitions.kinds.keys().cloned().collect())),
        (LabelKind::Observation, nobodys(pack.definitions.observations.keys().cloned().collect())),
        (
            LabelKind::Measure,
            nobodys(pack.definitions.kinds.values().flat_map(|kind| kind.measures.iter().cloned()).collect()),
        ),
        (LabelKind::Metric, nobodys(pack.definitions.metrics.keys().cloned().collect())),
        (LabelKind::List, nobodys(pack.lists.keys().cloned().collect())),
        (LabelKind::Policy, nobodys(policies().map(|(id, _)| id.clone()).collect())),
        (
            LabelKind::Outcome,
            of_policies(|policy| {
                if policy.cells.is_empty() {
                    policy.outcomes.iter().cloned().collect()
                } else {
                    policy.cells.iter().flatten().cloned().collect()
                }
            }),
        ),
        (LabelKind::Indicator, of_policies(|policy| policy.indicators.iter().cloned().collect())),
        (LabelKind::Entitlement, of_policies(|policy| policy.entitlements.keys().cloned().collect())),
    ])
}

/// The reading of one language's file.
struct Reader<'t, 'a> {
    faults: &'t Faults<'a>,
    pack: &'t Pack,
    wanted: &'t Wanted,
    faulty: &'t BTreeSet<String>,
    given: &'t Given,
}

impl<'t, 'a> Reader<'t, 'a> {
    fn language(&self, top: &Table<'t, 'a>) -> Language {
        let mut language = Language::default();
        let sections: BTreeMap<&str, (Span, &Item<'a>)> =
            top.entries().map(|(key, span, item)| (key, (span, item))).collect();
        for (name, kind, owned) in SECTIONS {
            let Some(wanted) = self.wanted.get(&kind) else { continue };
            let section = sections.get(name);
            let labels = if owned { self.owned(name, section, wanted) } else { self.flat(name, section, wanted) };
            language.labels.insert(kind, labels);
        }
        language.reasons = self.reasons(sections.get(REASONS));
        for (key, (span, _)) in &sections {
            let names = || SECTIONS.iter().map(|(name, ..)| *name).chain([REASONS]);
            if !names().any(|name| name == *key) {
                let hint = self.faults.did_you_mean(key, names());
                self.faults.at(span, "unknown_key", format!("there is no section [{key}] of texts{hint}"));
            }
        }
        self.join_cells(&mut language);
        language
    }

    /// A section whose labels are nobody's: `[fields]`.
    fn flat(
        &self,
        name: &str,
        section: Option<&(Span, &'t Item<'a>)>,
        wanted: &Keys,
    ) -> BTreeMap<String, BTreeMap<String, String>> {
        let keys = wanted.get("").cloned().unwrap_or_default();
        let table = section.and_then(|(span, item)| Table::of(self.faults, item, span.clone(), format!("[{name}]")));
        let texts = self.texts(&format!("[{name}]"), table, &keys, &BTreeSet::new());
        BTreeMap::from([(String::new(), texts)])
    }

    /// A section whose labels belong to something: `[choices.<field>]`.
    fn owned(
        &self,
        name: &str,
        section: Option<&(Span, &'t Item<'a>)>,
        wanted: &Keys,
    ) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut owners = self.owners(name, section, wanted.keys().map(String::as_str));
        let mut labels = BTreeMap::new();
        for (owner, keys) in wanted {
            let texts = self.texts(&format!("[{name}.{owner}]"), owners.remove(owner.as_str()), keys, &BTreeSet::new());
            labels.insert(owner.clone(), texts);
        }
        labels
    }

    /// The tables of a section by whose they are; those of nobody who is wanted are faults.
    fn owners<'w>(
        &self,
        name: &str,
        section: Option<&(Span, &'t Item<'a>)>,
        wanted: impl Iterator<Item = &'w str> + Clone,
    ) -> BTreeMap<&'t str, Table<'t, 'a>> {
        let mut tables = BTreeMap::new();
        let section = section.and_then(|(span, item)| Table::of(self.faults, item, span.clone(), format!("[{name}]")));
        for (owner, span, item) in section.iter().flat_map(Table::entries) {
            if wanted.clone().any(|wanted| wanted == owner) {
                let table = Table::of(self.faults, item, span, format!("[{name}.{owner}]"));
                tables.extend(table.map(|table| (owner, table)));
            } else if !self.faulty.contains(owner) {
                let hint = self.faults.did_you_mean(owner, wanted.clone());
                self.faults.at(&span, "unknown_key", format!("nothing needs texts in [{name}.{owner}]{hint}"));
            }
        }
        tables
    }

    /// The texts of one table: every wanted one must be there, and none but these and the optional ones.
    fn texts(
        &self,
        name: &str,
        table: Option<Table<'t, 'a>>,
        wanted: &BTreeSet<String>,
        optional: &BTreeSet<String>,
    ) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        let mut there = BTreeSet::new();
        for (key, span, item) in table.iter().flat_map(Table::entries) {
            there.insert(key);
            if wanted.contains(key) || optional.contains(key) {
                texts.extend(String::read(item, self.faults).map(|text| (key.to_owned(), text)));
            } else if !self.faulty.contains(key) {
                let hint = self.faults.did_you_mean(key, wanted.iter().chain(optional).map(String::as_str));
                self.faults.at(&span, "unknown_text", format!("nothing needs the text '{key}' in {name}{hint}"));
            }
        }
        for key in wanted.iter().filter(|key| !there.contains(key.as_str())) {
            let message = format!("the text '{key}' is missing in {name}");
            match &table {
                Some(table) => self.faults.at(table.span(), "missing_text", message),
                None => self.faults.of_file("missing_text", message),
            }
        }
        texts
    }

    /// `[reasons.<policy>]`.
    fn reasons(&self, section: Option<&(Span, &'t Item<'a>)>) -> BTreeMap<String, BTreeMap<String, Template>> {
        let policies = self.wanted.get(&LabelKind::Policy).into_iter().flat_map(|keys| keys.values().flatten());
        let mut owners = self.owners(REASONS, section, policies.map(String::as_str));
        let mut reasons = BTreeMap::new();
        for (policy, given) in self.given {
            let own = |code: &str| own(code, OWN_FALLBACK).is_some();
            let wanted: BTreeSet<String> = given.keys().filter(|code| !own(code)).cloned().collect();
            let mut optional: BTreeSet<String> = given.keys().filter(|code| own(code)).cloned().collect();
            if optional.contains(BAND) {
                optional.extend([BAND_FIRST.to_owned(), BAND_LAST.to_owned()]);
            }
            let table = owners.remove(policy.as_str());
            let spans: BTreeMap<&str, Span> =
                table.iter().flat_map(Table::entries).map(|(key, _, item)| (key, item.span())).collect();
            let texts = self.texts(&format!("[{REASONS}.{policy}]"), table, &wanted, &optional);
            let mut templates = BTreeMap::new();
            for (code, text) in texts {
                let span = spans.get(code.as_str()).cloned().unwrap_or_default();
                templates.extend(self.template(&code, &text, &span, given).map(|template| (code, template)));
            }
            reasons.insert(policy.clone(), templates);
        }
        reasons
    }

    /// One reason's text, whose placeholders must be values that the reason has.
    fn template(
        &self,
        code: &str,
        text: &str,
        span: &Span,
        given: &BTreeMap<String, BTreeSet<String>>,
    ) -> Option<Template> {
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(message) => {
                self.faults.at(span, "placeholder", message);
                return None;
            }
        };
        let own = if matches!(code, BAND_FIRST | BAND_LAST) { BAND } else { code };
        let missing: &[&str] = match code {
            BAND_FIRST => &["next", "next_outcome"],
            BAND_LAST => &["from"],
            _ => &[],
        };
        let mut values: BTreeSet<&str> = given.get(own).into_iter().flatten().map(String::as_str).collect();
        values.retain(|value| !missing.contains(value));
        values.insert("outcome");
        for placeholder in template.placeholders() {
            if !values.contains(placeholder) {
                let hint = self.faults.did_you_mean(placeholder, values.iter().copied());
                let known = values.iter().copied().collect::<Vec<_>>().join(", ");
                let message = format!("the reason '{code}' has no value '{placeholder}', only {known}{hint}");
                self.faults.at(span, "placeholder", message);
            }
        }
        Some(template)
    }

    /// Gives every combination of cells the label that its parts make.
    fn join_cells(&self, language: &mut Language) {
        let Some(outcomes) = language.labels.get_mut(&LabelKind::Outcome) else { return };
        for (id, policy) in self.pack.policies.iter().filter(|(_, policy)| !policy.cells.is_empty()) {
            let Some(labels) = outcomes.get_mut(id) else { continue };
            let mut joined = vec![String::new()];
            for part in &policy.cells {
                let part: Vec<&str> =
                    part.iter().map(|name| labels.get(name).map_or(name.as_str(), String::as_str)).collect();
                let with = |before: &String, next: &str| {
                    if before.is_empty() { next.to_owned() } else { format!("{before}{BETWEEN_PARTS}{next}") }
                };
                joined = joined.iter().flat_map(|before| part.iter().map(move |next| with(before, next))).collect();
            }
            *labels = policy.outcomes.iter().cloned().zip(joined).collect();
        }
    }
}
