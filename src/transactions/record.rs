//! Recording transactions: each item is checked, known by its source and external id, and counted once; the totals of the
//! customer-months it touches are kept up to date in the same database transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use super::model::{Definitions, Line, MAX_LINES, QUANTITY, in_unit, not_negative};
use super::products::{MAX_CODE, Product, check_text};
use super::store::{self, Known, Transaction};
use super::totals;
use crate::Id;
use crate::customers::store::{self as customer_store, subjects::Change};
use crate::customers::texts::decimal;
use crate::db::{self, Conn, Failure, transaction};
use crate::faults::{Fault, Told, did_you_mean, enough, excerpt, pointer_segment};

/// Items of one database transaction.
const CHUNK: usize = 500;
/// Longest external id, in characters.
pub(super) const MAX_EXTERNAL_ID: usize = 200;
/// Longest order reference, in characters.
const MAX_ORDER: usize = 128;

/// A transaction as it is sent.
#[derive(Clone, Debug, Default)]
pub struct NewTransaction {
    /// The system it comes from.
    pub source: String,
    /// Its id in that system.
    pub external_id: String,
    /// Its kind.
    pub kind: String,
    /// Code of the customer.
    pub customer_code: String,
    /// When: an instant with zone, a local time or a date.
    pub occurred_at: String,
    /// The order it belongs to; itself when absent.
    pub order: Option<String>,
    /// Revision, where the source counts them: a lower one than the one known is outdated.
    pub revision: Option<i64>,
    /// Whether it is cancelled.
    pub cancelled: bool,
    /// Its lines.
    pub lines: Vec<NewLine>,
}

/// A line as it is sent.
#[derive(Clone, Debug, Default)]
pub struct NewLine {
    /// Product code, for kinds with products.
    pub product: Option<String>,
    /// Value of each measure, as decimal text.
    pub measures: BTreeMap<String, String>,
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is new.
    Created(Id),
    /// It was known with the same content.
    Unchanged(Id),
    /// It was known with another content, and has this one now.
    Corrected(Id),
    /// Its revision is lower than the one known: nothing changed.
    Outdated(Id),
    /// It has faults: nothing was recorded.
    Refused(Vec<Fault>),
}

/// The circumstances in which transactions are recorded and read.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Kinds, measures and metrics.
    pub definitions: Arc<Definitions>,
    /// Those of them that are about customers.
    pub customer_definitions: Arc<Definitions>,
    /// The zone of business dates.
    pub time_zone: TimeZone,
    /// Nothing may be dated later.
    pub business_date: Date,
    /// Metrics that a policy reads: what none of them counts makes nobody due.
    pub read: BTreeSet<String>,
    /// Number of the basis that says so.
    pub basis: i64,
}

/// How items are recorded.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether nothing is kept: the answers are what they would be.
    pub dry_run: bool,
    /// Products that the sender describes, by code.
    pub described: BTreeMap<String, Product>,
}

/// Why transactions could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A dry run rolled back, with the answers.
    #[error("nothing was to be kept")]
    Dry(Vec<Recorded>),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}

/// An item that has passed the checks which need no database.
struct Checked {
    index: usize,
    item: NewTransaction,
    occurred_on: Date,
    occurred_at: Option<Timestamp>,
    lines: Vec<Line>,
    digest: Vec<u8>,
}

