//! Users, the permissions that handlers name in their signatures, and the roles that are sets of them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Id;
use crate::faults::Fault;

/// Name of the administrator that the first start creates.
pub const ADMINISTRATOR: &str = "admin";
/// The role that may do everything.
pub const ADMINISTRATORS: &str = "administrator";
/// Most characters of the names of users and roles.
pub const MAX_NAME: usize = 64;
/// Most characters of a name for display.
pub const MAX_DISPLAY_NAME: usize = 100;
/// Least characters of a password.
pub const MIN_PASSWORD: usize = 12;
/// Most characters of a password.
pub const MAX_PASSWORD: usize = 1024;
/// Most characters that are kept of what a client calls itself.
const MAX_USER_AGENT: usize = 200;

/// Whether a user may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = UserStatus, example = "active")]
pub enum Status {
    /// He may.
    Active,
    /// He may not, and his sessions are ended.
    Disabled,
}

impl Status {
    /// Its name in the API and in the database.
    pub fn key(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// Reads a name.
    pub fn from_key(key: &str) -> Option<Self> {
        [Self::Active, Self::Disabled].into_iter().find(|status| status.key() == key)
    }
}

/// A user. He is never deleted, because history names him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// His id.
    pub id: Id,
    /// His name at sign-in, in small letters.
    pub username: String,
    /// His name for people.
    pub display_name: String,
    /// Names of his roles.
    pub roles: BTreeSet<String>,
    /// Whether he may sign in.
    pub status: Status,
    /// Counts his changes, from 1.
    pub version: i64,
    /// When he was created.
    pub created_at: Timestamp,
    /// When he last signed in with his password.
    pub last_sign_in_at: Option<Timestamp>,
}

/// What signing in needs of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// His id.
    pub id: Id,
    /// Whether he may sign in.
    pub status: Status,
    /// Hash of his password, in PHC form.
    pub password_hash: String,
}

/// From where somebody signs in.
#[derive(Clone, Debug)]
pub struct Origin {
    /// What his client calls itself: at most 200 characters, none of them a control character.
    pub user_agent: String,
    /// His address, where it is known.
    pub address: Option<IpAddr>,
}

impl Origin {
    /// Cleans what a client says of itself.
    pub fn new(user_agent: &str, address: Option<IpAddr>) -> Self {
        let clean = user_agent.chars().filter(|char| !char.is_control()).take(MAX_USER_AGENT).collect::<String>();
        Self { user_agent: clean.trim().to_owned(), address }
    }
}

/// A session: what begins with signing in and lives on by refresh tokens.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// What the client called itself.
    pub user_agent: String,
    /// From where he signed in.
    pub address: String,
    /// When he signed in.
    pub created_at: Timestamp,
    /// When a token was last given for it.
    pub used_at: Timestamp,
    /// When it ends, or has ended.
    pub expires_at: Timestamp,
}

/// Whose a valid token is and what he may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user's id.
    pub user_id: Id,
    /// The session of the token.
    pub session_id: Id,
    /// What he may do.
    pub permissions: Permissions,
    /// When the token or the session ends.
    pub expires_at: Timestamp,
}

/// A set of permissions, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions(BTreeSet<&'static str>);

impl Permissions {
    /// The permissions of these names; names that there aren't are left out.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().filter_map(permission).collect())
    }

    /// All there are.
    pub fn all() -> Self {
        Self(PERMISSIONS.into())
    }

    /// Adds others.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// Whether one is among them.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The first of `other` that is missing here.
    pub fn missing(&self, other: &Self) -> Option<&'static str> {
        other.0.difference(&self.0).next().copied()
    }

    /// Their names, sorted.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().copied().collect()
    }
}

/// The permission of a name.
pub fn permission(name: &str) -> Option<&'static str> {
    PERMISSIONS.into_iter().find(|known| *known == name)
}

/// The roles that every base has, with what each may do. The administrator may do everything.
pub const BUILT_IN: [(&str, &[&str]); 7] = [
    (ADMINISTRATORS, &PERMISSIONS),
    (
        "policy_author",
        &[
            "pack:read",
            "packs:check",
            "customers:read",
            "products:read",
            "runs:read",
            "releases:read",
            "releases:write",
            "releases:approve",
            "events:read",
            "evaluations:create",
            "runs:write",
            "basis:write",
        ],
    ),
    (
        "manager",
        &[
            "pack:read",
            "customers:read",
            "customers:write",
            "products:read",
            "products:write",
            "transactions:write",
            "observations:write",
            "lists:write",
            "overrides:write",
            "appeals:write",
            "appeals:decide",
            "staff:read",
            "staff:write",
            "staff:evaluate",
            "staff:sign",
            "imports:read",
            "imports:write",
            "evaluations:create",
            "runs:read",
            "runs:write",
            "releases:read",
            "releases:approve",
            "events:read",
        ],
    ),
    (
        "account_manager",
        &[
            "pack:read",
            "customers:read",
            "customers:write",
            "products:read",
            "observations:write",
            "appeals:write",
            "releases:read",
            "evaluations:create",
            "events:read",
        ],
    ),
    (
        "clerk",
        &["pack:read", "customers:read", "products:read", "transactions:write", "observations:write", "appeals:write"],
    ),
    ("technician", &["pack:read", "staff:sign"]),
    ("reader", &["pack:read", "customers:read", "products:read", "runs:read", "releases:read"]),
];

/// What a built-in role may do.
pub fn built_in(role: &str) -> Option<Permissions> {
    let (_, permissions) = BUILT_IN.iter().find(|(name, _)| *name == role)?;
    Some(Permissions::of(permissions.iter().copied()))
}

