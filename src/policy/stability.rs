//! What keeps outcomes stable from one closing to the next, as packs declare it: it acts after the script, compares with the outcome of the
//! last closing, and gives a reason of its own.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::model::{Circumstances, Decision, Input, InputKind, Previous, Reason, Subject};
use super::overriding;
use super::texts::BAND;
use crate::customers::model::Value;

/// Codes of the reasons that stability gives, with the names of their values.
pub(super) const REASONS: [(&str, &[&str]); 6] = [
    ("newcomer", &["computed", "until"]),
    ("left_out", &["computed"]),
    ("minimum_stay", &["computed", "until"]),
    ("cool_down", &["computed", "until", "event"]),
    ("dead_band", &["computed", "share"]),
    ("steps", &["computed", "steps"]),
];

/// How outcomes of a policy are kept stable. What is absent doesn't hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stability {
    /// By which share of a cut a value has to be beyond it before the outcome moves: above 0, below 1.
    pub dead_band: Option<Decimal>,
    /// Months for which an outcome stands at least.
    pub minimum_stay: Option<u16>,
    /// Most places by which an outcome becomes better at a closing.
    pub steps_up: Option<u16>,
    /// Most places by which an outcome becomes worse at a closing.
    pub steps_down: Option<u16>,
    /// Events after which no outcome becomes better for a while.
    pub cool_downs: Vec<CoolDown>,
    /// The outcome of those who are new.
    pub newcomer: Option<Newcomer>,
    /// Months, from 1 to 12, whose closing leaves outcomes as they are.
    pub months_left_out: Vec<u8>,
    /// Outcomes that come at once, whatever else is said here.
    pub at_once: Vec<String>,
}

/// An event after which no outcome becomes better for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoolDown {
    /// The field or metric that dates it.
    pub after: String,
    /// For how many months.
    pub months: u16,
}

/// The outcome of those who are new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// The outcome.
    pub outcome: String,
    /// For how many months from the date of opening on.
    pub months: u16,
}

/// A policy's stability, with what else it needs to know.
pub(super) struct Rule<'a> {
    /// What is declared.
    pub(super) stability: &'a Stability,
    /// The policy's id.
    pub(super) policy: &'a str,
    /// Its outcomes, best first.
    pub(super) outcomes: &'a [String],
    /// The date field from which newcomers are counted.
    pub(super) opening_field: Option<&'a str>,
}