/// Records items in chunks, each chunk in one transaction, and gives the answer for each item in their order. Sending items again is safe.
pub fn record(
    conn: &mut Conn,
    rules: &Rules,
    items: Vec<NewTransaction>,
    options: &Options,
) -> Result<Vec<Recorded>, Error> {
    let mut answers: Vec<Option<Recorded>> = vec![None; items.len()];
    let mut answer = |index: usize, recorded: Recorded| {
        if let Some(slot) = answers.get_mut(index) {
            *slot = Some(recorded);
        }
    };
    let (mut checked, mut told) = (Vec::new(), Told::default());
    for (index, item) in items.into_iter().enumerate() {
        match rules.check(index, item) {
            Ok(item) => checked.push(item),
            Err(faults) => answer(index, Recorded::Refused(told.of(faults))),
        }
    }
    let customers = find_customers(conn, &checked)?;
    let mut products = find_products(conn, &checked)?;
    products.extend(options.described.clone());
    let mut ready = Vec::new();
    for mut item in checked {
        match resolve(&mut item, &customers, &products) {
            Ok(customer_id) => ready.push((customer_id, item)),
            Err(faults) => answer(item.index, Recorded::Refused(told.of(faults))),
        }
    }
    let sent = |(_, one): &(Id, Checked)| (one.item.source.clone(), one.item.external_id.clone());
    for chunk in chunks(ready, sent, |(customer_id, one)| (customer_id.shard(), *customer_id, one.index)) {
        let mut owners = BTreeSet::new();
        let work = |conn: &mut Conn| record_chunk(conn, rules, &chunk, &mut owners, options.dry_run);
        let recorded = match transaction(conn, work) {
            Err(Error::Dry(recorded)) => recorded,
            result => result?,
        };
        for ((_, item), recorded) in chunk.iter().zip(recorded) {
            answer(item.index, recorded);
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Chunks of items by their place, in which nothing stands twice: what was sent twice follows, in the order in which it was sent, in a later
/// chunk and finds the first recorded, whomever it names.
pub(super) fn chunks<T, P: Ord>(
    items: Vec<T>,
    key: impl Fn(&T) -> (String, String),
    place: impl Fn(&T) -> P,
) -> Vec<Vec<T>> {
    let mut sent: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut rounds: BTreeMap<usize, Vec<T>> = BTreeMap::new();
    for item in items {
        let times = sent.entry(key(&item)).or_default();
        rounds.entry(*times).or_default().push(item);
        *times += 1;
    }
    let mut chunks: Vec<Vec<T>> = Vec::new();
    for mut round in rounds.into_values() {
        round.sort_by_key(&place);
        let mut round = round.into_iter().peekable();
        while round.peek().is_some() {
            chunks.push(round.by_ref().take(CHUNK).collect());
        }
    }
    chunks
}

fn find_customers(conn: &mut Conn, items: &[Checked]) -> Result<BTreeMap<String, Id>, Error> {
    let codes: BTreeSet<&str> = items.iter().map(|checked| checked.item.customer_code.as_str()).collect();
    Ok(customer_store::ids_by_code(conn, &codes.into_iter().collect::<Vec<_>>())?)
}

fn find_products(conn: &mut Conn, items: &[Checked]) -> Result<BTreeMap<String, Product>, Error> {
    let lines = items.iter().flat_map(|checked| &checked.lines);
    let codes: BTreeSet<&str> = lines.filter_map(|line| line.product.as_deref()).collect();
    Ok(store::products_of(conn, &codes)?)
}

/// Finds the customer and the products, whose factors the lines take.
fn resolve(
    checked: &mut Checked,
    customers: &BTreeMap<String, Id>,
    products: &BTreeMap<String, Product>,
) -> Result<Id, Vec<Fault>> {
    let mut faults = Vec::new();
    let customer_id = customers.get(&checked.item.customer_code).copied();
    if customer_id.is_none() {
        let detail = format!("there is no customer with the code '{}'", excerpt(&checked.item.customer_code));
        faults.push(Fault::new("/customer_code", "unknown_customer", detail));
    }
    for (index, line) in checked.lines.iter_mut().enumerate() {
        let Some(code) = &line.product else { continue };
        match products.get(code) {
            Some(product) => {
                line.factor = (product.factor != Decimal::ONE).then_some(product.factor);
                let quantity = line.measures.get(QUANTITY).copied().unwrap_or_default();
                if in_unit(quantity, product.factor).is_none() {
                    let detail =
                        format!("{quantity} times the product's factor {} has too many digits", product.factor);
                    let pointer = format!("/lines/{index}/measures/{QUANTITY}");
                    faults.push(Fault::new(pointer, "too_many_digits", detail));
                }
            }
            None => {
                let detail = format!("there is no product with the code '{}'", excerpt(code));
                faults.push(Fault::new(format!("/lines/{index}/product"), "unknown_product", detail));
            }
        }
    }
    customer_id.filter(|_| faults.is_empty()).ok_or(faults)
}

/// One chunk, in a transaction that the caller has opened. `owners` are customers to lock besides those of the chunk: where an item is
/// known of another one, he is added, for the next attempt.
fn record_chunk(
    conn: &mut Conn,
    rules: &Rules,
    chunk: &[(Id, Checked)],
    owners: &mut BTreeSet<Id>,
    dry_run: bool,
) -> Result<Vec<Recorded>, Error> {
    let keys: Vec<(&str, &str)> =
        chunk.iter().map(|(_, checked)| (checked.item.source.as_str(), checked.item.external_id.as_str())).collect();
    owners.extend(chunk.iter().map(|(customer_id, _)| *customer_id));
    store::lock_customers(conn, owners)?;
    let known = store::known(conn, &keys)?;
    let before = owners.len();
    owners.extend(known.iter().map(|known| known.customer_id));
    if owners.len() > before {
        return Err(db::Error::Transient("an item moves from a customer who isn't locked yet".to_owned()).into());
    }
    let known: BTreeMap<(&str, &str), &Known> =
        known.iter().map(|known| ((known.source.as_str(), known.external_id.as_str()), known)).collect();

    let mut answers = Vec::with_capacity(chunk.len());
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    for (customer_id, checked) in chunk {
        let known = known.get(&(checked.item.source.as_str(), checked.item.external_id.as_str())).copied();
        let recorded = compare(known, checked);
        if matches!(recorded, Recorded::Created(_) | Recorded::Corrected(_)) {
            gone.extend(known);
            new.push(checked.transaction(*customer_id, known));
        }
        answers.push(match (recorded, new.last()) {
            (Recorded::Created(_), Some(new)) => Recorded::Created(new.id),
            (recorded, _) => recorded,
        });
    }
    store::remove(conn, &gone)?;
    totals::keep(conn, &gone, &new)?;
    store::insert(conn, &new).map_err(|error| match error {
        // Another writer has recorded the same item since it was looked up: the next attempt finds it.
        db::Error::Taken => db::Error::Transient("an item was recorded meanwhile".to_owned()),
        error => error,
    })?;
    let places = gone.iter().map(|one| (one.customer_id, one.kind.as_str(), one.occurred_on));
    rules.raise(conn, places.chain(new.iter().map(|one| (one.customer_id, one.kind.as_str(), one.occurred_on))))?;
    if dry_run { Err(Error::Dry(answers)) } else { Ok(answers) }
}

fn compare(known: Option<&Known>, checked: &Checked) -> Recorded {
    match known {
        None => Recorded::Created(Id::NIL),
        Some(known) if checked.item.revision.zip(known.revision).is_some_and(|(sent, known)| sent < known) => {
            Recorded::Outdated(known.id)
        }
        Some(known) if known.digest == checked.digest => Recorded::Unchanged(known.id),
        Some(known) => Recorded::Corrected(known.id),
    }
}

impl Checked {
    fn transaction(&self, customer_id: Id, known: Option<&Known>) -> Transaction {
        let now = Timestamp::now();
        let item = &self.item;
        Transaction {
            id: known.map_or_else(Id::new, |known| known.id),
            customer_id,
            source: item.source.clone(),
            external_id: item.external_id.clone(),
            kind: item.kind.clone(),
            order: item.order.clone().unwrap_or_else(|| item.external_id.clone()),
            occurred_on: self.occurred_on,
            occurred_at: self.occurred_at,
            revision: item.revision.or(known.and_then(|known| known.revision)),
            cancelled: item.cancelled,
            digest: self.digest.clone(),
            lines: self.lines.clone(),
            created_at: known.map_or(now, |known| known.created_at),
            updated_at: now,
        }
    }
}

impl Rules {
    /// Raises the sequences of customers of whom transactions or observations of these kinds and days have changed.
    pub(super) fn raise<'a>(
        &self,
        conn: &mut Conn,
        places: impl Iterator<Item = (Id, &'a str, Date)>,
    ) -> Result<(), db::Error> {
        let mut changes = BTreeMap::new();
        for (customer_id, kind, on) in places {
            let change = if self.reads(kind, on) { Change::Read } else { Change::Unread };
            let known = changes.entry(customer_id).or_insert(change);
            *known = change.max(*known);
        }
        customer_store::subjects::raise(conn, self.basis, &changes)
    }

    /// Whether a policy reads a metric that counts transactions or observations of this kind on this day, as of the business date.
    fn reads(&self, kind: &str, on: Date) -> bool {
        let metrics = self.read.iter().filter_map(|key| self.definitions.metrics.get(key));
        metrics.into_iter().any(|metric| self.definitions.counts(metric, kind, on, self.business_date))
    }

    /// The checks that need no database: all faults of the item at once, unless they are [`enough`].
    fn check(&self, index: usize, mut item: NewTransaction) -> Result<Checked, Vec<Fault>> {
        let mut faults = Vec::new();
        for (pointer, text, max) in [
            ("/source", &mut item.source, MAX_CODE),
            ("/external_id", &mut item.external_id, MAX_EXTERNAL_ID),
            ("/customer_code", &mut item.customer_code, MAX_CODE),
        ] {
            faults.extend(check_text(pointer, text, max).err());
            *text = text.trim().to_owned();
        }
        if let Some(order) = &mut item.order {
            faults.extend(check_text("/order", order, MAX_ORDER).err());
            *order = order.trim().to_owned();
        } else if item.external_id.chars().count() > MAX_ORDER {
            let detail = format!("an external id of more than {MAX_ORDER} characters needs an order of its own");
            faults.push(Fault::new("/order", "required", detail));
        }
        let occurred = self.occurred(&item.occurred_at).map_err(|fault| faults.push(fault)).ok();
        let lines = self.lines(&item, &mut faults);
        match occurred {
            Some((occurred_on, occurred_at)) if faults.is_empty() => {
                let digest = digest(&item, (occurred_on, occurred_at), &lines);
                Ok(Checked { index, item, occurred_on, occurred_at, lines, digest })
            }
            _ => Err(faults),
        }
    }

    /// The business date of a time, in the pack's zone, and its instant unless only a date was sent.
    fn occurred(&self, text: &str) -> Result<(Date, Option<Timestamp>), Fault> {
        let text = text.trim();
        let unreadable = || {
            let detail = format!(
                "'{}' is neither a date (2018-01-31), nor a local time (2018-01-31T09:30:00), nor an instant (2018-01-31T09:30:00+08:00)",
                excerpt(text)
            );
            Fault::new("/occurred_at", "date", detail)
        };
        let (date, instant) = if text.len() == 10 {
            (text.parse::<Date>().map_err(|_| unreadable())?, None)
        } else if let Ok(instant) = text.parse::<Timestamp>() {
            (instant.to_zoned(self.time_zone.clone()).date(), Some(instant))
        } else {
            let local: DateTime = text.parse().map_err(|_| unreadable())?;
            let zoned: Zoned = local.to_zoned(self.time_zone.clone()).map_err(|_| unreadable())?;
            (zoned.date(), Some(zoned.timestamp()))
        };
        if !(1900..=9998).contains(&date.year()) {
            return Err(unreadable());
        }
        if date > self.business_date {
            let detail = format!(
                "{date} is after the business date {}; where that is a fixed setting (business_date), it can be moved",
                self.business_date
            );
            return Err(Fault::new("/occurred_at", "after_business_date", detail));
        }
        Ok((date, instant))
    }

    fn lines(&self, item: &NewTransaction, faults: &mut Vec<Fault>) -> Vec<Line> {
        let Some(kind) = self.definitions.kinds.get(&item.kind) else {
            let kinds = || self.definitions.kinds.keys().map(String::as_str);
            let hint = did_you_mean(&item.kind, kinds());
            let names = kinds().collect::<Vec<_>>().join(", ");
            let detail = format!("'{}' is not a kind of this pack; kinds are {names}{hint}", excerpt(&item.kind));
            faults.push(Fault::new("/kind", "unknown_kind", detail));
            return Vec::new();
        };
        if !(1..=MAX_LINES).contains(&item.lines.len()) {
            let detail = format!("{} lines are sent; a transaction has 1 to {MAX_LINES}", item.lines.len());
            faults.push(Fault::new("/lines", "out_of_range", detail));
            return Vec::new();
        }
        let mut lines = Vec::with_capacity(item.lines.len());
        for (index, sent) in item.lines.iter().enumerate() {
            if enough(faults) {
                break;
            }
            let at = format!("/lines/{index}");
            let product = sent.product.as_deref().map(str::trim).filter(|code| !code.is_empty()).map(str::to_owned);
            match (&product, kind.products) {
                (None, true) => faults.push(Fault::new(format!("{at}/product"), "required", "a line names a product")),
                (Some(_), false) => {
                    let detail = format!("the kind '{}' has no products", item.kind);
                    faults.push(Fault::new(format!("{at}/product"), "no_products", detail));
                }
                _ => {}
            }
            let measures = self.measures(&item.kind, sent, &at, faults);
            lines.push(Line { product, factor: None, measures });
        }
        lines
    }

    fn measures(&self, kind: &str, sent: &NewLine, at: &str, faults: &mut Vec<Fault>) -> BTreeMap<String, Decimal> {
        let declared = self.definitions.measures(kind);
        let mut measures = BTreeMap::new();
        if sent.measures.is_empty() {
            let detail = format!("a line states at least one of {}", declared.join(", "));
            faults.push(Fault::new(format!("{at}/measures"), "required", detail));
        }
        for (measure, text) in &sent.measures {
            if enough(faults) {
                break;
            }
            let pointer = format!("{at}/measures{}", pointer_segment(measure));
            if !declared.contains(measure) {
                let hint = did_you_mean(measure, declared.iter().map(String::as_str));
                let detail = format!("the kind '{kind}' has no measure '{}'{hint}", excerpt(measure));
                faults.push(Fault::new(pointer, "unknown_measure", detail));
                continue;
            }
            match decimal(text).and_then(|value| not_negative(measure, value)) {
                Ok(value) => drop(measures.insert(measure.clone(), value)),
                Err((code, detail)) => faults.push(Fault::new(pointer, code, detail)),
            }
        }
        measures
    }
}

/// SHA-256 of what was sent, whatever its spelling.
fn digest(item: &NewTransaction, occurred: (Date, Option<Timestamp>), lines: &[Line]) -> Vec<u8> {
    let content = serde_json::json!([
        item.kind,
        item.customer_code,
        occurred,
        item.order,
        item.cancelled,
        item.revision,
        lines.iter().map(|line| (&line.product, &line.measures)).collect::<Vec<_>>(),
    ]);
    Sha256::digest(content.to_string().as_bytes()).to_vec()
}
