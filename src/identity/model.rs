//! Users and the permissions that handlers name in their signatures.

use crate::Id;

/// Name of the administrator that the first start creates.
pub const ADMINISTRATOR: &str = "admin";

/// A user, as signing in needs him.
#[derive(Clone, Debug)]
pub struct User {
    /// His id.
    pub id: Id,
    /// His name at sign-in.
    pub username: String,
    /// Hash of his password, in PHC form.
    pub password_hash: String,
}

/// Something that a user may be allowed to do. Implemented by empty types, so that a handler names it in its signature.
pub trait Permission: 'static {
    /// The permission's name in documents.
    const NAME: &'static str;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        $($(#[$doc])* pub enum $name {} impl Permission for $name { const NAME: &'static str = $text; })+
    };
}

permissions! {
    /// Read the pack that is in force.
    ReadPack = "pack:read",
    /// Read customers, their transactions, metrics and decisions.
    ReadCustomers = "customers:read",
    /// Create and change customers.
    WriteCustomers = "customers:write",
    /// Read products.
    ReadProducts = "products:read",
    /// Create and change products.
    WriteProducts = "products:write",
    /// See imports and their reports.
    ReadImports = "imports:read",
    /// Start and cancel imports.
    WriteImports = "imports:write",
    /// Record transactions.
    WriteTransactions = "transactions:write",
    /// Evaluate without storing.
    Evaluate = "evaluations:create",
    /// Read runs.
    ReadRuns = "runs:read",
    /// Start and cancel runs.
    WriteRuns = "runs:write",
    /// Read releases, cohorts, the basis and closings.
    ReadReleases = "releases:read",
    /// Put another release or business date in force, and close.
    WriteBasis = "basis:write",
    /// Follow events.
    ReadEvents = "events:read",
    /// Read the service's own metrics.
    ReadMetrics = "metrics:read",
    /// Read users, roles and others' sessions.
    ReadUsers = "users:read",
    /// Create and change users and roles, and end others' sessions.
    WriteUsers = "users:write",
    /// See and change what is one's own: profile, password, sessions. Every signed-in user may.
    OwnAccount = "account:own",
}
