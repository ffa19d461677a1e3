//! The outbox in the database. Each shard counts its events in the transaction that adds them, so that they are numbered in
//! the order of commits and a reader who goes on after a number misses none.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types;
use jiff::Timestamp;

use super::model::{Event, EventKind};
use crate::Id;
use crate::db::bulk::Insert;
use crate::db::id::SHARDS;
use crate::db::schema::{event_shards, events};
use crate::db::{Conn, Error, Result};

/// Where events stand that are nobody's own; those of one customer stand in his shard, in their order.
const GENERAL: u8 = SHARDS;
/// Where there are events.
pub const ALL_SHARDS: std::ops::RangeInclusive<u8> = 0..=GENERAL;
/// Events that are deleted in one transaction.
const PIECE: i64 = 1000;

/// Adds events; the caller has the transaction.
pub fn append(conn: &mut Conn, added: &[Event]) -> Result<()> {
    let mut by_shard: BTreeMap<u8, Vec<&Event>> = BTreeMap::new();
    for event in added {
        by_shard.entry(event.customer_id.map_or(GENERAL, Id::shard)).or_default().push(event);
    }
    let columns = ["shard", "seq", "id", "kind", "customer_id", "occurred_at", "content"];
    let mut insert = Insert::into("events", &columns, "");
    for (shard, events) in by_shard {
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let mut counter =
            Insert::into("event_shards", &["shard", "seq"], " ON DUPLICATE KEY UPDATE seq = seq + VALUES(seq)");
        counter.value(shard).value(count);
        counter.end_row();
        counter.execute(conn)?;
        let last: i64 = event_shards::table.find(shard).select(event_shards::seq).first(conn)?;
        for (seq, event) in (last - count + 1..).zip(events) {
            let content = serde_json::to_string(&event.content).map_err(|error| Error::corrupt("event", error))?;
            insert.value(shard).value(seq).value(event.id).value(event.kind.key());
            insert.value(event.customer_id).value(event.occurred_at).value(content);
            insert.end_row();
        }
    }
    insert.execute(conn)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = events)]
struct EventRow {
    shard: u8,
    seq: i64,
    id: Id,
    kind: String,
    customer_id: Option<Id>,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    occurred_at: Timestamp,
    content: String,
}

impl EventRow {
    fn read(self) -> Result<(u8, i64, Event)> {
        let event = Event {
            id: self.id,
            kind: EventKind::from_key(&self.kind).ok_or_else(|| Error::Corrupt("an event's kind".to_owned()))?,
            customer_id: self.customer_id,
            occurred_at: self.occurred_at,
            content: serde_json::from_str(&self.content).map_err(|error| Error::corrupt("event", error))?,
        };
        Ok((self.shard, self.seq, event))
    }
}

/// Events after a number in each shard, with their places; a shard that isn't named begins at its first.
pub fn after(conn: &mut Conn, seen: &BTreeMap<u8, i64>, limit: i64) -> Result<Vec<(u8, i64, Event)>> {
    let beyond: Vec<(u8, i64)> = event_shards::table
        .select((event_shards::shard, event_shards::seq))
        .load::<(u8, i64)>(conn)?
        .into_iter()
        .filter_map(|(shard, last)| {
            let seen = seen.get(&shard).copied().unwrap_or_default();
            (last > seen).then_some((shard, seen))
        })
        .collect();
    if beyond.is_empty() {
        return Ok(Vec::new());
    }
    let conditions: Vec<String> =
        beyond.iter().map(|(shard, seen)| format!("(shard = {shard} AND seq > {seen})")).collect();
    let rows: Vec<EventRow> = events::table
        .filter(diesel::dsl::sql::<sql_types::Bool>(&conditions.join(" OR ")))
        .order((events::shard, events::seq))
        .limit(limit)
        .select(EventRow::as_select())
        .load(conn)?;
    rows.into_iter().map(EventRow::read).collect()
}

/// Deletes the first events of a shard that happened before an instant, a bounded number. Whether there may be more.
pub fn delete_before(conn: &mut Conn, shard: u8, before: Timestamp) -> Result<bool> {
    let first: Vec<(i64, jiff_diesel::Timestamp)> = events::table
        .filter(events::shard.eq(shard))
        .order(events::seq)
        .limit(PIECE)
        .select((events::seq, events::occurred_at))
        .load(conn)?;
    let old = first.iter().take_while(|(_, at)| at.to_jiff() < before);
    let Some((last, _)) = old.last() else { return Ok(false) };
    diesel::delete(events::table.filter(events::shard.eq(shard).and(events::seq.le(*last)))).execute(conn)?;
    Ok(true)
}
