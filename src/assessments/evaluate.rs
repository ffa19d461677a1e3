//! Evaluating a customer or a document without keeping anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::{Map, Value as Json};

use super::assess::{Assessor, Before, Read, Sound};
use super::model::Assessment;
use super::store;
use crate::Id;
use crate::customers::file::now;
use crate::customers::model::{FieldType, Value};
use crate::customers::texts::{date, decimal};
use crate::db::{self, Conn, Failure, Subjects};
use crate::digest::Digest;
use crate::faults::{Fault, did_you_mean, enough, excerpt, pointer_segment};
use crate::policy::changes::changed_policies;
use crate::policy::model::Subject;
use crate::releases::active::{Active, InForce};
use crate::releases::{model::Basis, store as release_store};
use crate::transactions::products::{MAX_CODE, check_text};

/// What is evaluated.
pub enum Evaluated {
    /// A customer of the base.
    Customer(Id),
    /// A file that isn't kept, with the values of metrics.
    Document(Document),
}

/// A file that isn't kept.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The code that policies may read.
    pub code: Option<String>,
    /// Fields by section.
    pub profile: Map<String, Json>,
    /// Metrics by key, as text.
    pub metrics: BTreeMap<String, String>,
}

/// Why nothing was evaluated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such customer or release.
    #[error("the request has faults")]
    Invalid(Vec<Fault>),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}

/// All that an evaluation needs of the database.
pub struct Prepared {
    assessor: Assessor,
    subject: Sound,
    before: Before,
    customer_id: Id,
    code: Option<String>,
    active: Arc<Active>,
    of_document: bool,
}

/// An evaluation, with the state it was made by and the subject's code.
pub struct Evaluation {
    /// The assessment; its id names nothing that is kept.
    pub assessment: Assessment,
    /// The release, whose texts it is shown with.
    pub active: Arc<Active>,
    /// The subject's code.
    pub code: Option<String>,
    /// Whether a document was evaluated.
    pub of_document: bool,
}

/// Reads what evaluating by the release in force or another one that is kept needs, as of a date.
pub fn prepare(
    conn: &mut Conn,
    in_force: &InForce,
    active: Arc<Active>,
    evaluated: Evaluated,
    as_of: Option<Date>,
    release: Option<Digest>,
) -> Result<Prepared, Error> {
    let (active, changed) = match release {
        Some(digest) if digest != active.basis.release => other_release(conn, in_force, &active, digest)?,
        _ => (active, BTreeSet::new()),
    };
    let as_of = as_of.unwrap_or(active.basis.business_date);
    let assessor = Assessor::new(conn, active.clone(), as_of)?;
    Ok(match evaluated {
        Evaluated::Customer(id) => {
            let customer = store::lean_customer(conn, id)?.ok_or_else(|| {
                let detail = format!("there is no customer with the id {id}");
                Error::Invalid(vec![Fault::new("/customer_id", "unknown_customer", detail)])
            })?;
            let read = assessor.read(conn, Subjects::Listed(&[id]), vec![customer])?;
            let Some(Read { customer, subject, mut before }) = read.into_iter().next() else {
                return Err(db::Error::Corrupt(format!("the customer {id} is gone")).into());
            };
            before.standing.retain(|policy, _| !changed.contains(policy));
            Prepared {
                assessor,
                subject,
                before,
                customer_id: id,
                code: Some(customer.code),
                active,
                of_document: false,
            }
        }
        Evaluated::Document(document) => {
            let subject = document.subject(&assessor).map_err(Error::Invalid)?;
            Prepared {
                assessor,
                subject: Ok(Arc::new(subject)),
                before: Before::default(),
                customer_id: Id::NIL,
                code: document.code,
                active,
                of_document: true,
            }
        }
    })
}

impl Prepared {
    /// Applies all policies. Needs a stack of 16 MiB.
    pub fn evaluate(self) -> Evaluation {
        let Self { assessor, subject, before, customer_id, code, active, of_document } = self;
        let assessment = Assessment {
            id: Id::NIL,
            customer_id,
            run_id: None,
            basis: active.basis.number,
            release: active.basis.release,
            cohort: active.basis.cohort,
            as_of: assessor.as_of(),
            assessed_at: now(),
            assessed: assessor.assess(&subject, &before),
        };
        Evaluation { assessment, active, code, of_document }
    }
}

/// The state with another release, and the policies that it changes: they would be closed with its activation.
fn other_release(
    conn: &mut Conn,
    in_force: &InForce,
    active: &Active,
    digest: Digest,
) -> Result<(Arc<Active>, BTreeSet<String>), Error> {
    if release_store::release(conn, digest)?.is_none() {
        let detail = format!("there is no release {digest}");
        return Err(Error::Invalid(vec![Fault::new("/release", "unknown_release", detail)]));
    }
    let other = in_force.state(conn, Basis { release: digest, ..active.basis.clone() })?;
    let changed = changed_policies(&active.release, &other.release);
    Ok((Arc::new(other), changed))
}

impl Document {
    fn subject(&self, assessor: &Assessor) -> Result<Subject, Vec<Fault>> {
        let pack = &assessor.active().release.pack;
        let mut faults = Vec::new();
        let mut values = pack.fields.check(&self.profile).unwrap_or_else(|found| {
            faults.extend(found.into_iter().map(|fault| fault.under("/document/profile")));
            BTreeMap::new()
        });
        if let Some(code) = &self.code {
            faults.extend(check_text("/document/code", code, MAX_CODE).err());
        }
        let mut windows = BTreeMap::new();
        for (key, text) in &self.metrics {
            if enough(&faults) {
                break;
            }
            let pointer = format!("/document/metrics{}", pointer_segment(key));
            let Some(metric) = pack.definitions.metrics.get(key) else {
                let hint = did_you_mean(key, pack.definitions.metrics.keys().map(String::as_str));
                let detail = format!("the pack declares no metric '{}'{hint}", excerpt(key));
                faults.push(Fault::new(pointer, "unknown_metric", detail));
                continue;
            };
            let read = match metric.value_type() {
                FieldType::Date => date(text).map(Value::Date),
                _ => decimal(text).map(Value::Number),
            };
            match read {
                Ok(value) => drop(values.insert(key.clone(), value)),
                Err((code, detail)) => faults.push(Fault::new(pointer, code, detail)),
            }
            windows.insert(key.clone(), metric.window.period(assessor.as_of()));
        }
        if faults.is_empty() {
            Ok(Subject { code: self.code.clone().unwrap_or_default(), values, windows: Arc::new(windows) })
        } else {
            Err(faults)
        }
    }
}
