//! Recording observations: each item is checked and known by its source and external id. What is sent changed becomes a further version;
//! no version is ever deleted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use super::model::{ObservationKind, SubjectKind};
use super::products::{MAX_CODE, check_text};
use super::record::{Error, MAX_EXTERNAL_ID, Recorded, Rules, chunks};
use super::store::{self, Observation};
use crate::Id;
use crate::customers::store as customer_store;
use crate::customers::texts::{date, decimal};
use crate::db::{self, Conn, transaction};
use crate::employees::store as employee_store;
use crate::faults::{Fault, Told, did_you_mean, excerpt};

/// Longest evidence, in characters.
pub const MAX_EVIDENCE: usize = 2000;
/// Longest name of who reported something, in characters.
pub const MAX_REPORTER: usize = 128;

/// An observation as it is sent.
#[derive(Clone, Debug, Default)]
pub struct NewObservation {
    /// The system it comes from.
    pub source: String,
    /// Its id in that system.
    pub external_id: String,
    /// Its kind.
    pub kind: String,
    /// Code of the customer, where the kind is one of customers.
    pub customer_code: Option<String>,
    /// Code of the employee, where the kind is one of employees.
    pub employee_code: Option<String>,
    /// The day on which it was made.
    pub observed_on: String,
    /// Its value, as decimal text.
    pub value: Option<String>,
    /// What shows it.
    pub evidence: Option<String>,
    /// Who reported it.
    pub reported_by: Option<String>,
    /// Whether it is taken back.
    pub withdrawn: bool,
}

/// On whose behalf observations are recorded.
#[derive(Clone, Copy, Debug)]
pub struct Recorder {
    /// The user; nobody where a command records them.
    pub user_id: Option<Id>,
    /// Whether he may evaluate staff, and so record and correct what is restricted to that.
    pub evaluates: bool,
}

impl Recorder {
    /// A fault where an observation of a kind isn't his to record or to correct.
    fn check(self, key: &str, kind: &ObservationKind) -> Result<(), Fault> {
        if self.evaluates || !kind.restricted {
            return Ok(());
        }
        let detail =
            format!("observations of the kind '{key}' are recorded and corrected by those who may evaluate staff");
        Err(Fault::new("/kind", "not_permitted", detail))
    }
}

/// An item that has passed the checks which need no database.
struct Checked {
    index: usize,
    item: NewObservation,
    subject: SubjectKind,
    /// Code of the customer or employee.
    code: String,
    observed_on: Date,
    value: Option<Decimal>,
    digest: Vec<u8>,
}

impl Checked {
    fn new(rules: &Rules, recorder: Recorder, index: usize, mut item: NewObservation) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        for (pointer, text, max) in
            [("/source", &mut item.source, MAX_CODE), ("/external_id", &mut item.external_id, MAX_EXTERNAL_ID)]
        {
            faults.extend(check_text(pointer, text, max).err());
            *text = text.trim().to_owned();
        }
        for (pointer, text, max) in [
            ("/customer_code", &mut item.customer_code, MAX_CODE),
            ("/employee_code", &mut item.employee_code, MAX_CODE),
            ("/evidence", &mut item.evidence, MAX_EVIDENCE),
            ("/reported_by", &mut item.reported_by, MAX_REPORTER),
        ] {
            if let Some(text) = text {
                faults.extend(check_text(pointer, text, max).err());
                *text = text.trim().to_owned();
            }
        }
        let observed_on = day(rules, &item.observed_on).map_err(|fault| faults.push(fault)).ok();
        let kind = kind(rules, recorder, &item.kind).map_err(|fault| faults.push(fault)).ok();
        let value = kind.and_then(|kind| value(kind, &item).map_err(|fault| faults.push(fault)).ok());
        let whose = kind.and_then(|kind| code(kind.subject, &item).map_err(|fault| faults.push(fault)).ok());
        match (kind, observed_on, value, whose) {
            (Some(kind), Some(observed_on), Some(value), Some(code)) if faults.is_empty() => {
                let digest = digest(&item, &code, observed_on, value);
                Ok(Self { index, item, subject: kind.subject, code, observed_on, value, digest })
            }
            _ => Err(faults),
        }
    }

    /// The version after the one that is known.
    fn version(&self, subject_id: Id, user_id: Id, known: Option<&Observation>) -> Observation {
        let item = &self.item;
        Observation {
            id: known.map_or_else(Id::new, |known| known.id),
            subject_id,
            version: known.map_or(1, |known| known.version + 1),
            source: item.source.clone(),
            external_id: item.external_id.clone(),
            kind: item.kind.clone(),
            observed_on: self.observed_on,
            value: self.value,
            evidence: item.evidence.clone(),
            reported_by: item.reported_by.clone(),
            user_id,
            withdrawn: item.withdrawn,
            superseded: false,
            digest: self.digest.clone(),
            recorded_at: Timestamp::now(),
        }
    }
}

