//! The bonus pool of an area for a month: a share of what was collected of its customers, divided by the signed scores of those who served it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::evaluate::{Error, ended, impossible, staffing};
use super::model::{BonusPool, EvaluationStatus, Share, StaffEvaluation, divide, pool};
use super::store;
use crate::Id;
use crate::customers::model::Value;
use crate::customers::selection::Outcomes;
use crate::customers::{self, list};
use crate::db::{Conn, Subjects, transaction};
use crate::employees::store as employees;
use crate::faults::{Fault, did_you_mean, excerpt};
use crate::policy::pack::Staffing;
use crate::releases::active::Active;
use crate::releases::model::By;
use crate::transactions::metrics::Gathering;
use crate::transactions::model::{Definitions, Month, Period};
use crate::transactions::store::categories;

/// Customers of an area who are looked up at a time.
const PAGE: &str = "500";
/// Customers of a shard whose payments are summed at a time.
const PIECE: usize = 500;

/// Distributes the pool of an area for a month for the first time.
///
/// # Errors
/// The pack has no such area, the month hasn't ended, the pool is distributed already, or as [`correct`].
pub fn distribute(
    conn: &mut Conn,
    active: &Active,
    (by, user_id): (&By, Id),
    area: &str,
    period: Date,
) -> Result<BonusPool, Error> {
    let staffing = staffing(active)?;
    let days = ended(active, period)?;
    let areas = active.release.pack.areas().unwrap_or_default();
    if !areas.iter().any(|known| known == area) {
        let hint = did_you_mean(area, areas.iter().map(String::as_str));
        let detail = format!("'{}' is no area{hint}", excerpt(area));
        return Err(Error::Invalid(vec![Fault::new("/area", "unknown_choice", detail)]));
    }
    write(conn, active, staffing, (by, user_id), (area, days), None)
}

/// Distributes a pool once more, because evaluations or payments were corrected: a new one that names it.
///
/// # Errors
/// There is no such pool, another one corrects it, somebody who served the area has no signed evaluation, or the scores sum
/// to 0 though there is something to distribute.
pub fn correct(
    conn: &mut Conn,
    active: &Active,
    (by, user_id): (&By, Id),
    id: Id,
    reason: &str,
) -> Result<BonusPool, Error> {
    let staffing = staffing(active)?;
    let before = store::pool(conn, id)?.ok_or(Error::NotFound)?;
    let days = Month::of(before.period).period();
    write(conn, active, staffing, (by, user_id), (&before.area, days), Some((id, reason)))
}

fn write(
    conn: &mut Conn,
    active: &Active,
    staffing: &Staffing,
    (by, user_id): (&By, Id),
    (area, days): (&str, Period),
    corrects: Option<(Id, &str)>,
) -> Result<BonusPool, Error> {
    let collected = collected(conn, active, staffing, area, days)?;
    let amount = pool(collected, staffing.share)
        .ok_or_else(|| impossible("/area", format!("{collected} is more than can be distributed")))?;
    transaction(conn, |conn| {
        let mut shares = shares(conn, area, days)?;
        let current = store::current_pool(conn, area, days.from)?;
        if current != corrects.map(|(id, _)| id) {
            return Err(Error::Conflict(
                "the pool is distributed already; its last version can be corrected".to_owned(),
            ));
        }
        let scores: Vec<Decimal> = shares.iter().map(|share| share.score).collect();
        let parts = divide(amount, &scores).ok_or_else(|| {
            impossible("/period", format!("the scores sum to 0, so that {amount} can't be divided by them"))
        })?;
        for (share, part) in shares.iter_mut().zip(parts) {
            share.amount = part;
        }
        let distributed = BonusPool {
            id: Id::new(),
            area: area.to_owned(),
            period: days.from,
            collected,
            share: staffing.share,
            amount,
            currency: active.release.pack.currency.clone(),
            shares,
            user_id,
            author: by.name.clone(),
            created_at: Timestamp::now(),
            corrects: corrects.map(|(id, _)| id),
            reason: corrects.map(|(_, reason)| reason.to_owned()),
            corrected: false,
        };
        store::insert_pool(conn, &distributed)?;
        Ok(distributed)
    })
}

/// Who served an area on the last day of a month, by code, with the scores of what both persons signed; nobody has an amount yet. Locks them.
fn shares(conn: &mut Conn, area: &str, days: Period) -> Result<Vec<Share>, Error> {
    let served = employees::of_area(conn, area, days.to)?;
    if served.is_empty() {
        return Err(impossible("/area", "nobody served the area on the last day of the month".to_owned()));
    }
    let (mut shares, mut unsigned) = (Vec::new(), Vec::new());
    for found in served {
        let Some(employee) = employees::lock(conn, found.id)? else { continue };
        let counts =
            |evaluation: &StaffEvaluation| evaluation.status() == EvaluationStatus::Signed && evaluation.area == area;
        match store::current_evaluation(conn, employee.id, days.from)?.filter(counts) {
            Some(evaluation) => shares.push(Share {
                employee_id: employee.id,
                code: employee.code,
                name: employee.name,
                evaluation_id: evaluation.id,
                score: evaluation.score,
                amount: Decimal::ZERO,
            }),
            None => unsigned.push(employee.code),
        }
    }
    if unsigned.is_empty() {
        return Ok(shares);
    }
    let said = "these have no evaluation for the month, in this area, that both persons signed";
    Err(impossible("/area", format!("{said}: {}", unsigned.join(", "))))
}

/// What was collected in a month of all customers of an area, whatever their status.
fn collected(
    conn: &mut Conn,
    active: &Active,
    staffing: &Staffing,
    area: &str,
    days: Period,
) -> Result<Decimal, Error> {
    let pack = &active.release.pack;
    let mut definitions = Definitions::clone(&pack.customer_definitions);
    definitions.metrics.retain(|key, _| *key == staffing.collected);
    let (as_of, known_until) = (Month::of(days.from).plus(1).period().from, active.basis.business_date);
    let categories = categories(conn)?;
    let gathering = Gathering { definitions: &definitions, categories: &categories, as_of, known_until };
    let mut parameters: Vec<(String, String)> = [(format!("field[{}]", staffing.by), area), ("limit".to_owned(), PAGE)]
        .map(|(name, value)| (name, value.to_owned()))
        .into();
    let own = parameters.len();
    let mut by_shard: BTreeMap<u8, Vec<Id>> = BTreeMap::new();
    loop {
        let page = list::list(conn, (&pack.fields, &Outcomes::default()), &parameters);
        let (customers, next) = page.map_err(|error| match error {
            customers::error::Error::Database(error) => Error::Database(error),
            other => impossible("/area", other.to_string()),
        })?;
        for customer in customers {
            by_shard.entry(customer.id.shard()).or_default().push(customer.id);
        }
        let Some(next) = next else { break };
        parameters.truncate(own);
        parameters.push(("cursor".to_owned(), next));
    }
    let mut sum = Decimal::ZERO;
    for ids in by_shard.values().flat_map(|ids| ids.chunks(PIECE)) {
        let ledgers = gathering.ledgers(conn, Subjects::Listed(ids), ids)?;
        let metrics = ledgers.values().flat_map(|ledger| gathering.values(ledger, None));
        sum += metrics.filter_map(|(_, metric)| number(metric.value)).sum::<Decimal>();
    }
    Ok(sum)
}

fn number(value: Option<Value>) -> Option<Decimal> {
    if let Some(Value::Number(number)) = value { Some(number) } else { None }
}