impl Rule<'_> {
    /// Holds back what a script decided, as far as is declared, and enters what was read for that among the inputs.
    pub(super) fn apply(
        &self,
        decision: &mut Decision,
        inputs: &mut Vec<Input>,
        subject: &Subject,
        circumstances: Circumstances<'_>,
    ) {
        let previous = circumstances.previous.get(self.policy);
        let mut reader = Reader { subject, inputs };
        if let Some(previous) = previous {
            reader.note(InputKind::Previous, self.policy, previous.outcome.clone());
            reader.note(InputKind::PreviousSince, self.policy, previous.since.to_string());
        }
        let Some((outcome, reason)) = self.held(decision, previous, &mut reader, circumstances.as_of) else { return };
        if outcome != decision.outcome {
            let computed = std::mem::replace(&mut decision.outcome, outcome);
            let mut reason = reason;
            reason.values.insert("computed".to_owned(), computed.clone());
            decision.reasons.insert(0, reason);
            decision.computed = Some(computed);
        }
    }

    /// The outcome that holds instead of the one that was decided, and why; nothing where that one holds.
    fn held(
        &self,
        decision: &Decision,
        previous: Option<&Previous>,
        reader: &mut Reader<'_>,
        as_of: Date,
    ) -> Option<(String, Reason)> {
        let stability = self.stability;
        if stability.at_once.contains(&decision.outcome) {
            return None;
        }
        if let (Some(newcomer), Some(field)) = (&stability.newcomer, self.opening_field)
            && let Some(until) = reader.date(field).map(|opened| later(opened, newcomer.months))
            && as_of < until
        {
            return Some((newcomer.outcome.clone(), reason("newcomer", &[("until", until.to_string())])));
        }
        let previous = previous?;
        let place = |outcome: &str| self.outcomes.iter().position(|declared| declared == outcome);
        let (from, to) = (place(&previous.outcome)?, place(&decision.outcome)?);
        if from == to {
            return None;
        }
        let stays = |reason| Some((previous.outcome.clone(), reason));
        let closed = as_of.first_of_month().yesterday().map(Date::month).unwrap_or_default();
        if u8::try_from(closed).is_ok_and(|month| stability.months_left_out.contains(&month)) {
            return stays(reason("left_out", &[]));
        }
        if let Some(until) =
            stability.minimum_stay.map(|months| later(previous.since, months)).filter(|until| as_of < *until)
        {
            return stays(reason("minimum_stay", &[("until", until.to_string())]));
        }
        if to < from {
            let ends = stability.cool_downs.iter().filter_map(|cool_down| {
                let until = later(reader.date(&cool_down.after)?, cool_down.months);
                (as_of < until).then_some((until, &cool_down.after))
            });
            if let Some((until, event)) = ends.max() {
                return stays(reason("cool_down", &[("until", until.to_string()), ("event", event.clone())]));
            }
        }
        let (target, why) = self.moved(decision, from, to);
        let why = why?;
        Some((self.outcomes.get(target)?.clone(), why))
    }

    /// How far an outcome moves from one place towards another, and what holds it back.
    fn moved(&self, decision: &Decision, from: usize, to: usize) -> (usize, Option<Reason>) {
        let stability = self.stability;
        let (mut target, mut why) = (to, None);
        if let Some(share) = stability.dead_band
            && is_within(decision, share, to < from)
        {
            // One place back towards where it was.
            target = if to < from { to + 1 } else { to - 1 };
            why = Some(reason("dead_band", &[("share", (share * Decimal::ONE_HUNDRED).normalize().to_string())]));
        }
        let (steps, limited) = match stability.steps_up.filter(|_| to < from) {
            Some(steps) => (steps, target.max(from.saturating_sub(usize::from(steps)))),
            None => match stability.steps_down.filter(|_| to > from) {
                Some(steps) => (steps, target.min(from + usize::from(steps))),
                None => return (target, why),
            },
        };
        if limited != target {
            why = Some(reason("steps", &[("steps", steps.to_string())]));
        }
        (limited, why)
    }
}

/// Whether the value of a decision's band is beyond the cut that it has passed by less than a share of the cut.
fn is_within(decision: &Decision, share: Decimal, upwards: bool) -> bool {
    let Some(band) = decision.reasons.iter().find(|reason| reason.code == BAND) else { return false };
    let number = |name: &str| band.values.get(name).and_then(|text| text.parse::<Decimal>().ok());
    let cut = number(if upwards { "from" } else { "next" });
    let Some((value, cut)) = number("value").zip(cut) else { return false };
    let Some(margin) = cut.abs().checked_mul(share) else { return false };
    (value - cut).abs() < margin
}

/// The fields and metrics by which a stability is declared.
pub(super) fn reads<'a>(stability: &'a Stability, opening_field: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    let opened = opening_field.filter(|_| stability.newcomer.is_some());
    stability.cool_downs.iter().map(|cool_down| cool_down.after.as_str()).chain(opened)
}

/// The first day on which time alone ends that an outcome is held back.
pub fn held_until(decision: &Decision) -> Option<Date> {
    decision.computed.as_ref()?;
    let first = decision.reasons.iter().find(|reason| reason.code != overriding::REASON)?;
    first.values.get("until")?.parse().ok()
}

fn later(date: Date, months: u16) -> Date {
    date.checked_add(i32::from(months).months()).unwrap_or(Date::MAX)
}

fn reason(code: &str, values: &[(&str, String)]) -> Reason {
    let values: BTreeMap<String, String> =
        values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Reason { code: code.to_owned(), values }
}

