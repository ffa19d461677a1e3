//! Assessing customers: from the file and the totals to what the policies decide.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;

use super::distribution::Distribution;
use super::drift::Counting;
use super::model::{Assessment, FailureReason};
use super::store::{self, LeanCustomer};
use crate::Id;
use crate::customers::file::values_in;
use crate::customers::model::{Fields, Values};
use crate::db::{Conn, Error, Result, Subjects};
use crate::digest::Digest;
use crate::policy::engine::Needed;
use crate::policy::model::{Assessed, Circumstances, InputKind, Override, Previous, Subject, Verdict};
use crate::policy::pack::Pack;
use crate::policy::stability::held_until;
use crate::releases::active::Active;
use crate::transactions::computation::Ledger;
use crate::transactions::metrics::Gathering;
use crate::transactions::model::{Definitions, Month, Period};
use crate::transactions::store::categories;

/// Customers that are read, assessed and written together.
pub const PAGE: i64 = 500;

/// Assesses customers by one state, as of one date.
pub struct Assessor {
    active: Arc<Active>,
    /// The fields that are read of a customer, and the metrics that are computed.
    fields: Arc<Fields>,
    definitions: Arc<Definitions>,
    categories: BTreeMap<String, String>,
    /// Policies of which it matters what stood before: those whose outcomes others read, and those with a stability.
    standing: BTreeSet<String>,
    stable: BTreeSet<String>,
    /// Windows of the pack's metrics, as of the date.
    windows: Arc<BTreeMap<String, Period>>,
    as_of: Date,
}

/// A customer as policies see him, or what of his data can't be read, without the values.
pub type Sound = std::result::Result<Arc<Subject>, String>;

/// A customer as he was read.
pub struct Read {
    /// His row.
    pub customer: LeanCustomer,
    /// As policies see him, or what of his data can't be read.
    pub subject: Sound,
    /// What stood after the last closings.
    pub before: Before,
}

/// What stood of a customer after the last closings, as far as policies read it.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// Outcomes that stand until their next closing, by policy: others read these.
    pub standing: BTreeMap<String, String>,
    /// Outcomes of policies with a stability, and since when they stand.
    pub previous: BTreeMap<String, Previous>,
    /// What persons decided instead.
    pub overrides: BTreeMap<String, Override>,
}

/// A customer's assessment, ready to be written.
pub struct Made {
    /// Whom it is about, as he was read.
    pub customer: LeanCustomer,
    /// The assessment.
    pub assessment: Assessment,
    /// As policies saw him, or what of his data can't be read, so that all failed.
    subject: Sound,
    /// What the policies decided, as it is kept.
    pub content: String,
    /// What makes it equal to another one: the same decisions from the same inputs by the same rules.
    pub digest: Digest,
    /// The first day on which time alone could change something that was read.
    pub next_due_on: Date,
}

impl Made {
    /// What failed: nothing where every policy decided.
    pub fn failures(&self) -> Vec<FailureReason> {
        if let Err(unreadable) = &self.subject {
            return vec![FailureReason::new(None, unreadable)];
        }
        let policies = self.assessment.assessed.policies.iter();
        policies
            .filter_map(|policy| match &policy.result {
                Verdict::Failed(said) => Some(FailureReason::new(Some(&policy.policy), said)),
                Verdict::Decided(_) | Verdict::Blocked(_) => None,
            })
            .collect()
    }

    /// Counts him among the customers of a run.
    pub fn count(&self, distribution: &mut Distribution, counting: &Counting) {
        let unread = Values::new();
        let values = self.subject.as_ref().map_or(&unread, |subject| &subject.values);
        distribution.count(&self.assessment.assessed, values, &counting.keys, &counting.by);
    }
}

impl Assessor {
    /// An assessor by a state, as of a date.
    pub fn new(conn: &mut Conn, active: Arc<Active>, as_of: Date) -> Result<Self> {
        let Pack { fields, customer_definitions, policies, .. } = &active.release.pack;
        let (fields, definitions) = (fields.clone(), customer_definitions.clone());
        let all = active.release.policies.with_needed(&policies.keys().cloned().collect());
        Self::reading(conn, active, as_of, (fields, definitions, all))
    }

    /// One that looks at what some policies need alone: others fail.
    pub fn only(conn: &mut Conn, active: Arc<Active>, as_of: Date, needed: Needed) -> Result<Self> {
        let Pack { fields, customer_definitions, .. } = &active.release.pack;
        let mut some = Definitions::clone(customer_definitions);
        some.metrics.retain(|key, _| needed.inputs.contains(key));
        let opening = some.opening_field.iter();
        let fields = fields.only(&needed.inputs.iter().chain(opening).cloned().collect());
        Self::reading(conn, active, as_of, (Arc::new(fields), Arc::new(some), needed))
    }

