//! Assessing customers: from the file and the totals to what the policies decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value as Json};

use super::model::Assessment;
use super::store::{self, LeanCustomer};
use crate::Id;
use crate::customers::file::values_of;
use crate::db::{Conn, Error, Result};
use crate::digest::Digest;
use crate::policy::model::{Assessed, Circumstances, InputKind, Subject};
use crate::releases::active::Active;
use crate::transactions::computation::Ledger;
use crate::transactions::metrics::Gathering;
use crate::transactions::model::{Definitions, Month};
use crate::transactions::store::categories;

/// Customers that are read, assessed and written together.
pub const PAGE: i64 = 500;

/// Assesses customers by one state, as of one date.
pub struct Assessor {
    active: Arc<Active>,
    categories: BTreeMap<String, String>,
    as_of: Date,
}

/// A customer as he was read.
pub struct Read {
    /// His row.
    pub customer: LeanCustomer,
    /// As policies see him.
    pub subject: Arc<Subject>,
    /// Outcomes that stand until their next closing.
    pub standing: BTreeMap<String, String>,
}

/// A customer's assessment, ready to be written.
pub struct Made {
    /// Whom it is about, as he was read.
    pub customer: LeanCustomer,
    /// The assessment.
    pub assessment: Assessment,
    /// What the policies decided, as it is kept.
    pub content: String,
    /// What makes it equal to another one: the same decisions from the same inputs by the same rules.
    pub digest: Digest,
    /// The first day on which time alone could change something that was read.
    pub next_due_on: Date,
}

impl Assessor {
    /// An assessor by a state, as of a date.
    pub fn new(conn: &mut Conn, active: Arc<Active>, as_of: Date) -> Result<Self> {
        let reads_categories = active.release.pack.definitions.read_categories();
        let categories = if reads_categories { categories(conn)? } else { BTreeMap::new() };
        Ok(Self { active, categories, as_of })
    }

    fn gathering(&self) -> Gathering<'_> {
        Gathering {
            definitions: &self.active.release.pack.definitions,
            categories: &self.categories,
            as_of: self.as_of,
            known_until: self.active.basis.business_date,
        }
    }

    /// A customer as policies see him.
    pub fn subject(&self, conn: &mut Conn, id: Id, code: &str, profile: &Map<String, Json>) -> Result<Arc<Subject>> {
        let gathering = self.gathering();
        let ledgers = gathering.ledgers(conn, &[id])?;
        Ok(self.with_metrics(&gathering, code, profile, ledgers.get(&id)))
    }

    /// Customers of one shard as policies see them.
    pub fn subjects(&self, conn: &mut Conn, customers: &[LeanCustomer]) -> Result<Vec<Arc<Subject>>> {
        let ids: Vec<Id> = customers.iter().map(|customer| customer.id).collect();
        let gathering = self.gathering();
        let ledgers = gathering.ledgers(conn, &ids)?;
        let subject = |customer: &LeanCustomer| {
            self.with_metrics(&gathering, &customer.code, &customer.profile, ledgers.get(&customer.id))
        };
        Ok(customers.iter().map(subject).collect())
    }

    /// Outcomes of a customer that other policies read and that stand until their next closing: those that close now don't.
    pub fn standing(
        &self,
        conn: &mut Conn,
        shard: u8,
        customers: &[(Id, i64)],
    ) -> Result<BTreeMap<Id, BTreeMap<String, String>>> {
        let pack = &self.active.release.pack;
        let mut read: BTreeSet<&str> = self.active.release.policies.read_by_others();
        read.retain(|policy| pack.closed_policies().any(|(closed, _)| closed == policy));
        let ids: Vec<Id> = customers.iter().map(|(id, _)| *id).collect();
        let mut standing = store::closed_outcomes(conn, shard, &ids, &read)?;
        for (id, closed_to) in customers {
            if let Some(outcomes) = standing.get_mut(id) {
                outcomes.retain(|policy, _| self.active.closed.pending(policy, *closed_to).is_none());
            }
        }
        Ok(standing)
    }

    /// Customers of one shard with all that assessing them needs.
    pub fn read(&self, conn: &mut Conn, shard: u8, customers: Vec<LeanCustomer>) -> Result<Vec<Read>> {
        let subjects = self.subjects(conn, &customers)?;
        let passed: Vec<(Id, i64)> = customers.iter().map(|customer| (customer.id, customer.closed_to)).collect();
        let mut standing = self.standing(conn, shard, &passed)?;
        let read = |(customer, subject): (LeanCustomer, Arc<Subject>)| {
            let standing = standing.remove(&customer.id).unwrap_or_default();
            Read { customer, subject, standing }
        };
        Ok(customers.into_iter().zip(subjects).map(read).collect())
    }

    fn with_metrics(
        &self,
        gathering: &Gathering<'_>,
        code: &str,
        profile: &Map<String, Json>,
        ledger: Option<&Ledger>,
    ) -> Arc<Subject> {
        let pack = &self.active.release.pack;
        let mut values = values_of(&pack.fields, profile);
        let opened_on = pack.definitions.opened_on(&values);
        let empty = Ledger::default();
        let mut windows = BTreeMap::new();
        for (key, metric) in gathering.values(ledger.unwrap_or(&empty), opened_on) {
            if let Some(value) = metric.value {
                values.insert(key.clone(), value);
            }
            windows.insert(key, metric.window);
        }
        Arc::new(Subject { code: code.to_owned(), values, windows })
    }

    /// What all policies decide, given the outcomes that stand until their next closing.
    pub fn assess(&self, subject: &Arc<Subject>, standing: &BTreeMap<String, String>) -> Assessed {
        let circumstances = Circumstances { as_of: self.as_of, cohort: &self.active.cohort, standing };
        self.active.release.policies.assess(subject, circumstances)
    }

    /// A customer's assessment, ready to be written.
    pub fn make(&self, read: Read, run_id: Option<Id>) -> Result<Made> {
        let Read { customer, subject, standing } = read;
        let assessed = self.assess(&subject, &standing);
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
        Ok(Made { customer, assessment, content, digest, next_due_on })
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
        InputKind::Metric => definitions.metrics.get(&input.key).map(|metric| metric.next_change(as_of)),
        InputKind::AsOf => as_of.tomorrow().ok(),
        InputKind::Month => Some(Month::of(as_of).plus(1).period().from),
        InputKind::Field | InputKind::Outcome | InputKind::Cohort => None,
    });
    changes.min().unwrap_or(Date::MAX)
}
