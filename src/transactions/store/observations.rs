//! Observations in the database: each version of one is a row, of which the last counts.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::ToDiesel;
use rust_decimal::Decimal;

use super::{write_list, write_tuple};
use crate::Id;
use crate::db::bulk::Insert;
use crate::db::schema::observations;
use crate::db::{Conn, Result, Subjects};
use crate::transactions::model::{Observed, Period};

/// A version of an observation as it is kept.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = observations)]
pub struct Observation {
    /// Its id, the same for all versions.
    pub id: Id,
    /// The id of the customer or employee.
    pub subject_id: Id,
    /// Which version it is, from 1.
    pub version: i64,
    /// The system it came from.
    pub source: String,
    /// Its id in that system.
    pub external_id: String,
    /// Its kind.
    pub kind: String,
    /// The day on which it was made.
    #[diesel(deserialize_as = jiff_diesel::Date)]
    pub observed_on: Date,
    /// Its value.
    pub value: Option<Decimal>,
    /// What shows it: a text, an address.
    pub evidence: Option<String>,
    /// Who reported it.
    pub reported_by: Option<String>,
    /// The user who recorded it; the smallest of all ids where a command did.
    pub user_id: Id,
    /// Whether it was taken back: it counts no more.
    pub withdrawn: bool,
    /// Whether a later version has taken its place.
    pub superseded: bool,
    /// SHA-256 of what was sent.
    pub digest: Vec<u8>,
    /// When it was recorded.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub recorded_at: Timestamp,
}

/// The last versions of the observations known by these sources and external ids.
pub fn known_observations(conn: &mut Conn, keys: &[(&str, &str)]) -> Result<Vec<Observation>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut condition = String::from("NOT superseded AND (source, external_id) IN (");
    write_list(&mut condition, keys, |sql, (source, external_id)| write_tuple(sql, &[source, external_id]));
    condition.push(')');
    let known = observations::table.filter(diesel::dsl::sql::<sql_types::Bool>(&condition));
    Ok(known.select(Observation::as_select()).load(conn)?)
}

/// Notes that later versions take the place of these.
pub fn supersede(conn: &mut Conn, earlier: &[&Observation]) -> Result<()> {
    if earlier.is_empty() {
        return Ok(());
    }
    let mut sql = String::from("UPDATE observations SET superseded = TRUE WHERE (shard, subject_id, id, version) IN (");
    write_list(&mut sql, earlier, |sql, one| {
        write_tuple(sql, &[&one.subject_id.shard(), &one.subject_id, &one.id, &one.version]);
    });
    sql.push(')');
    diesel::sql_query(sql).execute(conn)?;
    Ok(())
}

/// Adds versions of observations.
pub fn insert_observations(conn: &mut Conn, new: &[Observation]) -> Result<()> {
    let columns = [
        "shard",
        "subject_id",
        "id",
        "version",
        "source",
        "external_id",
        "kind",
        "observed_on",
        "value",
        "evidence",
        "reported_by",
        "user_id",
        "withdrawn",
        "superseded",
        "digest",
        "recorded_at",
    ];
    let mut insert = Insert::into("observations", &columns, "");
    for one in new {
        insert
            .value(one.subject_id.shard())
            .value(one.subject_id)
            .value(one.id)
            .value(one.version)
            .value(&one.source)
            .value(&one.external_id)
            .value(&one.kind)
            .value(one.observed_on)
            .value(one.value)
            .value(one.evidence.as_deref())
            .value(one.reported_by.as_deref())
            .value(one.user_id)
            .value(one.withdrawn)
            .value(one.superseded)
            .value(&one.digest)
            .value(one.recorded_at);
        insert.end_row();
    }
    insert.execute(conn)
}

/// The observations of customers or employees that count, of kinds within periods, in the order of their days.
pub fn observed(
    conn: &mut Conn,
    of: Subjects<'_>,
    periods: &BTreeMap<&str, Period>,
) -> Result<Vec<(Id, String, Observed)>> {
    let (Some(of), Some(from)) = (of.condition("subject_id"), periods.values().map(|period| period.from).min()) else {
        return Ok(Vec::new());
    };
    let rows: Vec<(Id, String, jiff_diesel::Date, Option<Decimal>)> = observations::table
        .filter(of)
        .filter(observations::superseded.eq(false).and(observations::withdrawn.eq(false)))
        .filter(observations::kind.eq_any(periods.keys()).and(observations::observed_on.ge(from.to_diesel())))
        .order((observations::observed_on, observations::id))
        .select((observations::subject_id, observations::kind, observations::observed_on, observations::value))
        .load(conn)?;
    let read = |(id, kind, on, value): (Id, String, jiff_diesel::Date, Option<Decimal>)| {
        (id, kind, Observed { on: on.to_jiff(), value: value.map(|value| value.normalize()) })
    };
    Ok(rows.into_iter().map(read).collect())
}

/// The observations of a customer or employee that count, of a kind within a period, in the order of their days.
pub fn counted_observations(conn: &mut Conn, subject_id: Id, kind: &str, within: Period) -> Result<Vec<Observation>> {
    Ok(observations::table
        .filter(observations::shard.eq(subject_id.shard()).and(observations::subject_id.eq(subject_id)))
        .filter(observations::superseded.eq(false).and(observations::withdrawn.eq(false)))
        .filter(observations::kind.eq(kind))
        .filter(observations::observed_on.between(within.from.to_diesel(), within.to.to_diesel()))
        .order((observations::observed_on, observations::id))
        .select(Observation::as_select())
        .load(conn)?)
}

/// A page of the observations of a customer or employee, latest first, after the position of the last one seen; `all` has also versions that others have
/// taken the place of.
pub fn observations_page(
    conn: &mut Conn,
    subject_id: Id,
    all: bool,
    after: Option<(Date, Id, i64)>,
    limit: i64,
) -> Result<Vec<Observation>> {
    let mut query = observations::table
        .filter(observations::shard.eq(subject_id.shard()).and(observations::subject_id.eq(subject_id)))
        .order((observations::observed_on.desc(), observations::id.desc(), observations::version.desc()))
        .limit(limit)
        .select(Observation::as_select())
        .into_boxed();
    if !all {
        query = query.filter(observations::superseded.eq(false));
    }
    if let Some((on, id, version)) = after {
        let on = on.to_diesel();
        let same_id = observations::id.eq(id).and(observations::version.lt(version));
        let same_day = observations::observed_on.eq(on).and(observations::id.lt(id).or(same_id));
        query = query.filter(observations::observed_on.lt(on).or(same_day));
    }
    Ok(query.load(conn)?)
}
