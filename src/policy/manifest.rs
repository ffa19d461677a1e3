//! Reads `pack.toml`: every fault is found in one go, each with its place in the file.

mod drift;
mod fields;
mod figures;
mod influence;
mod lists;
mod overrides;
mod policies;
mod publication;
mod publishing;
mod stability;
mod staff;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeTable;

use super::diagnostic::Diagnostic;
use super::document::{Faults, Item, Read, Span, Table, check_doubled, check_key, entries, found, plain};
use super::pack::{Pack, PolicyDeclaration};
use super::sandbox::is_reserved;
use super::source::{MANIFEST, Source};
use super::texts::Texts;
use crate::customers::model::Fields;
use crate::faults::excerpt;
use crate::faults::{Fault, nearest};
use crate::transactions::model::{Definitions, SubjectKind};

/// The version of the contract that this engine fulfils.
pub const CONTRACT: u32 = 1;

/// Most entries of each section.
const MOST: [(&str, usize); 8] = [
    ("fields", 500),
    ("kinds", 100),
    ("observations", 100),
    ("metrics", 500),
    ("cohorts", 100),
    ("policies", 100),
    ("influence", 30),
    ("lists", 100),
];

/// A manifest as far as it could be read.
pub(super) struct Manifest {
    /// The pack; what was faulty is left out of it.
    pub(super) pack: Pack,
    /// Keys and ids that the manifest declares with faults: whoever names them isn't at fault.
    pub(super) faulty: BTreeSet<String>,
}

/// The declarations of a pack, without its texts.
///
/// # Errors
/// Every fault of the manifest, in the order of the file.
pub fn parse(source: &Source) -> Result<Pack, Vec<Diagnostic>> {
    match read(source) {
        (Some(manifest), faults) if faults.is_empty() => Ok(manifest.pack),
        (_, faults) => Err(faults),
    }
}

/// The id that a manifest gives its pack, as far as it can be read: whatever else is wrong with it.
pub fn pack_id(manifest: &str) -> Option<String> {
    let (table, _) = DeTable::parse_recoverable(manifest);
    let id = table.get_ref().get("pack")?.get_ref().get("id")?;
    let (id, faults) = (id.get_ref().as_str()?, Faults::new(MANIFEST, manifest));
    check_key(&faults, id, &(0..0));
    (faults.count() == 0).then(|| id.to_owned())
}

/// The manifest as far as it can be read, nothing when it is no TOML; and its faults in the order of the file.
pub(super) fn read(source: &Source) -> (Option<Manifest>, Vec<Diagnostic>) {
    let faults = Faults::new(MANIFEST, source.manifest());
    let mut of_common = Vec::new();
    let manifest = faults.parse().map(|root| {
        let reader =
            Reader { source, faults: &faults, faulty: BTreeSet::new(), patterns: 0, of_common: &mut of_common };
        reader.read(&root)
    });
    let mut list = faults.into_list();
    list.sort_by_key(|fault| (fault.line, fault.column));
    list.extend(of_common);
    (manifest, list)
}

/// What `[pack]` says.
struct Header {
    id: String,
    title: BTreeMap<String, String>,
    time_zone: TimeZone,
    currency: String,
    unit: String,
    languages: Vec<String>,
    closes_after: u16,
    opening_field: Option<String>,
}

/// The reading of one manifest.
struct Reader<'t, 'a> {
    source: &'a Source,
    faults: &'t Faults<'a>,
    faulty: BTreeSet<String>,
    /// Regular expressions so far.
    patterns: usize,
    /// Faults in the declarations of general policies that the pack takes.
    of_common: &'t mut Vec<Diagnostic>,
}

