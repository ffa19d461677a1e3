//! The decision that a script builds, and how it becomes one that is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, ImmutableString, Map};
use rust_decimal::Decimal;

use super::tables::ScoreView;
use super::{Fallible, canonical, charge, fault, number, shown, weight};
use crate::faults::did_you_mean;
use crate::policy::model::{Decision, Entitlement, Reason};
use crate::policy::pack::{EntitlementType, PolicyDeclaration};
use crate::policy::tables::{Bands, Score};

/// A decision in the making. Copies share their content until one is changed.
#[derive(Clone)]
pub(crate) struct Draft(Arc<Content>);

#[derive(Clone)]
struct Content {
    /// Roughly how many bytes it takes.
    size: usize,
    outcome: ImmutableString,
    score: Option<Arc<Score>>,
    reasons: Vec<Note>,
    entitlements: Vec<(ImmutableString, Dynamic)>,
}

/// A reason; those of bands become texts only when the decision is stored, since most bands are read once and forgotten.
#[derive(Clone)]
enum Note {
    Given(Reason),
    Band { bands: Arc<Bands>, value: Decimal },
}

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Draft>("decision")
        .register_fn("decision", Draft::new)
        .register_get("outcome", |draft: &mut Draft| draft.0.outcome.clone())
        .register_fn("because", Draft::because)
        .register_fn("entitle", Draft::entitle)
        .register_fn("scored", |draft: &mut Draft, score: ScoreView| draft.scored(score.0));
}

/// Most bytes of the reasons and entitlements of a decision.
const MAX_SIZE: usize = 64 << 10;

impl Draft {
    /// A decision with this outcome and nothing else.
    fn new(outcome: ImmutableString) -> Fallible<Self> {
        charge(size_of::<Content>())?;
        Ok(Self(Arc::new(Content { size: 0, outcome, score: None, reasons: Vec::new(), entitlements: Vec::new() })))
    }

    /// The content to be changed, `more` bytes of which are added.
    fn change(&mut self, more: usize) -> Fallible<&mut Content> {
        let copied = if Arc::get_mut(&mut self.0).is_none() { self.0.size } else { 0 };
        charge(copied + more)?;
        let content = Arc::make_mut(&mut self.0);
        content.size += more;
        if content.size > MAX_SIZE {
            let most = MAX_SIZE / 1024;
            return Err(fault(format!("a decision has at most {most} KiB of reasons and entitlements")));
        }
        Ok(content)
    }

    /// The decision of the band that a value reaches, with the reason `band`.
    pub(super) fn of_band(bands: &Arc<Bands>, value: Decimal) -> Fallible<Self> {
        let size = size_of::<Note>();
        charge(size + size_of::<Content>())?;
        let outcome = bands.of(value).outcome.into();
        let reasons = vec![Note::Band { bands: Arc::clone(bands), value }];
        Ok(Self(Arc::new(Content { size, outcome, score: None, reasons, entitlements: Vec::new() })))
    }

    fn because(&mut self, code: ImmutableString, values: Map) -> Fallible<Self> {
        let mut texts = BTreeMap::new();
        for (key, value) in &values {
            if value.is_unit() {
                continue;
            }
            let text = canonical(value)
                .ok_or_else(|| fault(format!("the value '{key}' of the reason '{code}' is {}", shown(value))))?;
            texts.insert(key.to_string(), text);
        }
        let size = size_of::<Note>() + texts.iter().map(|(key, text)| key.len() + text.len()).sum::<usize>();
        self.change(size)?.reasons.push(Note::Given(Reason { code: code.to_string(), values: texts }));
        Ok(self.clone())
    }

    fn entitle(&mut self, key: ImmutableString, value: Dynamic) -> Fallible<Self> {
        let content = self.change(weight(&value))?;
        if let Some(place) = content.entitlements.iter().position(|(given, _)| *given == key) {
            let (_, before) = content.entitlements.remove(place);
            content.size -= weight(&before);
        }
        content.entitlements.push((key, value));
        Ok(self.clone())
    }

