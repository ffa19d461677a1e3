//! `baremo rules doc`: the handbook of a pack in Markdown or HTML, made of its declarations, texts and scripts.

use std::fmt::Write;
use std::path::Path;

use rust_decimal::Decimal;

use super::{Failed, Written, say, sound};
use crate::customers::model::{Field, FieldType, Section};
use crate::markdown;
use crate::policy::engine::ScriptFacts;
use crate::policy::pack::{CutRule, PolicyDeclaration};
use crate::policy::release::LoadedPack;
use crate::policy::source::Source;
use crate::policy::texts::LabelKind;
use crate::transactions::model::{Metric, ObservationKind, Window};

/// Writes the handbook of the pack in a folder, with labels in `language`.
pub(super) fn print(folder: &Path, language: Option<&str>, format: Written) -> Result<(), Failed> {
    let (source, loaded) = sound(folder)?;
    let languages = &loaded.pack.languages;
    let language = match language {
        Some(language) if !languages.iter().any(|known| known == language) => {
            return Err(Failed(format!("the pack has no language '{language}', only {}", languages.join(", "))));
        }
        Some(language) => language,
        None => languages.first().map(String::as_str).unwrap_or_default(),
    };
    let text = Handbook { loaded: &loaded, source: &source, language, text: String::new() }.write();
    match format {
        Written::Markdown => say(text.trim_end()),
        Written::Html => {
            let title = loaded.pack.title.get(language).unwrap_or(&loaded.pack.id);
            say(&markdown::page(title, language, &text));
        }
    }
    Ok(())
}

struct Handbook<'a> {
    loaded: &'a LoadedPack,
    source: &'a Source,
    language: &'a str,
    text: String,
}