    fn reading(
        conn: &mut Conn,
        active: Arc<Active>,
        as_of: Date,
        (fields, definitions, needed): (Arc<Fields>, Arc<Definitions>, Needed),
    ) -> Result<Self> {
        let categories = if definitions.read_categories() { categories(conn)? } else { BTreeMap::new() };
        let windows = definitions.metrics.iter().map(|(key, metric)| (key.clone(), metric.window.period(as_of)));
        let windows = Arc::new(windows.collect());
        let Needed { standing, stable, .. } = needed;
        Ok(Self { active, fields, definitions, categories, standing, stable, windows, as_of })
    }

    fn gathering(&self) -> Gathering<'_> {
        Gathering {
            definitions: &self.definitions,
            categories: &self.categories,
            as_of: self.as_of,
            known_until: self.active.basis.business_date,
        }
    }

    /// Customers of one shard, who are `of` those named, as policies see them. Data that can't be read, or of which no metric can be
    /// computed, are the fault of those alone who have them: they are found by halves.
    pub fn subjects(&self, conn: &mut Conn, of: Subjects<'_>, customers: &[LeanCustomer]) -> Result<Vec<Sound>> {
        let read = catch_unwind(AssertUnwindSafe(|| self.sound_subjects(conn, of, customers)));
        let read = read.unwrap_or_else(|_| Err(Error::Corrupt("the metrics can't be computed".to_owned())));
        match read {
            Err(error @ Error::Corrupt(_)) => {
                let (first, second) = customers.split_at(customers.len() / 2);
                if first.is_empty() {
                    return Ok(vec![Err(error.to_string())]);
                }
                let mut subjects = Vec::with_capacity(customers.len());
                for half in [first, second] {
                    let ids: Vec<Id> = half.iter().map(|customer| customer.id).collect();
                    subjects.extend(self.subjects(conn, Subjects::Listed(&ids), half)?);
                }
                Ok(subjects)
            }
            read => Ok(read?.into_iter().map(Ok).collect()),
        }
    }

    fn sound_subjects(
        &self,
        conn: &mut Conn,
        of: Subjects<'_>,
        customers: &[LeanCustomer],
    ) -> Result<Vec<Arc<Subject>>> {
        let ids: Vec<Id> = customers.iter().map(|customer| customer.id).collect();
        let gathering = self.gathering();
        let ledgers = gathering.ledgers(conn, of, &ids)?;
        let subject = |customer: &LeanCustomer| {
            let values =
                values_in(&self.fields, &customer.profile).map_err(|error| Error::corrupt("profile", error))?;
            Ok(self.with_metrics(&gathering, &customer.code, values, ledgers.get(&customer.id)))
        };
        customers.iter().map(subject).collect()
    }

    /// What stood of customers after the last closings. Outcomes that close now are no more what others read, and still what stability
    /// compares with.
    fn before(&self, conn: &mut Conn, of: Subjects<'_>, customers: &[(Id, i64)]) -> Result<BTreeMap<Id, Before>> {
        let wanted = self.standing.union(&self.stable).map(String::as_str).collect();
        let mut found = store::closed_outcomes(conn, of, &wanted)?;
        let mut overrides = store::overrides_in_effect(conn, of, self.as_of)?;
        let before = customers.iter().map(|(id, closed_to)| {
            let overrides = overrides.remove(id).unwrap_or_default();
            let mut before = Before { overrides, ..Before::default() };
            for (policy, previous) in found.remove(id).unwrap_or_default() {
                if self.standing.contains(&policy) && self.active.closed.pending(&policy, *closed_to).is_none() {
                    before.standing.insert(policy.clone(), previous.outcome.clone());
                }
                if self.stable.contains(&policy) {
                    before.previous.insert(policy, previous);
                }
            }
            (*id, before)
        });
        Ok(before.collect())
    }

    /// Customers of one shard, who are `of` those named, with all that assessing them needs.
    pub fn read(&self, conn: &mut Conn, of: Subjects<'_>, customers: Vec<LeanCustomer>) -> Result<Vec<Read>> {
        let subjects = self.subjects(conn, of, &customers)?;
        let passed: Vec<(Id, i64)> = customers.iter().map(|customer| (customer.id, customer.closed_to)).collect();
        let mut before = self.before(conn, of, &passed)?;
        let read = |(customer, subject): (LeanCustomer, Sound)| {
            let before = before.remove(&customer.id).unwrap_or_default();
            Read { customer, subject, before }
        };
        Ok(customers.into_iter().zip(subjects).map(read).collect())
    }

    fn with_metrics(
        &self,
        gathering: &Gathering<'_>,
        code: &str,
        mut values: Values,
        ledger: Option<&Ledger>,
    ) -> Arc<Subject> {
        let opened_on = self.definitions.opened_on(&values);
        let empty = Ledger::default();
        for (key, metric) in gathering.values(ledger.unwrap_or(&empty), opened_on) {
            if let Some(value) = metric.value {
                values.insert(key.clone(), value);
            }
        }
        Arc::new(Subject { code: code.to_owned(), values, windows: self.windows.clone() })
    }

    /// What all policies decide, given what stood after the last closings.
    pub fn assess(&self, subject: &Sound, before: &Before) -> Assessed {
        let policies = &self.active.release.policies;
        match subject {
            Ok(subject) => policies.assess(subject, self.circumstances(before)),
            Err(unreadable) => policies.all_failed(unreadable),
        }
    }

    /// What some policies decide; results that are `known` are taken.
    pub fn assess_some(&self, subject: &Sound, before: &Before, wanted: &Needed, known: &Assessed) -> Assessed {
        let policies = &self.active.release.policies;
        match subject {
            Ok(subject) => policies.assess_some(subject, self.circumstances(before), wanted, known),
            Err(unreadable) => {
                let mut failed = policies.all_failed(unreadable);
                failed.policies.retain(|result| wanted.policies.contains(&result.policy));
                failed
            }
        }
    }

    /// When, and relative to whom, it assesses who stood so before.
    pub fn circumstances<'a>(&'a self, before: &'a Before) -> Circumstances<'a> {
        let Before { standing, previous, overrides } = before;
        Circumstances { as_of: self.as_of, cohort: &self.active.cohort, standing, previous, overrides }
    }

    /// A customer's assessment, ready to be written.
    fn make(&self, read: Read, run_id: Option<Id>) -> Result<Made> {
        let Read { customer, subject, before } = read;
        let assessed = self.assess(&subject, &before);
        let content = serde_json::to_string(&assessed).map_err(|error| Error::corrupt("assessment", error))?;
        let basis = &self.active.basis;
        let digest = Digest::of(format!("{} {} {content}", basis.release, basis.cohort));
        let next_due_on = next_due_on(&assessed, &self.active.release.pack.definitions, self.as_of);
        let assessment = Assessment {
            id: Id::new(),
            customer_id: customer.id,
            run_id,
            basis: basis.number,
            release: basis.release,
            cohort: basis.cohort,
            as_of: self.as_of,
            assessed_at: Timestamp::now(),
            assessed,
        };
        Ok(Made { customer, assessment, subject, content, digest, next_due_on })
    }

    /// The assessments of a page, ready to be written. Nothing when `keep`, which is called each time that `every` has passed, says that
    /// the page is somebody else's meanwhile: a slow script may take a page longer than a lease lasts.
    pub fn make_page(
        &self,
        read: Vec<Read>,
        run_id: Option<Id>,
        every: Duration,
        keep: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<Option<Vec<Made>>> {
        let mut kept = Instant::now();
        let mut made = Vec::with_capacity(read.len());
        for one in read {
            made.push(self.make(one, run_id)?);
            if kept.elapsed() > every {
                if !keep()? {
                    return Ok(None);
                }
                kept = Instant::now();
            }
        }
        Ok(Some(made))
    }

    /// The state by which it assesses.
    pub fn active(&self) -> &Active {
        &self.active
    }

    /// The date as of which it assesses.
    pub fn as_of(&self) -> Date {
        self.as_of
    }
}

/// The first day after `as_of` on which time alone could change a value that was read; the last of all days where none could.
fn next_due_on(assessed: &Assessed, definitions: &Definitions, as_of: Date) -> Date {
    let inputs = assessed.policies.iter().flat_map(|policy| &policy.inputs);
    let changes = inputs.filter_map(|input| match input.kind {
        InputKind::Metric => definitions.next_change(&input.key, input.value.as_deref(), as_of),
        InputKind::AsOf => as_of.tomorrow().ok(),
        InputKind::Month => Some(Month::of(as_of).plus(1).period().from),
        InputKind::OverrideUntil => input.value.as_ref()?.parse::<Date>().ok()?.tomorrow().ok(),
        InputKind::Field
        | InputKind::Outcome
        | InputKind::Cohort
        | InputKind::Previous
        | InputKind::PreviousSince
        | InputKind::Override => None,
    });
    let held = assessed.policies.iter().filter_map(|policy| match &policy.result {
        Verdict::Decided(decision) => held_until(decision),
        Verdict::Failed(_) | Verdict::Blocked(_) => None,
    });
    changes.chain(held).min().unwrap_or(Date::MAX)
}
