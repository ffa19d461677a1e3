//! `[policies.<id>]`: what each policy may decide.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use toml::Spanned;

use super::super::document::{Faults, Table, check_doubled, check_key, plain};
use super::super::pack::{Cadence, CohortDeclaration, EntitlementDeclaration, PolicyDeclaration, script_path};
use super::super::source::common;
use super::Reader;
use crate::customers::model::Fields;
use crate::transactions::model::{Definitions, SubjectKind};

/// Most outcomes of a policy.
const MAX_OUTCOMES: usize = 1000;
/// Most characters of an outcome.
const LONGEST_OUTCOME: usize = 64;

/// What the pack declares itself: fields, kinds and metrics, cohorts.
type Known<'k> = (&'k Fields, &'k Definitions, &'k IndexMap<String, CohortDeclaration>);
/// A policy, with cohorts that come with it.
type Declared = (PolicyDeclaration, IndexMap<String, CohortDeclaration>);

impl<'t, 'a> Reader<'t, 'a> {
    /// A policy that the pack declares itself, or a general one with the cohorts that this brings.
    pub(super) fn policy(&mut self, id: &str, mut table: Table<'t, 'a>, known: Known<'_>) -> Option<Declared> {
        if !table.optional::<bool>("common").unwrap_or_default() {
            return Some((self.own(table)?, IndexMap::new()));
        }
        let cadence = table.optional::<Cadence>("cadence");
        let span = table.span().clone();
        table.close();
        let Some(text) = self.source.common(id) else {
            let message = format!("there is no general policy '{id}': {} isn't there", common(id, "policy.toml"));
            self.faults.at(&span, "unknown_policy", message);
            return None;
        };
        let own = [script_path(id), format!("cases/{id}.toml")];
        if let Some(path) = own.iter().find(|path| self.source.file(path).is_some()) {
            let message = format!("'{id}' is taken from the general policies, which have it: {path} goes, or 'common'");
            self.faults.at(&span, "doubled", message);
        }
        let file = common(id, "policy.toml");
        let faults = Faults::new(&file, text);
        let declared = faults.parse().and_then(|root| {
            let mut ignored = Vec::new();
            let mut reader = Reader {
                source: self.source,
                faults: &faults,
                faulty: BTreeSet::new(),
                patterns: self.patterns,
                of_common: &mut ignored,
            };
            reader.common(Table::new(&faults, root.get_ref(), 0..0, "the policy"), known)
        });
        self.of_common.extend(faults.into_list());
        let (mut policy, cohorts) = declared?;
        policy.common = true;
        policy.cadence = cadence.unwrap_or(policy.cadence);
        Some((policy, cohorts))
    }

    /// What a general policy declares: itself, and cohorts that it reads.
    fn common(&mut self, mut table: Table<'t, 'a>, (fields, definitions, cohorts): Known<'_>) -> Option<Declared> {
        let brought = self
            .section(&mut table, "cohorts", "the cohort", |reader, _, table| reader.cohort(table, fields, definitions));
        for id in brought.keys().filter(|id| cohorts.contains_key(*id)) {
            self.faults.of_file("doubled", format!("the pack has a cohort '{id}' already"));
        }
        Some((self.own(table)?, brought))
    }

    fn own(&mut self, mut table: Table<'t, 'a>) -> Option<PolicyDeclaration> {
        let subject = table.required("subject");
        let (outcomes, cells) = self.outcomes(&mut table);
        let cadence = table.required("cadence");
        let indicators = table.optional::<Vec<Spanned<String>>>("indicators");
        check_doubled(self.faults, indicators.as_deref().unwrap_or_default());
        for indicator in indicators.iter().flatten() {
            check_key(self.faults, indicator.get_ref(), &indicator.span());
        }
        let entitlements = self.entitlements(&mut table);
        let span = table.span().clone();
        let stability = table.table("stability", "'stability'").map(|table| self.stability(table, &outcomes));
        table.close();
        let is_of_customers = subject? == SubjectKind::Customer;
        if !is_of_customers && stability.is_some() {
            let message = "stability compares with the last closing, and there are none for employees";
            self.faults.at(&span, "stability", message);
        }
        Some(PolicyDeclaration {
            common: false,
            subject: subject?,
            outcomes,
            cells,
            cadence: cadence?,
            indicators: plain(indicators),
            overridable: is_of_customers && entitlements.is_empty(),
            appealable: is_of_customers,
            entitlements,
            stability,
        })
    }