impl<'t, 'a> Reader<'t, 'a> {
    fn read(mut self, root: &'t Spanned<DeTable<'a>>) -> Manifest {
        let mut top = Table::new(self.faults, root.get_ref(), 0..0, "the manifest");
        let header = match top.required_item("pack") {
            Some(_) => top.table("pack", "[pack]").map(|table| self.header(table)),
            None => None,
        };
        let header = header.unwrap_or_else(Header::unknown);
        let fields = self.section(&mut top, "fields", "the field", Self::field);
        let kinds = self.section(&mut top, "kinds", "the kind", Self::kind);
        let observations = self.section(&mut top, "observations", "the kind of observations", Self::observation);
        let metrics = self.section(&mut top, "metrics", "the metric", Self::metric);
        let fields = Fields::new(fields, metrics.keys().cloned().collect());
        let definitions = Definitions { kinds, observations, metrics, opening_field: header.opening_field };
        self.check_definitions(&definitions, &fields, root.get_ref());
        self.check_renames(&fields, &definitions, root.get_ref());
        let of_customers = definitions.of(SubjectKind::Customer);
        let mut cohorts = self.section(&mut top, "cohorts", "the cohort", |reader, _, table| {
            reader.cohort(table, &fields, &of_customers)
        });
        let mut policies = self.section(&mut top, "policies", "the policy", |reader, id, table| {
            let (policy, of_common) = reader.policy(id, table, (&fields, &of_customers, &cohorts))?;
            cohorts.extend(of_common);
            Some(policy)
        });
        if !top.has("policies") {
            self.faults.of_file("missing", "the manifest declares no policies: [policies.<id>]");
        }
        let influences = self.section(&mut top, "influence", "the influence", |reader, key, table| {
            reader.influence(key, table, &fields, &of_customers)
        });
        self.check_stability(&policies, (&fields, &of_customers), root.get_ref());
        let mut of_employees = policies.clone();
        of_employees.retain(|_, policy| policy.subject == SubjectKind::Employee);
        let staff =
            top.table("staff", "[staff]").and_then(|table| self.staff(table, (&fields, &of_customers), &of_employees));
        // What follows is about decisions on customers alone.
        policies.retain(|_, policy| policy.subject == SubjectKind::Customer);
        let publishing = top.table("publishing", "[publishing]").map(|table| self.publishing(table, &policies));
        let lists = self.section(&mut top, "lists", "the list", |reader, _, table| reader.list(table, &policies));
        let publication =
            top.table("publication", "[publication]").and_then(|table| self.publication(table, &fields, &policies));
        let overrides =
            top.table("overrides", "[overrides]").map(|table| self.overrides(table, &mut policies)).unwrap_or_default();
        let appeals =
            top.table("appeals", "[appeals]").map(|table| self.appeals(table, &mut policies)).unwrap_or_default();
        let drift = top.table("drift", "[drift]").map(|table| self.drift(table, &fields)).unwrap_or_default();
        top.close();
        policies.extend(of_employees);
        let pack = Pack {
            id: header.id,
            title: header.title,
            time_zone: header.time_zone,
            currency: header.currency,
            unit: header.unit,
            languages: header.languages,
            closes_after: header.closes_after,
            fields: Arc::new(fields),
            definitions: Arc::new(definitions),
            customer_definitions: Arc::new(of_customers),
            cohorts,
            policies,
            influences,
            publishing,
            drift,
            lists,
            publication,
            overrides,
            appeals,
            staff,
            texts: Texts::default(),
        };
        Manifest { pack, faulty: self.faulty }
    }

    /// Reads the tables of one section, `[fields.<key>]`; those with faults are remembered and left out.
    fn section<T>(
        &mut self,
        top: &mut Table<'t, 'a>,
        section: &'static str,
        name: &str,
        mut read: impl FnMut(&mut Self, &str, Table<'t, 'a>) -> Option<T>,
    ) -> indexmap::IndexMap<String, T> {
        let mut found = indexmap::IndexMap::new();
        let Some(table) = top.table(section, format!("[{section}]")) else { return found };
        let most = MOST.iter().find(|(of, _)| *of == section).map_or(usize::MAX, |(_, most)| *most);
        let count = table.entries().count();
        if count > most {
            let message = format!("[{section}] has {count} entries, and may have {most}");
            self.faults.at(table.span(), "too_many", message);
        }
        for (key, span, item) in table.entries().take(most) {
            let before = self.faults.count();
            check_key(self.faults, key, &span);
            if !["kinds", "observations"].contains(&section) && self.faults.count() == before && is_reserved(key) {
                let message = format!("'{key}' is a word of the script language; choose another key");
                self.faults.at(&span, "key", message);
            }
            let entry = Table::of(self.faults, item, span, format!("{name} '{key}'"));
            match entry.and_then(|entry| read(self, key, entry)) {
                Some(value) if self.faults.count() == before => drop(found.insert(key.to_owned(), value)),
                _ => drop(self.faulty.insert(key.to_owned())),
            }
        }
        found
    }

