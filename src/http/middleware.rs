//! What stands before and behind every handler. The order in which it stands is in `app.rs`.

pub mod answers;
pub mod declared;
pub mod guard;
pub mod origins;
pub mod rate;
