//! Events over HTTP: a list that never ends, followed by its cursor.

use std::collections::BTreeMap;

use actix_web::{get, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{Content, Event, EventKind};
use super::store;
use crate::Id;
use crate::db::Db;
use crate::faults::{Fault, enough};
use crate::http::extract::Parameters;
use crate::http::paging;
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::ReadEvents;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_events);
}

/// Something that has happened.
#[derive(Serialize, ToSchema)]
#[schema(as = Event, example = json!({"id": "01939d3c-8f3e-7a53-9b0e-52b9a5f3c7aa", "type": "outcomes_changed",
    "customer_id": "01939d3c-0000-7a53-9b0e-52b9a5f3c7bb", "occurred_at": "2026-11-21T10:00:00.123456Z",
    "customer_code": "X17", "changes": [{"policy": "volume_grade", "from": "3", "to": "2", "provisional": true}]}))]
pub struct EventView {
    /// Its id: an event that was read twice is known by it.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// What happened.
    #[serde(rename = "type")]
    kind: EventKind,
    /// Whom it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    customer_id: Option<Id>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// What changed.
    #[serde(flatten)]
    content: Content,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            kind: event.kind,
            customer_id: event.customer_id,
            occurred_at: event.occurred_at,
            content: event.content,
        }
    }
}

/// Events after a cursor.
#[derive(Serialize, ToSchema)]
pub struct EventList {
    /// The events; those of one customer in the order in which they happened.
    items: Vec<EventView>,
    /// Where to go on, now or later; always there.
    #[schema(example = "eyI3IjoxMn0")]
    next_cursor: String,
}

/// Follow events
///
/// Everything that happened after a cursor, oldest first; none is left out, whatever happened at the same time, and those of one
/// customer are in the order in which they happened. Ask again with `next_cursor` as `after`; without `after` it begins with the
/// oldest event that is kept. An empty page means that nothing new has happened yet. A change of a standing outcome also ends the
/// provisional one: after it, both are the same until an event says otherwise.
#[utoipa::path(tag = "events", operation_id = "listEvents", security(("bearer" = ["events:read"])), params(
    ("after" = Option<String>, Query, nullable = false, min_length = 1, max_length = 4000, description = "`next_cursor` of the page before", example = "eyI3IjoxMn0"),
    ("limit" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 500, example = 50, description = "Events of the page; 50 when absent"),
), responses(
    (status = 200, body = EventList, description = "A page"),
    Problems
))]
#[get("/v1/events")]
pub async fn list_events(
    _: Permit<ReadEvents>,
    db: web::Data<Db>,
    parameters: Parameters,
) -> Result<web::Json<EventList>, Problem> {
    let mut seen: BTreeMap<u8, i64> = BTreeMap::new();
    let (mut limit, mut faults) = (paging::DEFAULT_LIMIT, Vec::new());
    for (name, value) in &parameters.0 {
        if enough(&faults) {
            break;
        }
        let read = match name.as_str() {
            "after" => paging::position(value)
                .map(|read| seen = read)
                .map_err(|fault| Fault { pointer: "after".to_owned(), ..fault }),
            "limit" => paging::limit(value).map(|read| limit = read),
            _ => Err(Parameters::unknown(name, &["after", "limit"])),
        };
        faults.extend(read.err());
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let known = seen.clone();
    let found = db.run(move |conn| store::after(conn, &known, i64::from(limit))).await?;
    for (shard, seq, _) in &found {
        seen.insert(*shard, *seq);
    }
    let items = found.into_iter().map(|(.., event)| event.into()).collect();
    Ok(web::Json(EventList { items, next_cursor: paging::cursor(&seen) }))
}