/// A role: a set of permissions with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What who has it may do.
    pub permissions: Permissions,
    /// Counts its changes, from 1; none where every base has it, unchanged.
    pub version: Option<i64>,
}

/// Reads the name that a user signs in with: trimmed and in small letters, so that names which differ in these alone are one. It has
/// ASCII characters only: with others, names could be made that look like those of somebody else.
pub fn username(text: &str) -> Result<String, Fault> {
    let name = text.trim();
    let length = name.chars().count();
    if !(1..=MAX_NAME).contains(&length) {
        let detail = format!("a user's name has 1 to {MAX_NAME} characters, and this one has {length}");
        return Err(Fault::new("/username", "out_of_range", detail));
    }
    match name.chars().find(|char| !(char.is_ascii_alphanumeric() || "._-@+".contains(*char))) {
        Some(char) => {
            let detail = format!("a user's name has letters from a to z, digits and . _ - @ + and not {char:?}");
            Err(Fault::new("/username", "invalid_character", detail))
        }
        None => Ok(name.to_ascii_lowercase()),
    }
}

/// Reads a name for display: trimmed, 1 to 100 characters, none of them a control character.
pub fn display_name(text: &str) -> Result<String, Fault> {
    let name = text.trim();
    let length = name.chars().count();
    if !(1..=MAX_DISPLAY_NAME).contains(&length) {
        let detail = format!("a display name has 1 to {MAX_DISPLAY_NAME} characters, and this one has {length}");
        return Err(Fault::new("/display_name", "out_of_range", detail));
    }
    if name.chars().any(char::is_control) {
        return Err(Fault::new("/display_name", "invalid_character", "a display name has no control characters"));
    }
    Ok(name.to_owned())
}

/// Whether a role may have this name: a small letter, then small letters, digits and `_`, at most 64 together.
pub fn is_role_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|char: char| char.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The one rule of passwords: 12 to 1024 characters, not only blanks, and not the user's name.
pub fn check_password(password: &str, username: &str) -> Result<(), String> {
    let length = password.chars().count();
    if !(MIN_PASSWORD..=MAX_PASSWORD).contains(&length) {
        return Err(format!("a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters, and this one has {length}"));
    }
    if password.trim().is_empty() {
        return Err("a password isn't blank".to_owned());
    }
    if password.trim().to_lowercase() == username {
        return Err("a password isn't the user's name".to_owned());
    }
    Ok(())
}

/// Something that a user may be allowed to do. Implemented by empty types, so that a handler names it in its signature.
pub trait Permission: 'static {
    /// The permission's name in documents.
    const NAME: &'static str;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        $($(#[$doc])* pub enum $name {} impl Permission for $name { const NAME: &'static str = $text; })+

        /// The names of all permissions.
        pub const PERMISSIONS: [&str; [$($text),+].len()] = [$($text),+];
    };
}

permissions! {
    /// Read the pack that is in force.
    ReadPack = "pack:read",
    /// Check packs that are being written.
    CheckPacks = "packs:check",
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
    /// Start and cancel imports: of what one may write otherwise too.
    WriteImports = "imports:write",
    /// Record transactions.
    WriteTransactions = "transactions:write",
    /// Record observations.
    WriteObservations = "observations:write",
    /// Enter customers in lists and take them off.
    WriteLists = "lists:write",
    /// Decide instead of policies.
    WriteOverrides = "overrides:write",
    /// File appeals against decisions.
    WriteAppeals = "appeals:write",
    /// Answer appeals of others.
    DecideAppeals = "appeals:decide",
    /// Read employees, evaluations of all of them, and bonus pools.
    ReadStaff = "staff:read",
    /// Enter and change employees.
    WriteStaff = "staff:write",
    /// Evaluate employees and distribute bonus pools.
    EvaluateStaff = "staff:evaluate",
    /// Read and sign evaluations of oneself, or of those of whom one is in charge.
    SignStaff = "staff:sign",
    /// Evaluate without storing.
    Evaluate = "evaluations:create",
    /// Read runs.
    ReadRuns = "runs:read",
    /// Start and cancel runs.
    WriteRuns = "runs:write",
    /// Read releases, cohorts, the basis and closings.
    ReadReleases = "releases:read",
    /// Make, check and compare releases.
    WriteReleases = "releases:write",
    /// Approve comparisons of releases.
    ApproveReleases = "releases:approve",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_name_permissions_that_there_are() {
        for (role, permissions) in BUILT_IN {
            assert!(is_role_name(role), "{role}");
            assert_eq!(permissions.len(), built_in(role).unwrap().names().len(), "{role}");
        }
        assert_eq!(built_in(ADMINISTRATORS).unwrap(), Permissions::all());
    }

    #[test]
    fn names_that_differ_in_case_and_blanks_alone_are_one() {
        assert_eq!(username(" Ana.MARIA+1@example.com ").unwrap(), "ana.maria+1@example.com");
        // The last ones look like names that there are: Cyrillic а, dotless ı, the sign of kelvins.
        for wrong in
            ["", "  ", "two words", "a\nb", "a/b", "<b>", &"x".repeat(65), "maría", "аdmin", "admın", "\u{212a}arl"]
        {
            assert!(username(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn passwords_are_long_and_not_the_name() {
        assert!(check_password(&"x".repeat(12), "ana").is_ok());
        for wrong in ["x".repeat(11), "x".repeat(1025), " \t\u{3000}".repeat(5), "Maria-Fernanda".to_owned()] {
            assert!(check_password(&wrong, "maria-fernanda").is_err(), "{wrong}");
        }
    }
}
