//! Assessing customers: from the file and the totals to what the policies decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::{Map, Value as Json};

use super::store;
use crate::Id;
use crate::customers::file::values_of;
use crate::db::{Conn, Result};
use crate::digest::Digest;
use crate::policy::model::{Assessed, Circumstances, Subject};
use crate::releases::active::Active;
use crate::transactions::computation::Ledger;
use crate::transactions::metrics::Gathering;

use crate::transactions::store::categories;

/// Customers of one page of a run.
pub const PAGE: i64 = 500;

/// Assesses customers by one state, as of one date.
pub struct Assessor {
    active: Arc<Active>,
    categories: BTreeMap<String, String>,
    as_of: Date,
}

impl Assessor {
    /// An assessor by a state, as of a date.
    pub fn new(conn: &mut Conn, active: Arc<Active>, as_of: Date) -> Result<Self> {
        let reads_products = active.release.pack.definitions.read_products();
        let categories = if reads_products { categories(conn)? } else { BTreeMap::new() };
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

    /// The next active customers of a shard after an id, as policies see them.
    pub fn page(&self, conn: &mut Conn, shard: u8, after: Id) -> Result<Vec<(Id, Arc<Subject>)>> {
        let customers = store::customers_page(conn, shard, after, PAGE)?;
        let ids: Vec<Id> = customers.iter().map(|customer| customer.id).collect();
        let gathering = self.gathering();
        let ledgers = gathering.ledgers(conn, &ids)?;
        let subject = |customer: &store::LeanCustomer| {
            self.with_metrics(&gathering, &customer.code, &customer.profile, ledgers.get(&customer.id))
        };
        Ok(customers.iter().map(|customer| (customer.id, subject(customer))).collect())
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

    /// What all policies decide.
    pub fn assess(&self, subject: &Arc<Subject>) -> Assessed {
        let circumstances = Circumstances { as_of: self.as_of, cohort: &self.active.cohort };
        self.active.release.policies.assess(subject, circumstances)
    }

    /// The state by which it assesses.
    pub fn active(&self) -> &Active {
        &self.active
    }

    /// The date as of which it assesses.
    pub fn as_of(&self) -> Date {
        self.as_of
    }

    /// What makes two assessments equal: the same decisions from the same inputs by the same rules.
    pub fn digest(&self, content: &str) -> Digest {
        let basis = &self.active.basis;
        Digest::of(format!("{} {} {content}", basis.release, basis.cohort))
    }
}