    fn header(&self, mut table: Table<'t, 'a>) -> Header {
        let unknown = Header::unknown();
        let id = table.required::<Spanned<String>>("id");
        if let Some(id) = &id {
            check_key(self.faults, id.get_ref(), &id.span());
        }
        if let Some(contract) = table.required::<Spanned<u32>>("contract")
            && *contract.get_ref() != CONTRACT
        {
            let message = format!("this Baremo fulfils contract {CONTRACT}, not {}", contract.get_ref());
            self.faults.at(&contract.span(), "contract", message);
        }
        let languages = self.languages(&mut table);
        let header = Header {
            id: id.map_or(unknown.id, Spanned::into_inner),
            title: self.title(&mut table, &languages),
            time_zone: table.required_item("time_zone").and_then(|item| self.time_zone(item)).unwrap_or(TimeZone::UTC),
            currency: table.required("currency").map(|currency| self.currency(currency)).unwrap_or(unknown.currency),
            unit: table.required("unit").unwrap_or(unknown.unit),
            languages,
            closes_after: table.optional("closes_after").unwrap_or_default(),
            opening_field: table.optional("opening_field"),
        };
        table.close();
        header
    }

    fn languages(&self, table: &mut Table<'t, 'a>) -> Vec<String> {
        let Some(languages) = table.required::<Vec<Spanned<String>>>("languages") else { return Vec::new() };
        if languages.is_empty() {
            self.faults.at(&table.key_span("languages"), "empty", "a pack has at least one language, such as \"en\"");
        }
        check_doubled(self.faults, &languages);
        for language in &languages {
            if !is_language(language.get_ref()) {
                let message = format!("'{}' is no language such as en, es or zh", excerpt(language.get_ref()));
                self.faults.at(&language.span(), "language", message);
            }
        }
        plain(Some(languages))
    }

    fn title(&self, table: &mut Table<'t, 'a>, languages: &[String]) -> BTreeMap<String, String> {
        let Some(item) = table.required_item("title") else { return BTreeMap::new() };
        let Some(titles) = item.get_ref().as_table() else {
            let message = format!("the title is a table by language, not {}", found(item.get_ref()));
            self.faults.at(&item.span(), "wrong_type", message);
            return BTreeMap::new();
        };
        for language in languages.iter().filter(|language| !titles.contains_key(language.as_str())) {
            self.faults.at(&item.span(), "missing", format!("the title in '{language}' is missing"));
        }
        let mut read = BTreeMap::new();
        for (key, text) in entries(titles) {
            let language = key.get_ref().to_string();
            if !languages.is_empty() && !languages.contains(&language) {
                let message = format!("'{language}' is not one of the pack's languages {}", languages.join(", "));
                self.faults.at(&key.span(), "unknown_language", message);
            }
            read.extend(String::read(text, self.faults).map(|text| (language, text)));
        }
        read
    }

    fn time_zone(&self, item: &Item<'a>) -> Option<TimeZone> {
        let name = String::read(item, self.faults)?;
        if let Ok(zone) = TimeZone::get(&name) {
            return Some(zone);
        }
        let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
        let hint = nearest(&name, known.iter().map(String::as_str))
            .map_or("; a zone is named such as Europe/Madrid".to_owned(), |near| format!("; did you mean '{near}'?"));
        let message = format!("there is no time zone '{}'{hint}", excerpt(&name));
        self.faults.at(&item.span(), "time_zone", message);
        None
    }

