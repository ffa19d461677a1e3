//! Lists: a page has items and, if there are more, the opaque cursor of the next one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::faults::Fault;

/// Items of a page when the client doesn't say.
pub const DEFAULT_LIMIT: u32 = 50;
/// Most items of a page.
pub const MAX_LIMIT: u32 = 500;

/// The parameters of every list, for the API's description.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParameters {
    /// Where the page begins, as `next_cursor` of the page before gave it.
    #[param(nullable = false, min_length = 1, max_length = 2000, example = "WyJYMTciXQ")]
    pub cursor: Option<String>,
    /// Items of the page; 50 when absent.
    #[param(nullable = false, minimum = 1, maximum = 500, example = 50)]
    pub limit: Option<u32>,
}

/// The cursor after an item: whatever the list sorts by.
pub fn cursor(position: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).unwrap_or_default())
}

/// Reads a cursor back.
pub fn position<T: DeserializeOwned>(cursor: &str) -> Result<T, Fault> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| Fault::new("cursor", "cursor", "the cursor is not one that a list with these parameters gave"))
}

/// Reads `limit`: 1 to 500.
pub fn limit(text: &str) -> Result<u32, Fault> {
    text.parse()
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| Fault::new("limit", "out_of_range", format!("'{text}' is not a number from 1 to {MAX_LIMIT}")))
}

/// Cuts a list that was read with one item more than asked for, and gives the cursor if there is more.
pub fn page<T>(mut items: Vec<T>, limit: u32, cursor_after: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if items.len() <= limit {
        return (items, None);
    }
    items.truncate(limit);
    let next = items.last().map(cursor_after);
    (items, next)
}