fn day(rules: &Rules, text: &str) -> Result<Date, Fault> {
    let on = date(text).map_err(|(code, detail)| Fault::new("/observed_on", code, detail))?;
    if on > rules.business_date {
        let detail = format!("{on} is after the business date {}", rules.business_date);
        return Err(Fault::new("/observed_on", "after_business_date", detail));
    }
    Ok(on)
}

fn kind<'a>(rules: &'a Rules, recorder: Recorder, kind: &str) -> Result<&'a ObservationKind, Fault> {
    let kinds = &rules.definitions.observations;
    let declared = kinds.get(kind).ok_or_else(|| {
        let hint = did_you_mean(kind, kinds.keys().map(String::as_str));
        let detail = format!("the pack declares no observations of the kind '{}'{hint}", excerpt(kind));
        Fault::new("/kind", "unknown_kind", detail)
    })?;
    recorder.check(kind, declared).map(|()| declared)
}

/// The code of whom an observation is made of: the one that its kind wants, and no other.
fn code(subject: SubjectKind, item: &NewObservation) -> Result<String, Fault> {
    let own = ("/customer_code", &item.customer_code, "customers");
    let other = ("/employee_code", &item.employee_code, "employees");
    let ((wanted, code, whom), (unwanted, not, _)) =
        if subject == SubjectKind::Customer { (own, other) } else { (other, own) };
    if not.is_some() {
        return Err(Fault::new(unwanted, "not_allowed", format!("observations of this kind are made of {whom}")));
    }
    code.clone().ok_or_else(|| Fault::new(wanted, "required", format!("observations of this kind are made of {whom}")))
}