    /// Gives the decision a score, with a reason for each absent part.
    pub(super) fn scored(&mut self, score: Arc<Score>) -> Fallible<Self> {
        let content = self.change(0)?;
        content.reasons.retain(|note| !matches!(note, Note::Given(reason) if reason.code == "weight_spread"));
        for key in score.spread() {
            let values = BTreeMap::from([("indicator".to_owned(), key.to_owned())]);
            content.reasons.push(Note::Given(Reason { code: "weight_spread".to_owned(), values }));
        }
        content.score = Some(score);
        Ok(self.clone())
    }

    /// The outcome alone, or that the policy doesn't declare it.
    pub(crate) fn outcome(&self, declaration: &PolicyDeclaration) -> Result<String, String> {
        let outcome = self.0.outcome.to_string();
        if !declaration.outcomes.contains(&outcome) {
            let hint = did_you_mean(&outcome, declaration.outcomes.iter().map(String::as_str));
            return Err(format!("the policy declares no outcome '{outcome}'{hint}"));
        }
        Ok(outcome)
    }

    /// The decision as it is stored, or what the policy doesn't declare of it.
    pub(crate) fn finish(self, declaration: &PolicyDeclaration) -> Result<Decision, String> {
        let bare = self.bare(declaration)?;
        let content = Arc::unwrap_or_clone(self.0);
        let score = content.score.map(Arc::unwrap_or_clone);
        let (score, mut indicators) = score.map(|score| (score.value, score.indicators)).unwrap_or_default();
        let place =
            |key: &str| declaration.indicators.iter().position(|declared| declared == key).unwrap_or(usize::MAX);
        indicators.sort_by_key(|indicator| place(&indicator.key));
        let reasons = content.reasons.into_iter().map(Note::reason).collect();
        Ok(Decision { score, indicators, reasons, ..bare })
    }

    /// The same without what led to it: outcome and entitlements alone.
    pub(crate) fn bare(&self, declaration: &PolicyDeclaration) -> Result<Decision, String> {
        let outcome = self.outcome(declaration)?;
        let mut entitlements = BTreeMap::new();
        for (key, value) in &self.0.entitlements {
            let Some(declared) = declaration.entitlements.get(key.as_str()) else {
                let hint = did_you_mean(key, declaration.entitlements.keys().map(String::as_str));
                return Err(format!("the policy declares no entitlement '{key}'{hint}"));
            };
            let value = entitlement(declared.entitlement_type, value).map_err(|wanted| {
                format!("the entitlement '{key}' is {wanted}, but the script gave {}", shown(value))
            })?;
            entitlements.insert(key.to_string(), value);
        }
        let (indicators, reasons) = (Vec::new(), Vec::new());
        Ok(Decision { outcome, computed: None, overridden: None, score: None, indicators, reasons, entitlements })
    }
}

impl Note {
    fn reason(self) -> Reason {
        match self {
            Self::Given(reason) => reason,
            Self::Band { bands, value } => {
                let band = bands.of(value);
                let mut values = BTreeMap::from([("value".to_owned(), value.normalize().to_string())]);
                if let Some(from) = band.from {
                    values.insert("from".to_owned(), from.normalize().to_string());
                }
                if let Some((number, outcome)) = band.next {
                    values.insert("next".to_owned(), number.normalize().to_string());
                    values.insert("next_outcome".to_owned(), outcome.to_owned());
                }
                Reason { code: "band".to_owned(), values }
            }
        }
    }
}

/// The value in the declared type, or what that type wants.
fn entitlement(wanted: EntitlementType, value: &Dynamic) -> Result<Entitlement, &'static str> {
    let given = match wanted {
        EntitlementType::Decimal => number(value).map(|number| Entitlement::Text(number.normalize().to_string())),
        EntitlementType::Integer => {
            number(value).filter(Decimal::is_integer).map(|number| Entitlement::Text(number.normalize().to_string()))
        }
        EntitlementType::Text => value.read_lock::<ImmutableString>().map(|text| Entitlement::Text(text.to_string())),
        EntitlementType::Boolean => value.as_bool().ok().map(Entitlement::Boolean),
        EntitlementType::Texts => texts(value).map(Entitlement::Texts),
    };
    given.ok_or(wanted.wanted())
}

/// The texts of a list, if it holds nothing else.
fn texts(value: &Dynamic) -> Option<Vec<String>> {
    let list = value.read_lock::<Array>()?;
    list.iter().map(|item| item.read_lock::<ImmutableString>().map(|text| text.to_string())).collect()
}