    fn currency(&self, currency: Spanned<String>) -> String {
        let code = currency.get_ref();
        if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let message = format!("'{}' is no currency code of ISO 4217, such as EUR", excerpt(code));
            self.faults.at(&currency.span(), "currency", message);
        }
        currency.into_inner()
    }

    /// Notes a fault where there is no such policy.
    fn known_policy(&self, named: &Spanned<String>, policies: &indexmap::IndexMap<String, PolicyDeclaration>) {
        let name = named.get_ref();
        if !policies.contains_key(name) && !self.faulty.contains(name) {
            let hint = self.faults.did_you_mean(name, policies.keys().map(String::as_str));
            self.faults.at(&named.span(), "unknown_policy", format!("there is no policy '{name}'{hint}"));
        }
    }

    /// Checks kinds and metrics together, as far as nothing that they name is itself faulty.
    fn check_definitions(&mut self, definitions: &Definitions, fields: &Fields, root: &DeTable<'a>) {
        let names_faulty = |name: &Option<String>| name.as_ref().is_some_and(|name| self.faulty.contains(name));
        let mut checked = definitions.clone();
        checked.metrics.retain(|_, metric| !self.faulty.contains(&metric.kind));
        checked.kinds.retain(|_, kind| !names_faulty(&kind.subtracts_from));
        let dropped: BTreeSet<&String> =
            definitions.kinds.keys().filter(|key| !checked.kinds.contains_key(*key)).collect();
        checked.metrics.retain(|_, metric| !dropped.contains(&metric.kind));
        if names_faulty(&checked.opening_field) {
            checked.opening_field = None;
        }
        for Fault { pointer, code, detail } in checked.check(fields) {
            self.faults.at(&locate(root, &pointer), code_of(&code), detail);
            self.faulty.extend(pointer.split('/').nth(2).map(str::to_owned));
        }
        let metrics = definitions.metrics.keys().filter(|key| self.faulty.contains(*key));
        let in_both = metrics.filter(|key| fields.get(key).is_some()).cloned().collect::<Vec<_>>();
        self.faulty.extend(in_both);
    }
}

impl Header {
    /// Stands for a header that couldn't be read, so that the rest can be checked.
    fn unknown() -> Self {
        Self {
            id: String::new(),
            title: BTreeMap::new(),
            time_zone: TimeZone::UTC,
            currency: String::new(),
            unit: String::new(),
            languages: Vec::new(),
            closes_after: 0,
            opening_field: None,
        }
    }
}

/// Whether a text is a language tag: two or three lower-case letters, and perhaps a region or script, `zh-Hant`.
fn is_language(text: &str) -> bool {
    let (language, rest) = text.split_once('-').unwrap_or((text, "xx"));
    let letters = |part: &str, from: usize, to: usize| {
        (from..=to).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    letters(language, 2, 3) && language.bytes().all(|byte| byte.is_ascii_lowercase()) && letters(rest, 2, 8)
}

/// Where a JSON pointer leads in the file: the value, or the key of a table; as far as it goes.
fn locate(root: &DeTable<'_>, pointer: &str) -> Span {
    let mut table = root;
    let mut span = 0..0;
    for segment in pointer.split('/').skip(1) {
        let Some((key, item)) = table.get_key_value(segment) else { break };
        match item.get_ref().as_table() {
            Some(inner) => {
                span = key.span();
                table = inner;
            }
            None => return item.span(),
        }
    }
    span
}

/// The codes of faults in kinds and metrics, which are texts of their own there.
fn code_of(code: &str) -> &'static str {
    const CODES: [&str; 10] = [
        "category",
        "doubled",
        "function",
        "kind",
        "measure",
        "measures",
        "products",
        "unknown_field",
        "unknown_kind",
        "unknown_measure",
    ];
    CODES.into_iter().find(|known| *known == code).unwrap_or("window")
}

#[cfg(test)]
mod tests;
