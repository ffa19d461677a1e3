//! Labels and reason texts of a pack in its languages, and how reasons become sentences.

mod reading;
mod template;

use std::collections::BTreeMap;

pub(super) use reading::{Given, read};
use template::Template;

use super::model::Reason;
use super::overriding;

/// What stands for a value that is absent.
const ABSENT: &str = "–";
/// Between the parts of a cell's label.
const BETWEEN_PARTS: &str = " · ";
/// The reason of a band, and its texts at both ends.
pub(super) const BAND: &str = "band";
const BAND_FIRST: &str = "band_first";
const BAND_LAST: &str = "band_last";
/// The reason that tells of an absent part of a score.
pub(super) const WEIGHT_SPREAD: &str = "weight_spread";

/// The values of these two reasons.
pub(super) const BAND_VALUES: [&str; 4] = ["value", "from", "next", "next_outcome"];
pub(super) const WEIGHT_SPREAD_VALUES: [&str; 1] = ["indicator"];

/// Baremo's own texts of the reasons that it gives itself, for packs that have none: code, then language and text.
const OWN: [(&str, [(&str, &str); 3]); 11] = [
    (
        BAND,
        [
            ("en", "{value}: this band begins at {from}, the next higher one at {next}"),
            ("es", "{value}: este tramo empieza en {from} y el siguiente, más alto, en {next}"),
            ("zh", "{value}：本档从 {from} 起，上一档从 {next} 起"),
        ],
    ),
    (
        BAND_FIRST,
        [
            ("en", "{value}: this is the highest band, it begins at {from}"),
            ("es", "{value}: este es el tramo más alto, empieza en {from}"),
            ("zh", "{value}：这是最高档，从 {from} 起"),
        ],
    ),
    (
        BAND_LAST,
        [
            ("en", "{value}: this is the lowest band, the next higher one begins at {next}"),
            ("es", "{value}: este es el tramo más bajo, el siguiente empieza en {next}"),
            ("zh", "{value}：这是最低档，上一档从 {next} 起"),
        ],
    ),
    (
        WEIGHT_SPREAD,
        [
            ("en", "There are no data for “{indicator}”; its weight was spread over the other parts of the score"),
            ("es", "No hay datos de «{indicator}»; su peso se repartió entre las demás partes de la puntuación"),
            ("zh", "“{indicator}”没有数据，其权重已分摊到其他指标"),
        ],
    ),
    (
        "newcomer",
        [
            ("en", "New until {until}; the figures alone say {computed}"),
            ("es", "Nuevo hasta el {until}; las cifras por sí solas dicen {computed}"),
            ("zh", "新客户期至 {until}；仅按数据应为 {computed}"),
        ],
    ),
    (
        "left_out",
        [
            ("en", "The month is left out; the figures alone say {computed}"),
            ("es", "El mes no cuenta; las cifras por sí solas dicen {computed}"),
            ("zh", "该月不计；仅按数据应为 {computed}"),
        ],
    ),
    (
        "minimum_stay",
        [
            ("en", "Stands at least until {until}; the figures alone say {computed}"),
            ("es", "Se mantiene al menos hasta el {until}; las cifras por sí solas dicen {computed}"),
            ("zh", "至少保持到 {until}；仅按数据应为 {computed}"),
        ],
    ),
    (
        "cool_down",
        [
            ("en", "Nothing better before {until}, because of “{event}”; the figures alone say {computed}"),
            ("es", "Nada mejor antes del {until}, por «{event}»; las cifras por sí solas dicen {computed}"),
            ("zh", "因“{event}”，{until} 前不得上调；仅按数据应为 {computed}"),
        ],
    ),
    (
        "dead_band",
        [
            ("en", "Too near the cut to move: less than {share} % beyond it; the figures alone say {computed}"),
            (
                "es",
                "Demasiado cerca del límite para cambiar: menos del {share} % más allá; las cifras por sí solas dicen {computed}",
            ),
            ("zh", "距分界不足 {share}%，不作调整；仅按数据应为 {computed}"),
        ],
    ),
    (
        "steps",
        [
            ("en", "Steps at a time: at most {steps}; the figures alone say {computed}"),
            ("es", "Pasos cada vez: como mucho {steps}; las cifras por sí solas dicen {computed}"),
            ("zh", "每次最多变动 {steps} 级；仅按数据应为 {computed}"),
        ],
    ),
    (
        overriding::REASON,
        [
            ("en", "A person decided so, until {until}; the policy itself says {computed}"),
            ("es", "Lo decidió una persona, hasta el {until}; la política por sí sola dice {computed}"),
            ("zh", "由人工决定，有效期至 {until}；按政策本身应为 {computed}"),
        ],
    ),
];

/// The language of [`OWN`] that stands in for others.
const OWN_FALLBACK: &str = "en";