impl Handbook<'_> {
    fn write(mut self) -> String {
        let pack = &self.loaded.pack;
        let title = pack.title.get(self.language).unwrap_or(&pack.id);
        self.line(&format!("# {title}\n"));
        let zone = pack.time_zone.iana_name().unwrap_or("UTC");
        self.line(&format!(
            "Pack `{}`, quantities in {}, money in {}, months and days of {zone}. A month closes {} days after its end.\n",
            pack.id, pack.unit, pack.currency, pack.closes_after
        ));
        self.fields();
        self.kinds();
        self.observations();
        self.metrics();
        self.cohorts();
        self.line("## Policies\n");
        for (id, policy) in &pack.policies {
            self.policy(id, policy);
        }
        self.text
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A table; nothing when it has no rows.
    fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(self.text, "| {} |\n|{}", head.join(" | "), " --- |".repeat(head.len()));
        for row in rows {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            let _ = writeln!(self.text, "| {} |", cells.join(" | "));
        }
        self.text.push('\n');
    }

    fn label<'k>(&'k self, kind: LabelKind, key: &'k str) -> &'k str {
        self.loaded.pack.texts.label(kind, key, self.language)
    }

    fn label_of<'k>(&'k self, kind: LabelKind, owner: &str, key: &'k str) -> &'k str {
        self.loaded.pack.texts.label_of(kind, owner, key, self.language)
    }

    fn fields(&mut self) {
        self.line("## The customer file\n");
        let pack = &self.loaded.pack;
        for section in Section::ALL {
            let fields = pack.fields.iter().filter(|(_, field)| field.section == section);
            let rows: Vec<Vec<String>> = fields
                .map(|(key, field)| {
                    let label = self.label(LabelKind::Field, key).to_owned();
                    vec![format!("`{key}`"), label, self.content(key, field), marks(field)]
                })
                .collect();
            if !rows.is_empty() {
                self.line(&format!("### Section `{}`\n", section.key()));
                self.table(&["Key", "Field", "Content", ""], rows);
            }
        }
    }

    fn content(&self, key: &str, field: &Field) -> String {
        let mut parts = vec![type_name(field.field_type).to_owned()];
        if !field.choices.is_empty() {
            let label = |choice: &String| format!("{} (`{choice}`)", self.label_of(LabelKind::Choice, key, choice));
            parts.push(field.choices.iter().map(label).collect::<Vec<_>>().join(", "));
        }
        parts.extend(field.min.map(|min| format!("from {min}")));
        parts.extend(field.max.map(|max| format!("to {max}")));
        parts.extend(field.max_length.map(|length| format!("at most {length} characters")));
        parts.extend(field.pattern.as_ref().map(|pattern| format!("pattern `{}`", pattern.as_str())));
        parts.join("; ")
    }

    fn kinds(&mut self) {
        let pack = &self.loaded.pack;
        let row = |(key, kind): (&String, &crate::transactions::model::Kind)| {
            let measures = pack.definitions.measures(key);
            let label = |measure: &String| format!("{} (`{measure}`)", self.label(LabelKind::Measure, measure));
            let note = kind.subtracts_from.as_ref().map(|base| format!("subtracts from `{base}`")).unwrap_or_default();
            let label = [
                format!("`{key}`"),
                self.label(LabelKind::Kind, key).to_owned(),
                measures.iter().map(label).collect::<Vec<_>>().join(", "),
                if kind.products { "products".to_owned() } else { String::new() },
                note,
            ];
            label.to_vec()
        };
        let rows: Vec<Vec<String>> = pack.definitions.kinds.iter().map(row).collect();
        if !rows.is_empty() {
            self.line("## Transactions\n");
            self.table(&["Key", "Kind", "Measures", "", ""], rows);
        }
    }

    fn observations(&mut self) {
        let row = |(key, kind): (&String, &ObservationKind)| {
            let bound = |word: &str, bound: Option<Decimal>| bound.map(|bound| format!("{word} {}", bound.normalize()));
            let bounds = [bound("from", kind.min), bound("to", kind.max)];
            let label = self.label(LabelKind::Observation, key).to_owned();
            let unit = kind.unit.clone().unwrap_or_default();
            let value = if kind.value {
                bounds.into_iter().flatten().collect::<Vec<_>>().join(" ")
            } else {
                "no value".to_owned()
            };
            vec![format!("`{key}`"), label, value, unit]
        };
        let rows: Vec<Vec<String>> = self.loaded.pack.definitions.observations.iter().map(row).collect();
        if !rows.is_empty() {
            self.line("## Observations\n");
            self.table(&["Key", "Kind", "Value", "Unit"], rows);
        }
    }

    fn metrics(&mut self) {
        let row = |(key, metric): (&String, &Metric)| {
            let unit = metric.unit.clone().unwrap_or_default();
            vec![format!("`{key}`"), self.label(LabelKind::Metric, key).to_owned(), computation(metric), unit]
        };
        let rows: Vec<Vec<String>> = self.loaded.pack.definitions.metrics.iter().map(row).collect();
        if !rows.is_empty() {
            self.line("## Metrics\n");
            self.table(&["Key", "Metric", "Computed as", "Unit"], rows);
        }
    }

    fn cohorts(&mut self) {
        let row = |(id, cohort): (&String, &crate::policy::pack::CohortDeclaration)| {
            let cuts = match &cohort.cuts {
                CutRule::Quantiles(shares) => format!("quantiles {}", joined(shares)),
                CutRule::Pareto(shares) => format!("shares of the sum {}", joined(shares)),
                CutRule::Ranks(_) => "hundredths".to_owned(),
            };
            let group = match cohort.group.is_empty() {
                true => "all customers".to_owned(),
                false => format!("by {}, from {} customers on", cohort.group.join(" and "), cohort.minimum),
            };
            let population = cohort.population.iter().map(|(field, values)| format!("{field}: {}", values.join(", ")));
            let population = population.collect::<Vec<_>>().join("; ");
            vec![format!("`{id}`"), format!("`{}`", cohort.value), cuts, group, population]
        };
        let rows: Vec<Vec<String>> = self.loaded.pack.cohorts.iter().map(row).collect();
        if !rows.is_empty() {
            self.line("## Cohorts\n");
            self.table(&["Id", "Value", "Cuts", "Compared with", "Only"], rows);
        }
    }

    fn policy(&mut self, id: &str, policy: &PolicyDeclaration) {
        let label = self.label(LabelKind::Policy, id).to_owned();
        self.line(&format!("### {label} (`{id}`)\n"));
        let facts = self.loaded.policies.script(id).cloned().unwrap_or_default();
        self.line(&format!("{}\n", facts.doc));
        let cadence = serde_json::to_value(policy.cadence).ok();
        let cadence = cadence.as_ref().and_then(|name| name.as_str()).unwrap_or_default();
        self.line(&format!("Cadence: {cadence}. {}\n", reads(&facts)));
        let outcomes =
            |outcome: &String| vec![format!("`{outcome}`"), self.label_of(LabelKind::Outcome, id, outcome).to_owned()];
        let rows = policy.outcomes.iter().map(outcomes).collect();
        self.table(&["Outcome, best first", ""], rows);
        let indicator =
            |key: &String| vec![format!("`{key}`"), self.label_of(LabelKind::Indicator, id, key).to_owned()];
        let rows = policy.indicators.iter().map(indicator).collect();
        self.table(&["Part of the score", ""], rows);
        let rows = policy.entitlements.iter().map(|(key, declared)| {
            let label = self.label_of(LabelKind::Entitlement, id, key).to_owned();
            vec![format!("`{key}`"), label, declared.unit.clone().unwrap_or_default()]
        });
        let rows = rows.collect();
        self.table(&["Entitlement", "", "Unit"], rows);
        let constants = self.source.file(&policy.script_path(id)).map(constants).unwrap_or_default();
        if !constants.is_empty() {
            self.line(&format!("Tables and numbers:\n\n```rhai\n{constants}\n```\n"));
        }
    }
}

