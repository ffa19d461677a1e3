//! Who may do what: users, roles, passwords, sessions, tokens and permissions.

pub mod access;
pub mod api;
pub mod attempts;
pub mod error;
pub mod idempotency;
pub mod keys;
pub mod model;
pub mod passwords;
pub mod roles;
pub mod secret;
pub mod sign_in;
pub mod store;
pub mod tokens;
pub mod users;
