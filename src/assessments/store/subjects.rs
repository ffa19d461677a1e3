//! Customers as subjects: reading those who are to be assessed, what is known of each, and the leases under which due work is
//! taken.

use std::collections::{BTreeMap, BTreeSet};

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::{self, Datetime, Nullable};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::{NullableDate, ToDiesel};

use super::{lease_end, read_digest, utc_now};
use crate::Id;
use crate::assessments::model::Owner;
use crate::customers::store::subjects::DUE_NOW;
use crate::db::bulk::Insert;
use crate::db::id::SHARDS;
use crate::db::schema::{customers, due_shards, outcomes, subjects};
use crate::db::{Conn, Result, Subjects};
use crate::digest::Digest;
use crate::policy::model::Previous;

/// How long a shard rests.
const REST_MICROSECONDS: u32 = 250_000;

/// A customer as he is read to be assessed.
pub struct LeanCustomer {
    /// His id.
    pub id: Id,
    /// His code.
    pub code: String,
    /// His profile as it is stored: it may be broken.
    pub profile: String,
    /// Whether he is active.
    pub is_active: bool,
    /// The sequence of his inputs when he was read.
    pub input_seq: i64,
    /// The basis up to which he has passed all closings.
    pub closed_to: i64,
}

/// A customer, active or not.
pub fn lean_customer(conn: &mut Conn, id: Id) -> Result<Option<LeanCustomer>> {
    let row: Option<LeanRow> =
        lean().filter(customers::shard.eq(id.shard()).and(customers::id.eq(id))).first(conn).optional()?;
    Ok(row.map(read_lean))
}

/// The active customers of a shard after an id, by id.
pub fn customers_page(conn: &mut Conn, shard: u8, after: Id, limit: i64) -> Result<Vec<LeanCustomer>> {
    let rows: Vec<LeanRow> = lean()
        .filter(customers::shard.eq(shard).and(customers::id.gt(after)).and(customers::status.eq(ACTIVE)))
        .order(customers::id)
        .limit(limit)
        .load(conn)?;
    Ok(rows.into_iter().map(read_lean).collect())
}

/// The customers of a page as one stretch of a shard: those between them are inactive.
pub fn stretch(page: &[LeanCustomer]) -> Subjects<'static> {
    match page {
        [first, .., last] => Subjects::Between(first.id, last.id),
        [only] => Subjects::Between(only.id, only.id),
        [] => Subjects::Listed(&[]),
    }
}

/// Customers of a shard who are due as of a date.
pub fn due_customers(conn: &mut Conn, shard: u8, as_of: Date, limit: i64) -> Result<Vec<LeanCustomer>> {
    let due: Vec<Id> = subjects::table
        .filter(subjects::shard.eq(shard).and(subjects::next_due_on.le(as_of.to_diesel())))
        .order(subjects::next_due_on)
        .limit(limit)
        .select(subjects::customer_id)
        .load(conn)?;
    let rows: Vec<LeanRow> =
        lean().filter(customers::shard.eq(shard).and(customers::id.eq_any(due))).order(customers::id).load(conn)?;
    Ok(rows.into_iter().map(read_lean).collect())
}

/// What is selected of a customer who is to be assessed.
pub(super) type LeanRow = (Id, String, String, String, i64, i64);

pub(super) const ACTIVE: &str = "active";

#[diesel::dsl::auto_type(no_type_alias)]
pub(super) fn lean() -> _ {
    let same: diesel::dsl::And<
        diesel::dsl::Eq<subjects::shard, customers::shard>,
        diesel::dsl::Eq<subjects::customer_id, customers::id>,
    > = subjects::shard.eq(customers::shard).and(subjects::customer_id.eq(customers::id));
    customers::table.inner_join(subjects::table.on(same)).select((
        customers::id,
        customers::code,
        customers::profile,
        customers::status,
        subjects::input_seq,
        subjects::closed_to,
    ))
}

pub(super) fn read_lean((id, code, profile, status, input_seq, closed_to): LeanRow) -> LeanCustomer {
    LeanCustomer { id, code, profile, is_active: status == ACTIVE, input_seq, closed_to }
}

/// Shards in which somebody is due as of a date.
pub fn due_shards(conn: &mut Conn, as_of: Date) -> Result<Vec<u8>> {
    // A list of all shards lets the server jump from one to the next in the index.
    let all: Vec<u8> = (0..SHARDS).collect();
    Ok(subjects::table
        .filter(subjects::shard.eq_any(all).and(subjects::next_due_on.le(as_of.to_diesel())))
        .select(subjects::shard)
        .distinct()
        .load(conn)?)
}

/// Number of customers who are due as of a date.
pub fn count_due(conn: &mut Conn, as_of: Date) -> Result<i64> {
    let all: Vec<u8> = (0..SHARDS).collect();
    let due = subjects::table.filter(subjects::shard.eq_any(all).and(subjects::next_due_on.le(as_of.to_diesel())));
    Ok(due.count().get_result(conn)?)
}