/// Reads of a subject what his script may not have read, and notes it.
struct Reader<'a> {
    subject: &'a Subject,
    inputs: &'a mut Vec<Input>,
}

impl Reader<'_> {
    fn note(&mut self, kind: InputKind, key: &str, value: String) {
        self.inputs.push(Input { kind, key: key.to_owned(), value: Some(value), window: None, group: None });
    }

    fn date(&mut self, key: &str) -> Option<Date> {
        let value = self.subject.values.get(key);
        let window = self.subject.windows.get(key).copied();
        let kind = if window.is_some() { InputKind::Metric } else { InputKind::Field };
        if !self.inputs.iter().any(|input| input.kind == kind && input.key == key) {
            let value = value.map(ToString::to_string);
            self.inputs.push(Input { kind, key: key.to_owned(), value, window, group: None });
        }
        if let Some(Value::Date(date)) = value { Some(*date) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::policy::model::{Cohort, NONE_OVERRIDES, NONE_STANDING};

    const OUTCOMES: [&str; 5] = ["A", "B", "C", "D", "E"];

    fn decided(outcome: &str, band: &[(&str, &str)]) -> Decision {
        let values = band.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Decision {
            outcome: outcome.to_owned(),
            computed: None,
            overridden: None,
            score: None,
            indicators: Vec::new(),
            reasons: vec![Reason { code: BAND.to_owned(), values }],
            entitlements: BTreeMap::new(),
        }
    }

    /// What stands after a decision of an outcome, and the first reason.
    fn after(
        stability: &Stability,
        mut decision: Decision,
        previous: Option<(&str, Date)>,
        values: &[(&str, Date)],
        as_of: Date,
    ) -> (String, String) {
        let outcomes = OUTCOMES.map(str::to_owned);
        let rule = Rule { stability, policy: "grade", outcomes: &outcomes, opening_field: Some("opened_on") };
        let values = values.iter().map(|(key, day)| ((*key).to_owned(), Value::Date(*day))).collect();
        let subject = Subject { code: String::new(), values, ..Subject::default() };
        let previous =
            previous.map(|(outcome, since)| ("grade".to_owned(), Previous { outcome: outcome.to_owned(), since }));
        let (previous, cohort) = (previous.into_iter().collect(), Cohort::default());
        let circumstances = Circumstances {
            as_of,
            cohort: &cohort,
            standing: &NONE_STANDING,
            previous: &previous,
            overrides: &NONE_OVERRIDES,
        };
        rule.apply(&mut decision, &mut Vec::new(), &subject, circumstances);
        (decision.outcome, decision.reasons[0].code.clone())
    }

    fn pair(outcome: &str, code: &str) -> (String, String) {
        (outcome.to_owned(), code.to_owned())
    }

    const TODAY: Date = date(2018, 3, 1);

    #[test]
    fn last_years_worst_does_not_become_the_best_in_one_step() {
        let stability = Stability { steps_up: Some(1), ..Stability::default() };
        let since = date(2017, 1, 1);
        let of = |from, to| after(&stability, decided(to, &[]), Some((from, since)), &[], TODAY);
        assert_eq!(of("C", "A"), pair("B", "steps"));
        assert_eq!(of("B", "A"), pair("A", BAND));
        assert_eq!(of("A", "E"), pair("E", BAND), "downwards nothing is said");
        assert_eq!(after(&stability, decided("A", &[]), None, &[], TODAY), pair("A", BAND), "there is nothing before");
    }

    #[test]
    fn an_offence_blocks_what_is_better_for_its_months() {
        let theft = CoolDown { after: "theft_on".to_owned(), months: 24 };
        let breach = CoolDown { after: "breach_on".to_owned(), months: 12 };
        let stability = Stability { cool_downs: vec![breach, theft], ..Stability::default() };
        let of = |to, values: &[(&str, Date)], as_of| {
            after(&stability, decided(to, &[]), Some(("C", date(2015, 1, 1))), values, as_of)
        };
        let stolen = [("theft_on", date(2016, 5, 10))];
        assert_eq!(of("A", &stolen, date(2018, 5, 9)), pair("C", "cool_down"));
        assert_eq!(of("A", &stolen, date(2018, 5, 10)), pair("A", BAND), "two years are over");
        assert_eq!(of("D", &stolen, date(2017, 5, 9)), pair("D", BAND), "worse comes at once");
        assert_eq!(of("A", &[("breach_on", date(2017, 4, 1))], date(2018, 3, 31)), pair("C", "cool_down"));
    }

    #[test]
    fn newcomers_have_their_outcome_until_their_months_are_over() {
        let newcomer = Some(Newcomer { outcome: "B".to_owned(), months: 12 });
        let stability = Stability { newcomer, at_once: vec!["E".to_owned()], ..Stability::default() };
        let of = |to, as_of| after(&stability, decided(to, &[]), None, &[("opened_on", date(2017, 6, 1))], as_of);
        assert_eq!(of("A", date(2018, 5, 31)), pair("B", "newcomer"));
        assert_eq!(of("B", date(2018, 5, 31)), pair("B", BAND), "nothing is held back");
        assert_eq!(of("E", date(2017, 6, 2)), pair("E", BAND), "comes at once");
        assert_eq!(of("A", date(2018, 6, 1)), pair("A", BAND));
    }

    #[test]
    fn an_outcome_stays_its_months_and_through_months_that_are_left_out() {
        let stability = Stability { minimum_stay: Some(6), months_left_out: vec![2], ..Stability::default() };
        let of = |as_of| after(&stability, decided("A", &[]), Some(("B", date(2017, 10, 1))), &[], as_of);
        assert_eq!(of(date(2018, 2, 1)), pair("B", "minimum_stay"));
        assert_eq!(of(date(2018, 3, 5)), pair("B", "left_out"), "in March February is closed");
        assert_eq!(of(date(2018, 4, 1)), pair("A", BAND));
    }

    #[test]
    fn a_value_near_its_cut_does_not_move_the_outcome() {
        let stability = Stability { dead_band: Some(Decimal::new(5, 2)), ..Stability::default() };
        let of = |to, value, from, next| {
            let band = [("value", value), ("from", from), ("next", next)];
            after(&stability, decided(to, &band), Some(("C", date(2015, 1, 1))), &[], TODAY)
        };
        assert_eq!(of("B", "10.4", "10", "20"), pair("C", "dead_band"));
        assert_eq!(of("B", "10.5", "10", "20"), pair("B", BAND), "five hundredths beyond");
        assert_eq!(of("A", "20.5", "20", "30"), pair("B", "dead_band"), "one place less");
        assert_eq!(of("D", "4.8", "1", "5"), pair("C", "dead_band"));
        assert_eq!(of("D", "4.7", "1", "5"), pair("D", BAND));
    }

    proptest! {
        #[test]
        fn no_outcome_moves_further_than_declared(
            from in 0usize..5, to in 0usize..5, up in proptest::option::of(1u16..4), down in proptest::option::of(1u16..4),
            dead_band in proptest::option::of(1i64..50), value in -100i64..100,
        ) {
            let dead_band = dead_band.map(|share| Decimal::new(share, 2));
            let stability = Stability { steps_up: up, steps_down: down, dead_band, ..Stability::default() };
            let value = value.to_string();
            let band = [("value", value.as_str()), ("from", "10"), ("next", "20")];
            let (held, _) = after(&stability, decided(OUTCOMES[to], &band), Some((OUTCOMES[from], date(2015, 1, 1))), &[], TODAY);
            let place = OUTCOMES.iter().position(|outcome| *outcome == held).unwrap();
            prop_assert!(up.is_none_or(|most| from.saturating_sub(place) <= usize::from(most)));
            prop_assert!(down.is_none_or(|most| place.saturating_sub(from) <= usize::from(most)));
            prop_assert!((from.min(to)..=from.max(to)).contains(&place), "never beyond what was decided, never the other way");
        }
    }
}
