//! Who may do what: users, passwords, access tokens and permissions.

pub mod api;
pub mod model;
pub mod passwords;
pub mod sign_in;
pub mod store;
pub mod tokens;
