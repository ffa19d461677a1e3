//! `[policies.<id>]`: what each policy may decide.

use indexmap::IndexMap;
use toml::Spanned;

use super::super::document::{Table, check_doubled, check_key, plain};
use super::super::pack::{EntitlementDeclaration, PolicyDeclaration};
use super::Reader;

/// Most outcomes of a policy.
const MAX_OUTCOMES: usize = 1000;
/// Most characters of an outcome.
const LONGEST_OUTCOME: usize = 64;

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn policy(&mut self, _key: &str, mut table: Table<'t, 'a>) -> Option<PolicyDeclaration> {
        let subject = table.required("subject");
        let (outcomes, cells) = self.outcomes(&mut table);
        let cadence = table.required("cadence");
        let indicators = table.optional::<Vec<Spanned<String>>>("indicators");
        check_doubled(self.faults, indicators.as_deref().unwrap_or_default());
        for indicator in indicators.iter().flatten() {
            check_key(self.faults, indicator.get_ref(), &indicator.span());
        }
        let entitlements = self.entitlements(&mut table);
        let stability = table.table("stability", "'stability'").map(|table| self.stability(table, &outcomes));
        table.close();
        Some(PolicyDeclaration {
            subject: subject?,
            outcomes,
            cells,
            cadence: cadence?,
            indicators: plain(indicators),
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