fn value(kind: &ObservationKind, item: &NewObservation) -> Result<Option<Decimal>, Fault> {
    let at = |(code, detail): (&'static str, String)| Fault::new("/value", code, detail);
    let sent = item.value.as_deref().map(decimal).transpose().map_err(at)?;
    kind.check(sent).map_err(at)
}

/// SHA-256 of what was sent, whatever its spelling.
fn digest(item: &NewObservation, code: &str, on: Date, value: Option<Decimal>) -> Vec<u8> {
    let value = value.map(|value| value.normalize());
    let content = serde_json::json!([item.kind, code, on, value, item.evidence, item.reported_by, item.withdrawn]);
    Sha256::digest(content.to_string().as_bytes()).to_vec()
}

/// Records observations in chunks, each in one transaction, and gives the answer for each in their order. Sending
/// them again is safe. In a dry run nothing is kept: the answers are what they would be.
pub fn observe(
    conn: &mut Conn,
    rules: &Rules,
    recorder: Recorder,
    items: Vec<NewObservation>,
    dry_run: bool,
) -> Result<Vec<Recorded>, Error> {
    let mut answers: BTreeMap<usize, Recorded> = BTreeMap::new();
    let (mut checked, mut told) = (Vec::new(), Told::default());
    for (index, item) in items.into_iter().enumerate() {
        match Checked::new(rules, recorder, index, item) {
            Ok(item) => checked.push(item),
            Err(faults) => drop(answers.insert(index, Recorded::Refused(told.of(faults)))),
        }
    }
    let codes = |subject: SubjectKind| -> Vec<&str> {
        let of = checked.iter().filter(|item| item.subject == subject).map(|item| item.code.as_str());
        of.collect::<BTreeSet<&str>>().into_iter().collect()
    };
    let customers = customer_store::ids_by_code(conn, &codes(SubjectKind::Customer))?;
    let employees = employee_store::ids_by_code(conn, &codes(SubjectKind::Employee))?;
    let mut ready = Vec::new();
    for item in checked {
        let (known, pointer, fault, whom) = match item.subject {
            SubjectKind::Customer => (&customers, "/customer_code", "unknown_customer", "customer"),
            SubjectKind::Employee => (&employees, "/employee_code", "unknown_employee", "employee"),
        };
        match known.get(&item.code) {
            Some(subject_id) => ready.push((*subject_id, item)),
            None => {
                let detail = format!("there is no {whom} with the code '{}'", excerpt(&item.code));
                answers.insert(item.index, Recorded::Refused(told.of(vec![Fault::new(pointer, fault, detail)])));
            }
        }
    }
    let sent = |(_, one): &(Id, Checked)| (one.item.source.clone(), one.item.external_id.clone());
    for chunk in chunks(ready, sent, |(subject_id, one)| (subject_id.shard(), *subject_id, one.index)) {
        let mut owners = BTreeSet::new();
        let work = |conn: &mut Conn| observe_chunk(conn, rules, recorder, &chunk, &mut owners, dry_run);
        let recorded = match transaction(conn, work) {
            Err(Error::Dry(recorded)) => recorded,
            result => result?,
        };
        answers.extend(chunk.iter().map(|(_, item)| item.index).zip(recorded));
    }
    Ok(answers.into_values().collect())
}

/// One chunk, in a transaction that the caller has opened. `owners` are those to lock besides those of the chunk: where an item is
/// known of another one, he is added, for the next attempt.
fn observe_chunk(
    conn: &mut Conn,
    rules: &Rules,
    recorder: Recorder,
    chunk: &[(Id, Checked)],
    owners: &mut BTreeSet<Id>,
    dry_run: bool,
) -> Result<Vec<Recorded>, Error> {
    let keys: Vec<(&str, &str)> =
        chunk.iter().map(|(_, one)| (one.item.source.as_str(), one.item.external_id.as_str())).collect();
    owners.extend(chunk.iter().map(|(subject_id, _)| *subject_id));
    store::lock_customers(conn, owners)?;
    let known = store::known_observations(conn, &keys)?;
    let before = owners.len();
    owners.extend(known.iter().map(|known| known.subject_id));
    if owners.len() > before {
        return Err(db::Error::Transient("an item moves from a customer who isn't locked yet".to_owned()).into());
    }
    let known: BTreeMap<(&str, &str), &Observation> =
        known.iter().map(|one| ((one.source.as_str(), one.external_id.as_str()), one)).collect();
    let kinds = &rules.definitions.observations;
    let may_correct =
        |known: &Observation| kinds.get(&known.kind).map_or(Ok(()), |kind| recorder.check(&known.kind, kind));
    let user_id = recorder.user_id.unwrap_or(Id::NIL);
    let mut answers = Vec::with_capacity(chunk.len());
    let (mut earlier, mut new) = (Vec::new(), Vec::new());
    for ((subject_id, checked), key) in chunk.iter().zip(&keys) {
        let known = known.get(key).copied();
        if let Some(known) = known.filter(|known| known.digest == checked.digest) {
            answers.push(Recorded::Unchanged(known.id));
            continue;
        }
        if let Some(Err(fault)) = known.map(may_correct) {
            answers.push(Recorded::Refused(vec![fault]));
            continue;
        }
        let version = checked.version(*subject_id, user_id, known);
        answers.push(if known.is_some() { Recorded::Corrected(version.id) } else { Recorded::Created(version.id) });
        earlier.extend(known);
        new.push(version);
    }
    store::supersede(conn, &earlier)?;
    store::insert_observations(conn, &new).map_err(|error| match error {
        // Another writer has recorded the same item since it was looked up: the next attempt finds it.
        db::Error::Taken => db::Error::Transient("an item was recorded meanwhile".to_owned()),
        error => error,
    })?;
    // Nobody is due for what is observed of employees: they are evaluated when somebody asks.
    let is_of_customer =
        |one: &&Observation| kinds.get(&one.kind).is_none_or(|kind| kind.subject == SubjectKind::Customer);
    let changed = earlier.into_iter().chain(&new).filter(is_of_customer);
    rules.raise(conn, changed.map(|one| (one.subject_id, one.kind.as_str(), one.observed_on)))?;
    if dry_run { Err(Error::Dry(answers)) } else { Ok(answers) }
}