    /// The outcomes, best first, and their parts where they are declared as cells.
    fn outcomes(&self, table: &mut Table<'t, 'a>) -> (Vec<String>, Vec<Vec<String>>) {
        let outcomes = table.optional::<Vec<Spanned<String>>>("outcomes");
        let cells = table.optional::<Vec<Vec<Spanned<String>>>>("cells");
        match (table.has("outcomes"), table.has("cells")) {
            (true, true) => {
                self.faults.at(&table.key_span("cells"), "outcomes", "a policy has outcomes or cells, not both")
            }
            (false, false) => self.faults.at(table.span(), "missing", "a policy needs 'outcomes' or 'cells'"),
            (true, false) => self.check_outcomes(table, outcomes.as_deref()),
            (false, true) => return self.cells(table, cells.unwrap_or_default()),
        }
        (plain(outcomes), Vec::new())
    }

    fn check_outcomes(&self, table: &Table<'t, 'a>, outcomes: Option<&[Spanned<String>]>) {
        let Some(outcomes) = outcomes else { return };
        if outcomes.is_empty() || outcomes.len() > MAX_OUTCOMES {
            let message = format!("a policy has 1 to {MAX_OUTCOMES} outcomes, not {}", outcomes.len());
            self.faults.at(&table.key_span("outcomes"), "outcomes", message);
        }
        check_doubled(self.faults, outcomes);
        for outcome in outcomes {
            self.check_outcome(outcome);
        }
    }

    fn check_outcome(&self, outcome: &Spanned<String>) {
        let text = outcome.get_ref();
        if text.trim() != text || text.contains(char::is_control) || text.chars().count() > LONGEST_OUTCOME {
            let message = format!("an outcome has at most {LONGEST_OUTCOME} characters and no blanks around it");
            self.faults.at(&outcome.span(), "outcome", message);
        }
    }

    fn cells(&self, table: &Table<'t, 'a>, cells: Vec<Vec<Spanned<String>>>) -> (Vec<String>, Vec<Vec<String>>) {
        let span = table.key_span("cells");
        for part in &cells {
            check_doubled(self.faults, part);
            part.iter().for_each(|name| self.check_outcome(name));
        }
        let count = cells.iter().try_fold(1_usize, |product, part| product.checked_mul(part.len()));
        let cells: Vec<Vec<String>> = cells.into_iter().map(|part| plain(Some(part))).collect();
        match count {
            Some(1..=MAX_OUTCOMES) if !cells.is_empty() => {}
            Some(0 | 1) => {
                self.faults.at(&span, "outcomes", "'cells' is a list of lists with at least one name each");
                return (Vec::new(), cells);
            }
            _ => {
                let count = count.map_or("too many".to_owned(), |count| count.to_string());
                let message = format!("the cells make {count} outcomes; a policy has at most {MAX_OUTCOMES}");
                self.faults.at(&span, "outcomes", message);
                return (Vec::new(), cells);
            }
        }
        let outcomes = combinations(&cells);
        let mut sorted: Vec<&String> = outcomes.iter().collect();
        sorted.sort();
        for pair in sorted.windows(2) {
            if let [one, other] = pair
                && one == other
            {
                self.faults.at(&span, "doubled", format!("two cells have the same name '{one}'"));
            }
        }
        (outcomes, cells)
    }

    fn entitlements(&self, table: &mut Table<'t, 'a>) -> IndexMap<String, EntitlementDeclaration> {
        let mut declared = IndexMap::new();
        let Some(all) = table.table("entitlements", "'entitlements'") else { return declared };
        for (key, span, item) in all.entries() {
            check_key(self.faults, key, &span);
            let Some(mut entry) = Table::of(self.faults, item, span, format!("the entitlement '{key}'")) else {
                continue;
            };
            let entitlement_type = entry.required("type");
            let unit = entry.optional("unit");
            entry.close();
            if let Some(entitlement_type) = entitlement_type {
                declared.insert(key.to_owned(), EntitlementDeclaration { entitlement_type, unit });
            }
        }
        declared
    }
}

/// The combinations of the parts of cells, joined by `_`: the first part varies slowest.
fn combinations(cells: &[Vec<String>]) -> Vec<String> {
    let mut names = vec![String::new()];
    for part in cells {
        names = names
            .iter()
            .flat_map(|name| {
                part.iter().map(move |next| if name.is_empty() { next.clone() } else { format!("{name}_{next}") })
            })
            .collect();
    }
    names
}