/// Whether somebody is due whom time alone has made so.
pub fn has_aged(conn: &mut Conn, as_of: Date) -> Result<bool> {
    let all: Vec<u8> = (0..SHARDS).collect();
    let due = subjects::table
        .filter(subjects::shard.eq_any(all).and(subjects::next_due_on.le(as_of.to_diesel())))
        .filter(subjects::next_due_on.gt(DUE_NOW.to_diesel()));
    Ok(diesel::select(diesel::dsl::exists(due)).get_result(conn)?)
}

/// Whether somebody who is due has a closing before him.
pub fn has_closing_due(conn: &mut Conn, as_of: Date, closing: i64) -> Result<bool> {
    let all: Vec<u8> = (0..SHARDS).collect();
    let due = subjects::table
        .filter(subjects::shard.eq_any(all).and(subjects::next_due_on.le(as_of.to_diesel())))
        .filter(subjects::closed_to.lt(closing));
    Ok(diesel::select(diesel::dsl::exists(due)).get_result(conn)?)
}

/// Number of active customers.
pub fn count_active(conn: &mut Conn) -> Result<u64> {
    let count: i64 = customers::table.filter(customers::status.eq("active")).count().get_result(conn)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// What is known of a customer as a subject.
#[derive(Clone, Debug)]
pub struct SubjectState {
    /// The sequence of his inputs.
    pub input_seq: i64,
    /// The basis up to which he has passed all closings.
    pub closed_to: i64,
    /// His latest assessment with its digest.
    pub latest: Option<(Id, Digest)>,
    /// Number of the basis on which that one was last confirmed; 0 when there is none.
    pub basis: i64,
}

type SubjectRow = (Id, i64, i64, Option<Id>, Option<Vec<u8>>, i64);

/// Locks customers as subjects, in the order of ids, so that their inputs and outcomes stay until the transaction ends.
pub fn lock_subjects(conn: &mut Conn, of: Subjects<'_>) -> Result<BTreeMap<Id, SubjectState>> {
    let Some(of) = of.condition("customer_id") else { return Ok(BTreeMap::new()) };
    let rows: Vec<SubjectRow> = subjects::table
        .filter(of)
        .order(subjects::customer_id)
        .select((
            subjects::customer_id,
            subjects::input_seq,
            subjects::closed_to,
            subjects::assessment_id,
            subjects::digest,
            subjects::basis_number,
        ))
        .for_update()
        .load(conn)?;
    rows.into_iter()
        .map(|(id, input_seq, closed_to, assessment_id, digest, basis)| {
            let digest = digest.map(|digest| read_digest(&digest)).transpose()?;
            Ok((id, SubjectState { input_seq, closed_to, latest: assessment_id.zip(digest), basis }))
        })
        .collect()
}

/// Id of the last assessment of a customer.
pub fn latest_id(conn: &mut Conn, customer_id: Id) -> Result<Option<Id>> {
    let found = subjects::table.find((customer_id.shard(), customer_id)).select(subjects::assessment_id);
    Ok(found.first::<Option<Id>>(conn).optional()?.flatten())
}

/// What an assessment in force leaves in its subject.
pub struct Confirmed {
    /// The customer.
    pub customer_id: Id,
    /// The assessment that holds.
    pub assessment_id: Id,
    /// Its digest.
    pub digest: Digest,
    /// The sequence of his inputs, which stays.
    pub input_seq: i64,
    /// When time alone makes him due again.
    pub next_due_on: Date,
}

/// Notes the assessment that holds for customers whom the transaction has locked, on a basis whose closings they have passed.
pub fn confirm(conn: &mut Conn, confirmed: &[Confirmed], basis: i64, confirmed_at: Timestamp) -> Result<()> {
    let columns = [
        "shard",
        "customer_id",
        "input_seq",
        "closed_to",
        "next_due_on",
        "assessment_id",
        "basis_number",
        "digest",
        "confirmed_at",
    ];
    let tail = " ON DUPLICATE KEY UPDATE closed_to = VALUES(closed_to), next_due_on = VALUES(next_due_on), \
                assessment_id = VALUES(assessment_id), basis_number = VALUES(basis_number), digest = VALUES(digest), \
                confirmed_at = VALUES(confirmed_at)";
    let mut insert = Insert::into("subjects", &columns, tail);
    for one in confirmed {
        insert.value(one.customer_id.shard()).value(one.customer_id).value(one.input_seq).value(basis);
        insert.value(one.next_due_on).value(one.assessment_id).value(basis);
        insert.value(one.digest.as_bytes()).value(confirmed_at);
        insert.end_row();
    }
    insert.execute(conn)
}

/// Sets when active customers of one shard are due; those who are due never, because they are inactive, stay so.
pub fn set_due(conn: &mut Conn, ids: &[Id], on: Option<Date>) -> Result<()> {
    let Some(of) = Subjects::Listed(ids).condition("customer_id") else { return Ok(()) };
    // Not as a condition: through the index of who is due rows would be locked in another order than elsewhere.
    let unless_never =
        case_when(subjects::next_due_on.is_not_null(), on.to_diesel().into_sql::<Nullable<sql_types::Date>>());
    diesel::update(subjects::table).filter(of).set(subjects::next_due_on.eq(unless_never)).execute(conn)?;
    Ok(())
}

/// What stands of some policies until their next closing, or would without an override.
pub fn closed_outcomes(
    conn: &mut Conn,
    of: Subjects<'_>,
    policies: &BTreeSet<&str>,
) -> Result<BTreeMap<Id, BTreeMap<String, Previous>>> {
    let mut standing: BTreeMap<Id, BTreeMap<String, Previous>> = BTreeMap::new();
    let Some(listed) = of.condition("customer_id").filter(|_| !policies.is_empty()) else { return Ok(standing) };
    let closed = outcomes::table.filter(outcomes::closed_on.is_not_null()).select((
        outcomes::customer_id,
        outcomes::policy,
        outcomes::outcome,
        outcomes::since,
        outcomes::computed,
        outcomes::computed_since,
    ));
    let rows: Vec<(Id, String, String, jiff_diesel::Date, Option<String>, NullableDate)> = match of.only() {
        Some(id) => closed.filter(outcomes::shard.eq(id.shard()).and(outcomes::customer_id.eq(id))).load(conn)?,
        None => closed.filter(listed).filter(outcomes::policy.eq_any(policies)).load(conn)?,
    };
    for (id, policy, outcome, since, computed, computed_since) in rows {
        if policies.contains(policy.as_str()) {
            let since = Option::<Date>::from(computed_since).unwrap_or(since.into());
            let previous = Previous { outcome: computed.unwrap_or(outcome), since };
            standing.entry(id).or_default().insert(policy, previous);
        }
    }
    Ok(standing)
}

/// A shard's due work that a worker holds.
#[derive(Clone, Copy, Debug)]
pub struct DueLease {
    /// The shard.
    pub shard: u8,
    /// Who holds it.
    pub owner: Owner,
    /// The fencing token.
    pub token: i64,
}

/// Takes the due work of one of `shards` that nobody has, the one that has rested longest.
pub fn claim_due_shard(conn: &mut Conn, shards: &[u8], owner: Owner) -> Result<Option<DueLease>> {
    let free = || {
        let ended = due_shards::lease_until.is_null().or(due_shards::lease_until.lt(utc_now().nullable()));
        ended.or(due_shards::owner.eq(Some(owner.id)))
    };
    let found: Option<u8> = due_shards::table
        .filter(due_shards::shard.eq_any(shards).and(free()))
        .order((due_shards::lease_until, due_shards::shard))
        .select(due_shards::shard)
        .first(conn)
        .optional()?;
    let Some(shard) = found else { return Ok(None) };
    let claimed = diesel::update(due_shards::table.find(shard).filter(free()))
        .set((
            due_shards::owner.eq(Some(owner.id)),
            due_shards::token.eq(due_shards::token + 1),
            due_shards::lease_until.eq(lease_end(owner)),
        ))
        .execute(conn)?;
    if claimed == 0 {
        return Ok(None);
    }
    let token = due_shards::table.find(shard).filter(due_shards::owner.eq(Some(owner.id))).select(due_shards::token);
    Ok(Some(DueLease { shard, owner, token: token.first(conn)? }))
}

/// Keeps a shard's due work, in the transaction that writes its results or as a sign of life. False when another worker has it now:
/// roll back.
pub fn keep_due_shard(conn: &mut Conn, lease: DueLease) -> Result<bool> {
    let kept = diesel::update(due_shards::table.find(lease.shard).filter(due_shards::token.eq(lease.token)))
        .set(due_shards::lease_until.eq(lease_end(lease.owner)))
        .execute(conn)?;
    Ok(kept == 1)
}

/// Gives a shard's due work back; one that `rests` can be taken after [`REST_MICROSECONDS`].
pub fn release_due_shard(conn: &mut Conn, lease: DueLease, rests: bool) -> Result<()> {
    let until = format!("IF({rests}, UTC_TIMESTAMP(6) + INTERVAL {REST_MICROSECONDS} MICROSECOND, NULL)");
    let until = diesel::dsl::sql::<Nullable<Datetime>>(&until);
    diesel::update(due_shards::table.find(lease.shard).filter(due_shards::token.eq(lease.token)))
        .set((due_shards::owner.eq(None::<Id>), due_shards::lease_until.eq(until)))
        .execute(conn)?;
    Ok(())
}

/// Sees to it that every shard's due work can be taken.
pub fn open_due_shards(conn: &mut Conn) -> Result<()> {
    let mut insert = Insert::into("due_shards", &["shard", "token"], " ON DUPLICATE KEY UPDATE token = token");
    for shard in 0..SHARDS {
        insert.value(shard).value(0_i64);
        insert.end_row();
    }
    insert.execute(conn)
}
