//! Recording observations: each item is checked and known by its source and external id. What is sent changed becomes a further version;
//! no version is ever deleted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use super::products::{MAX_CODE, check_text};
use super::record::{Error, MAX_EXTERNAL_ID, Recorded, Rules, chunks};
use super::store::{self, Observation};
use crate::Id;
use crate::customers::model::{date, decimal};
use crate::customers::store as customer_store;
use crate::db::{self, Conn, transaction};
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
    /// Code of the customer.
    pub customer_code: String,
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

/// An item that has passed the checks which need no database.
struct Checked {
    index: usize,
    item: NewObservation,
    observed_on: Date,
    value: Option<Decimal>,
    digest: Vec<u8>,
}

impl Checked {
    fn new(rules: &Rules, index: usize, mut item: NewObservation) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        for (pointer, text, max) in [
            ("/source", &mut item.source, MAX_CODE),
            ("/external_id", &mut item.external_id, MAX_EXTERNAL_ID),
            ("/customer_code", &mut item.customer_code, MAX_CODE),
        ] {
            faults.extend(check_text(pointer, text, max).err());
            *text = text.trim().to_owned();
        }
        for (pointer, text, max) in
            [("/evidence", &mut item.evidence, MAX_EVIDENCE), ("/reported_by", &mut item.reported_by, MAX_REPORTER)]
        {
            if let Some(text) = text {
                faults.extend(check_text(pointer, text, max).err());
                *text = text.trim().to_owned();
            }
        }
        let observed_on = day(rules, &item.observed_on).map_err(|fault| faults.push(fault)).ok();
        let value = value(rules, &item).map_err(|fault| faults.push(fault)).ok();
        match (observed_on, value) {
            (Some(observed_on), Some(value)) if faults.is_empty() => {
                let digest = digest(&item, observed_on, value);
                Ok(Self { index, item, observed_on, value, digest })
            }
            _ => Err(faults),
        }
    }

    /// The version after the one that is known.
    fn version(&self, customer_id: Id, user_id: Id, known: Option<&Observation>) -> Observation {
        let item = &self.item;
        Observation {
            id: known.map_or_else(Id::new, |known| known.id),
            customer_id,
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

fn value(rules: &Rules, item: &NewObservation) -> Result<Option<Decimal>, Fault> {
    let kinds = &rules.definitions.observations;
    let Some(kind) = kinds.get(&item.kind) else {
        let hint = did_you_mean(&item.kind, kinds.keys().map(String::as_str));
        let detail = format!("the pack declares no observations of the kind '{}'{hint}", excerpt(&item.kind));
        return Err(Fault::new("/kind", "unknown_kind", detail));
    };
    let at = |(code, detail): (&'static str, String)| Fault::new("/value", code, detail);
    let sent = item.value.as_deref().map(decimal).transpose().map_err(at)?;
    kind.check(sent).map_err(at)
}

/// SHA-256 of what was sent, whatever its spelling.
fn digest(item: &NewObservation, on: Date, value: Option<Decimal>) -> Vec<u8> {
    let value = value.map(|value| value.normalize());
    let content =
        serde_json::json!([item.kind, item.customer_code, on, value, item.evidence, item.reported_by, item.withdrawn]);
    Sha256::digest(content.to_string().as_bytes()).to_vec()
}

/// Records observations in chunks, each in one transaction, and gives the answer for each in their order. Sending them again is safe.
pub fn observe(
    conn: &mut Conn,
    rules: &Rules,
    user_id: Id,
    items: Vec<NewObservation>,
) -> Result<Vec<Recorded>, Error> {
    let mut answers: BTreeMap<usize, Recorded> = BTreeMap::new();
    let (mut checked, mut told) = (Vec::new(), Told::default());
    for (index, item) in items.into_iter().enumerate() {
        match Checked::new(rules, index, item) {
            Ok(item) => checked.push(item),
            Err(faults) => drop(answers.insert(index, Recorded::Refused(told.of(faults)))),
        }
    }
    let codes: BTreeSet<&str> = checked.iter().map(|item| item.item.customer_code.as_str()).collect();
    let customers = customer_store::ids_by_code(conn, &codes.into_iter().collect::<Vec<_>>())?;
    let mut ready = Vec::new();
    for item in checked {
        match customers.get(&item.item.customer_code) {
            Some(customer_id) => ready.push((*customer_id, item)),
            None => {
                let detail = format!("there is no customer with the code '{}'", excerpt(&item.item.customer_code));
                let fault = Fault::new("/customer_code", "unknown_customer", detail);
                answers.insert(item.index, Recorded::Refused(told.of(vec![fault])));
            }
        }
    }
    ready.sort_by_key(|(customer_id, item)| (customer_id.shard(), *customer_id, item.index));
    for chunk in chunks(ready, |(_, one)| (one.item.source.clone(), one.item.external_id.clone())) {
        let mut owners = BTreeSet::new();
        let recorded = transaction(conn, |conn| observe_chunk(conn, rules, user_id, &chunk, &mut owners))?;
        answers.extend(chunk.iter().map(|(_, item)| item.index).zip(recorded));
    }
    Ok(answers.into_values().collect())
}

/// One chunk, in a transaction that the caller has opened. `owners` are customers to lock besides those of the chunk: where an item is
/// known of another one, he is added, for the next attempt.
fn observe_chunk(
    conn: &mut Conn,
    rules: &Rules,
    user_id: Id,
    chunk: &[(Id, Checked)],
    owners: &mut BTreeSet<Id>,
) -> Result<Vec<Recorded>, Error> {
    let keys: Vec<(&str, &str)> =
        chunk.iter().map(|(_, one)| (one.item.source.as_str(), one.item.external_id.as_str())).collect();
    owners.extend(chunk.iter().map(|(customer_id, _)| *customer_id));
    store::lock_customers(conn, owners)?;
    let known = store::known_observations(conn, &keys)?;
    let before = owners.len();
    owners.extend(known.iter().map(|known| known.customer_id));
    if owners.len() > before {
        return Err(db::Error::Transient("an item moves from a customer who isn't locked yet".to_owned()).into());
    }
    let known: BTreeMap<(&str, &str), &Observation> =
        known.iter().map(|one| ((one.source.as_str(), one.external_id.as_str()), one)).collect();
    let mut answers = Vec::with_capacity(chunk.len());
    let (mut earlier, mut new) = (Vec::new(), Vec::new());
    for ((customer_id, checked), key) in chunk.iter().zip(&keys) {
        let known = known.get(key).copied();
        if let Some(known) = known.filter(|known| known.digest == checked.digest) {
            answers.push(Recorded::Unchanged(known.id));
            continue;
        }
        let version = checked.version(*customer_id, user_id, known);
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
    let changed = earlier.into_iter().chain(&new);
    rules.raise(conn, changed.map(|one| (one.customer_id, one.kind.as_str(), one.observed_on)))?;
    Ok(answers)
}