/// What a label names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabelKind {
    /// A field, by its key.
    Field,
    /// A choice: of the field, by its value.
    Choice,
    /// A kind of transactions, by its key.
    Kind,
    /// A kind of observations, by its key.
    Observation,
    /// A measure, by its key.
    Measure,
    /// A metric, by its key.
    Metric,
    /// A policy, by its id.
    Policy,
    /// An outcome: of the policy, by its value.
    Outcome,
    /// A list of customers, by its id.
    List,
    /// A part of a score: of the policy, by its key.
    Indicator,
    /// An entitlement: of the policy, by its key.
    Entitlement,
}

/// Texts by language.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// The language that stands in for others.
    fallback: String,
    languages: BTreeMap<String, Language>,
}

/// The texts of one language.
#[derive(Clone, Debug, Default)]
struct Language {
    /// By what they name and whose they are; `""` where they are nobody's.
    labels: BTreeMap<LabelKind, BTreeMap<String, BTreeMap<String, String>>>,
    /// By policy and code.
    reasons: BTreeMap<String, BTreeMap<String, Template>>,
}

impl Language {
    /// Adds the texts of another part of the pack.
    fn add(&mut self, other: Self) {
        for (kind, labels) in other.labels {
            let known = self.labels.entry(kind).or_default();
            for (owner, labels) in labels {
                known.entry(owner).or_default().extend(labels);
            }
        }
        self.reasons.extend(other.reasons);
    }
}

impl Texts {
    /// The label of a field, kind, measure, metric or policy; the key itself where there is none.
    pub fn label<'a>(&'a self, kind: LabelKind, key: &'a str, language: &str) -> &'a str {
        self.label_of(kind, "", key, language)
    }

    /// The label of what belongs to something: the choice of a field; the outcome, indicator or entitlement of a policy.
    /// The key itself where there is none.
    pub fn label_of<'a>(&'a self, kind: LabelKind, owner: &str, key: &'a str, language: &str) -> &'a str {
        let label = |language: &'a Language| language.labels.get(&kind)?.get(owner)?.get(key);
        self.in_order(language).find_map(label).map_or(key, String::as_str)
    }

    /// The sentence of a reason that a policy gave for an outcome. Values stand as they were stored; only the indicator of an absent
    /// part, and what stability names, are shown by their labels.
    pub fn reason(&self, policy: &str, reason: &Reason, outcome: &str, language: &str) -> String {
        let code = match reason.code.as_str() {
            BAND if !reason.values.contains_key("next") && reason.values.contains_key("from") => BAND_FIRST,
            BAND if !reason.values.contains_key("from") => BAND_LAST,
            code => code,
        };
        let value = |name: &str| match (name, reason.values.get(name)) {
            ("indicator", Some(key)) if code == WEIGHT_SPREAD => {
                self.label_of(LabelKind::Indicator, policy, key, language).to_owned()
            }
            ("computed", Some(outcome)) => self.label_of(LabelKind::Outcome, policy, outcome, language).to_owned(),
            ("event", Some(key)) if code == "cool_down" => {
                let field = self.label(LabelKind::Field, key, language);
                if field == key { self.label(LabelKind::Metric, key, language) } else { field }.to_owned()
            }
            (_, Some(value)) => value.clone(),
            ("outcome", None) => outcome.to_owned(),
            _ => ABSENT.to_owned(),
        };
        let given = |language: &str| self.languages.get(language)?.reasons.get(policy)?.get(code).cloned();
        let chosen = self.chosen(language);
        let template = given(chosen)
            .or_else(|| own(code, chosen))
            .or_else(|| given(&self.fallback))
            .or_else(|| own(code, OWN_FALLBACK));
        template.map_or_else(|| reason.code.clone(), |template| template.fill(value))
    }

    /// Languages that have texts, sorted.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.keys().map(String::as_str)
    }

    /// The language that a request for `language` gets: itself, that of another region, else the fallback.
    pub fn chosen<'a>(&'a self, language: &str) -> &'a str {
        let primary = language.split('-').next().unwrap_or(language);
        let found = self.languages.get_key_value(language).or_else(|| self.languages.get_key_value(primary));
        found.map_or(self.fallback.as_str(), |(language, _)| language.as_str())
    }

    /// The texts of the language that a request gets, then those of the fallback.
    fn in_order(&self, language: &str) -> impl Iterator<Item = &Language> {
        [self.chosen(language), self.fallback.as_str()].into_iter().filter_map(|language| self.languages.get(language))
    }
}

/// Baremo's own text of a code in a language.
fn own(code: &str, language: &str) -> Option<Template> {
    let (_, texts) = OWN.iter().find(|(own, _)| *own == code)?;
    let (_, text) = texts.iter().find(|(of, _)| *of == language)?;
    Template::parse(text).ok()
}

#[cfg(test)]
mod tests;
