//! Reads `cases/<policy>.toml`, every fault with its place in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::diagnostic::Diagnostic;
use super::super::document::{Faults, Item, Read, Span, Table, entries, found, plain};
use super::super::model::{Cohort, CohortCuts, Cuts, Entitlement, Previous, Subject};
use super::super::pack::PolicyDeclaration;
use super::super::release::LoadedPack;
use super::super::source::Source;
use super::super::stability;
use super::{Case, Expected};
use crate::customers::model::{Field, FieldType, Value, Values};
use crate::faults::did_you_mean;

mod transactions;

/// Most cases of one file.
const MAX_CASES: usize = 500;

/// The cases of each policy that has any, or every fault in them.
pub(super) fn read(loaded: &LoadedPack, source: &Source) -> Result<Vec<(String, Vec<Case>)>, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let mut files = Vec::new();
    for (policy, text) in source.cases() {
        let Some(declaration) = loaded.pack.policies.get(&policy) else {
            let hint = did_you_mean(&policy, loaded.pack.policies.keys().map(String::as_str));
            let message = format!("the pack has no policy '{policy}' to test{hint}");
            faults.push(Diagnostic::of_file(&format!("cases/{policy}.toml"), "unknown_policy", message));
            continue;
        };
        let file = declaration.cases_path(&policy);
        let collected = Faults::new(&file, &text);
        if let Some(root) = collected.parse() {
            let reader = Reader { faults: &collected, loaded, policy: &policy, declaration };
            let cases = reader.file(root.get_ref());
            files.push((policy.clone(), cases));
        }
        faults.extend(collected.into_list());
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

/// What holds for a case, of its own or from the defaults.
#[derive(Clone, Default)]
struct Given {
    as_of: Option<Date>,
    values: Values,
    outcomes: BTreeMap<String, String>,
    cohorts: BTreeMap<String, CohortCuts>,
}

/// The reading of one file.
struct Reader<'t, 'a> {
    faults: &'t Faults<'a>,
    loaded: &'t LoadedPack,
    policy: &'t str,
    declaration: &'t PolicyDeclaration,
}

impl<'t, 'a> Reader<'t, 'a> {
    fn file(&self, root: &'t DeTable<'a>) -> Vec<Case> {
        let mut top = Table::new(self.faults, root, 0..0, "a file of cases");
        let defaults = match top.table("defaults", "[defaults]") {
            Some(mut table) => {
                let given = self.given(&mut table);
                table.close();
                given
            }
            None => Given::default(),
        };
        let mut cases = Vec::new();
        let mut names = BTreeSet::new();
        if let Some(list) = top.item("case") {
            let Some(items) = list.get_ref().as_array() else {
                self.faults.at(&list.span(), "wrong_type", "a case begins with [[case]]");
                return cases;
            };
            if items.len() > MAX_CASES {
                let message = format!("{} cases are more than the {MAX_CASES} of a file", items.len());
                self.faults.at(&list.span(), "too_many", message);
            }
            for item in items.iter().take(MAX_CASES) {
                let Some(table) = Table::of(self.faults, item, item.span(), "a case") else { continue };
                cases.extend(self.case(table, &defaults, &mut names));
            }
        }
        top.close();
        cases
    }

    fn case(&self, mut table: Table<'t, 'a>, defaults: &Given, names: &mut BTreeSet<String>) -> Option<Case> {
        let span = table.span().clone();
        let name = table.required::<String>("name");
        if let Some(name) = &name
            && !names.insert(name.clone())
        {
            self.faults.at(&table.key_span("name"), "doubled", format!("there are two cases named '{name}'"));
        }
        let own = self.given(&mut table);
        let previous = table.table("previous", "'previous'").and_then(|table| self.previous(table));
        let mut recorded = table.item("transactions").and_then(|item| self.transactions(item));
        if let Some(item) = table.item("observations") {
            self.observations(item, recorded.get_or_insert_default());
        }
        let expected = table.required_item("expect").and_then(|item| self.expected(item, table.key_span("expect")));
        let as_of = own.as_of.or(defaults.as_of);
        if as_of.is_none() && !table.has("as_of") {
            self.faults.at(&span, "missing", "a case needs 'as_of', here or in [defaults]");
        }
        table.close();
        let as_of = as_of?;
        let mut given = defaults.clone();
        given.values.extend(own.values);
        given.outcomes.extend(own.outcomes);
        given.cohorts.extend(own.cohorts);
        let mut subject = Subject { code: "case".to_owned(), values: given.values, ..Subject::default() };
        if let Some(transactions::Given { transactions, categories }) = recorded {
            let definitions = self.loaded.pack.definitions.of(self.declaration.subject);
            transactions.compute(&definitions, &categories, as_of, &mut subject);
        }
        let cohort = Cohort { cohorts: given.cohorts };
        let line = self.faults.line(&span);
        let previous = previous.map(|previous| (self.policy.to_owned(), previous)).into_iter().collect();
        Some(Case {
            name: name?,
            line,
            as_of,
            subject,
            cohort,
            outcomes: given.outcomes,
            previous,
            expected: expected?,
        })
    }

    /// What stood after the last closing: `previous = { outcome = "C", since = 2017-01-01 }`.
    fn previous(&self, mut table: Table<'t, 'a>) -> Option<Previous> {
        let outcome = table.required_item("outcome").and_then(|item| self.one_of(self.declaration, self.policy, item));
        let since = table.required("since");
        if self.declaration.stability.is_none() {
            let message = format!("the policy '{}' declares no stability, so nothing before concerns it", self.policy);
            self.faults.at(table.span(), "stability", message);
        }
        table.close();
        Some(Previous { outcome: outcome?, since: since? })
    }

    fn given(&self, table: &mut Table<'t, 'a>) -> Given {
        let as_of = table.optional("as_of");
        let values = self.each(table.item("given"), "given", |key, item| self.value(key, item));
        let outcomes = self.each(table.item("outcomes"), "outcomes", |key, item| self.outcome(key, item));
        let cohorts = self.each(table.item("cohorts"), "cohorts", |key, item| self.cuts(key, item));
        Given { as_of, values, outcomes, cohorts }
    }

    /// The entries of a table that can be read.
    fn each<T>(
        &self,
        item: Option<&'t Item<'a>>,
        name: &str,
        read: impl Fn(&Spanned<String>, &'t Item<'a>) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let Some(item) = item else { return BTreeMap::new() };
        let Some(table) = item.get_ref().as_table() else {
            let message = format!("'{name}' is a table, {{ key = value }}, not {}", found(item.get_ref()));
            self.faults.at(&item.span(), "wrong_type", message);
            return BTreeMap::new();
        };
        let read = |(key, item): (&Spanned<std::borrow::Cow<'_, str>>, _)| {
            let key = Spanned::new(key.span(), key.get_ref().to_string());
            read(&key, item).map(|value| (key.into_inner(), value))
        };
        entries(table).filter_map(read).collect()
    }

    fn value(&self, key: &Spanned<String>, item: &Item<'a>) -> Option<Value> {
        let pack = &self.loaded.pack;
        let name = key.get_ref();
        if let Some(field) = pack.fields.get(name) {
            return self.field_value(field, item);
        }
        let Some(metric) = pack.definitions.metrics.get(name) else {
            let metrics = pack.definitions.metrics.keys().map(String::as_str);
            let hint = self.faults.did_you_mean(name, pack.fields.iter().map(|(key, _)| key).chain(metrics));
            self.faults.at(&key.span(), "unknown_field", format!("there is no field or metric '{name}'{hint}"));
            return None;
        };
        match metric.value_type() {
            FieldType::Date => Date::read(item, self.faults).map(Value::Date),
            _ => Decimal::read(item, self.faults).map(Value::Number),
        }
    }

    fn field_value(&self, field: &Field, item: &Item<'a>) -> Option<Value> {
        let text = match (field.field_type, item.get_ref()) {
            (_, DeValue::String(text)) => text.to_string(),
            (FieldType::Boolean, DeValue::Boolean(yes)) => yes.to_string(),
            (FieldType::Integer | FieldType::Decimal, DeValue::Integer(number)) => number.to_string(),
            (FieldType::Integer | FieldType::Decimal, DeValue::Float(number)) => number.to_string(),
            (FieldType::Date, DeValue::Datetime(date)) => date.to_string(),
            (FieldType::Choices, DeValue::Array(_)) => Vec::<String>::read(item, self.faults)?.join(";"),
            (_, other) => {
                let message = format!("{} is no value of a field of type {:?}", found(other), field.field_type);
                self.faults.at(&item.span(), "wrong_type", message.to_lowercase());
                return None;
            }
        };
        field.parse(&text).map_err(|(code, detail)| self.faults.at(&item.span(), code, detail)).ok()
    }

    fn outcome(&self, key: &Spanned<String>, item: &Item<'a>) -> Option<String> {
        let policies = &self.loaded.pack.policies;
        let Some(policy) = policies.get(key.get_ref()) else {
            let hint = self.faults.did_you_mean(key.get_ref(), policies.keys().map(String::as_str));
            self.faults.at(&key.span(), "unknown_policy", format!("there is no policy '{}'{hint}", key.get_ref()));
            return None;
        };
        self.one_of(policy, key.get_ref(), item)
    }

    fn one_of(&self, policy: &PolicyDeclaration, id: &str, item: &Item<'a>) -> Option<String> {
        let outcome = String::read(item, self.faults)?;
        if !policy.outcomes.contains(&outcome) {
            let hint = self.faults.did_you_mean(&outcome, policy.outcomes.iter().map(String::as_str));
            let message = format!("the policy '{id}' has no outcome '{outcome}'{hint}");
            self.faults.at(&item.span(), "unknown_outcome", message);
        }
        Some(outcome)
    }

    fn cuts(&self, key: &Spanned<String>, item: &Item<'a>) -> Option<CohortCuts> {
        let cohorts = &self.loaded.pack.cohorts;
        let Some(cohort) = cohorts.get(key.get_ref()) else {
            let hint = self.faults.did_you_mean(key.get_ref(), cohorts.keys().map(String::as_str));
            self.faults.at(&key.span(), "unknown_cohort", format!("there is no cohort '{}'{hint}", key.get_ref()));
            return None;
        };
        let cuts = plain(Some(Vec::<Spanned<Decimal>>::read(item, self.faults)?));
        let wanted = cohort.cuts.count();
        if !cuts.is_empty() && cuts.len() != wanted {
            let message = format!("the cohort '{}' has {wanted} cuts, not {}", key.get_ref(), cuts.len());
            self.faults.at(&item.span(), "cuts", message);
        }
        if !cuts.is_sorted() {
            self.faults.at(&item.span(), "cuts", "cuts are ascending");
        }
        let count = u64::try_from(cuts.len()).unwrap_or_default();
        Some(CohortCuts { all: Arc::new(Cuts::new(count, cuts)), groups: BTreeMap::new() })
    }

    fn expected(&self, item: &'t Item<'a>, span: Span) -> Option<Expected> {
        let mut table = Table::of(self.faults, item, span.clone(), "'expect'")?;
        let outcome = table.item("outcome").and_then(|item| self.one_of(self.declaration, self.policy, item));
        let score = table.optional("score");
        let entitlements =
            self.each(table.item("entitlements"), "entitlements", |key, item| self.entitlement(key, item));
        let reasons = table.item("reasons").and_then(|item| self.reasons(item));
        let error = table.optional("error");
        let names = ["outcome", "score", "entitlements", "reasons", "error"];
        if !names.iter().any(|name| table.has(name)) {
            self.faults.at(&span, "missing", format!("'expect' has one of {} at least", names.join(", ")));
        }
        if error.is_some() && names.iter().any(|name| *name != "error" && table.has(name)) {
            let message = "a case that expects an error expects nothing else";
            self.faults.at(&table.key_span("error"), "error", message);
        }
        table.close();
        Some(Expected { outcome, score, entitlements, reasons, error })
    }

    fn entitlement(&self, key: &Spanned<String>, item: &Item<'a>) -> Option<Entitlement> {
        let declared = &self.declaration.entitlements;
        if !declared.contains_key(key.get_ref()) {
            let hint = self.faults.did_you_mean(key.get_ref(), declared.keys().map(String::as_str));
            let message = format!("the policy declares no entitlement '{}'{hint}", key.get_ref());
            self.faults.at(&key.span(), "unknown_entitlement", message);
            return None;
        }
        match item.get_ref() {
            DeValue::Boolean(yes) => Some(Entitlement::Boolean(*yes)),
            DeValue::Array(_) => Vec::<String>::read(item, self.faults).map(Entitlement::Texts),
            DeValue::Integer(number) => Some(Entitlement::Text(number.to_string())),
            DeValue::Float(number) => Some(Entitlement::Text(number.to_string())),
            _ => String::read(item, self.faults).map(Entitlement::Text),
        }
    }

    fn reasons(&self, item: &Item<'a>) -> Option<Vec<String>> {
        let codes = Vec::<Spanned<String>>::read(item, self.faults)?;
        if let Some(facts) = self.loaded.policies.script(self.policy) {
            let own = [("band", facts.bands), ("weight_spread", facts.weights)];
            let stable = stability::REASONS.into_iter().filter(|_| self.declaration.stability.is_some());
            let own =
                own.into_iter().filter(|(_, gives)| *gives).map(|(code, _)| code).chain(stable.map(|(code, _)| code));
            let known: Vec<&str> = facts.reasons.keys().map(String::as_str).chain(own).collect();
            for code in codes.iter().filter(|code| !known.contains(&code.get_ref().as_str())) {
                let hint = self.faults.did_you_mean(code.get_ref(), known.iter().copied());
                let message = format!("the policy '{}' gives no reason '{}'{hint}", self.policy, code.get_ref());
                self.faults.at(&code.span(), "unknown_reason", message);
            }
        }
        Some(plain(Some(codes)))
    }
}
