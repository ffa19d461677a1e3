//! The outbox in the database. Each shard counts its events in the transaction that adds them, so that they are numbered in
//! the order of commits and a reader who goes on after a number misses none.

use std::collections::{BTreeMap, VecDeque};

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

/// Where an event stands: its shard and its number in it.
type PlaceRow = (u8, i64, Id);

#[derive(QueryableByName)]
#[diesel(table_name = events)]
struct Place {
    shard: u8,
    seq: i64,
    id: Id,
}

/// Events after a number in each shard, with their places, oldest first; a shard that isn't named begins at its first.
pub fn after(conn: &mut Conn, seen: &BTreeMap<u8, i64>, limit: i64) -> Result<Vec<(u8, i64, Event)>> {
    let places = places_after(conn, seen, limit)?;
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = places.iter().map(|(shard, seq, _)| format!("({shard}, {seq})")).collect();
    let rows: Vec<EventRow> = events::table
        .filter(diesel::dsl::sql::<sql_types::Bool>(&format!("(shard, seq) IN ({})", keys.join(","))))
        .select(EventRow::as_select())
        .load(conn)?;
    let mut read = rows.into_iter().map(|row| ((row.shard, row.seq), row)).collect::<BTreeMap<_, _>>();
    places.iter().filter_map(|(shard, seq, _)| read.remove(&(*shard, *seq))).map(EventRow::read).collect()
}

/// The first places after what was seen. Each shard is in the order of its numbers; among shards the older event comes first.
fn places_after(conn: &mut Conn, seen: &BTreeMap<u8, i64>, limit: i64) -> Result<Vec<PlaceRow>> {
    let shards: Vec<(u8, i64)> = event_shards::table.select((event_shards::shard, event_shards::seq)).load(conn)?;
    let newer = shards.into_iter().filter_map(|(shard, last)| {
        let seen = seen.get(&shard).copied().unwrap_or_default();
        (last > seen).then(|| {
            format!(
                "(SELECT shard, seq, id FROM events WHERE shard = {shard} AND seq > {seen} ORDER BY seq LIMIT {limit})"
            )
        })
    });
    let parts: Vec<String> = newer.collect();
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let mut queues: BTreeMap<u8, VecDeque<Place>> = BTreeMap::new();
    for place in diesel::sql_query(parts.join(" UNION ALL ")).load::<Place>(conn)? {
        queues.entry(place.shard).or_default().push_back(place);
    }
    queues.values_mut().for_each(|queue| queue.make_contiguous().sort_by_key(|place| place.seq));
    let mut places = Vec::new();
    while let Some(queue) =
        queues.values_mut().filter(|queue| !queue.is_empty()).min_by_key(|queue| queue.front().map(|place| place.id))
        && let Some(place) = queue.pop_front()
        && i64::try_from(places.len()).is_ok_and(|count| count < limit)
    {
        places.push((place.shard, place.seq, place.id));
    }
    Ok(places)
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