/// The part of a script before its first function: the tables and numbers with their comments.
fn constants(script: &str) -> String {
    let top = script.lines().take_while(|line| !line.starts_with("fn ") && !line.starts_with("private fn "));
    let lines: Vec<&str> = top.filter(|line| !line.starts_with("//!")).collect();
    lines.join("\n").trim().to_owned()
}

fn reads(facts: &ScriptFacts) -> String {
    let names = |names: &std::collections::BTreeSet<String>| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let parts = [
        ("fields", names(&facts.fields)),
        ("metrics", names(&facts.metrics)),
        ("cohorts", names(&facts.cohorts)),
        ("outcomes of", names(&facts.outcomes)),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(kind, names)| format!("{kind} {names}"))
        .collect();
    if parts.is_empty() { "Reads nothing.".to_owned() } else { format!("Reads {}.", parts.join("; ")) }
}

fn joined(shares: &[rust_decimal::Decimal]) -> String {
    shares.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn computation(metric: &Metric) -> String {
    let function = serde_json::to_value(metric.function).ok();
    let mut text = function.as_ref().and_then(|name| name.as_str()).unwrap_or_default().replace('_', " ");
    if let Some(measure) = &metric.measure {
        let _ = write!(text, " of `{measure}`");
    }
    if let Some(of) = &metric.of {
        let _ = write!(text, " to `{of}`");
    }
    let _ = write!(text, " in `{}`", metric.kind);
    if let Some(category) = &metric.category {
        let _ = write!(text, ", product category {category} alone");
    }
    let window = match metric.window {
        Window::FullMonths(1) => "the full month before".to_owned(),
        Window::FullMonths(months) => format!("the {months} full months before"),
        Window::MonthToDate(_) => "the month to date".to_owned(),
        Window::Days(days) => format!("the last {days} days"),
    };
    let _ = write!(text, ", {window}");
    text
}

fn marks(field: &Field) -> String {
    let marks = [(field.required, "required"), (field.filterable, "filterable"), (field.personal, "personal")];
    marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect::<Vec<_>>().join(", ")
}

fn type_name(field_type: FieldType) -> &'static str {
    match field_type {
        FieldType::Text => "text",
        FieldType::Choice => "one of",
        FieldType::Choices => "any of",
        FieldType::Boolean => "yes or no",
        FieldType::Integer => "whole number",
        FieldType::Decimal => "decimal number",
        FieldType::Date => "date",
        FieldType::Phone => "telephone number",
        FieldType::Email => "e-mail address",
    }
}
