//! `baremo admin`: users, roles and signing keys of a base, whether the service runs or not.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Failure, base};
use crate::config::{Config, Secret};
use crate::db::migrate::migrate;
use crate::db::{Conn, Db};
use crate::identity::error::Error;
use crate::identity::keys::{Rotation, rotate};
use crate::identity::model::{Permissions, Status, User};
use crate::identity::users::{self, Changes, NewUser};
use crate::identity::{passwords, roles, store};
use crate::releases::start;
use crate::versions::Versions;

/// Users that are read at once.
const PAGE: i64 = 500;

/// What an operator does for users; a service that runs notices within a second.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Create a user
    CreateUser(CreateUser),
    /// Set a user's password and end his sessions
    SetPassword(SetPassword),
    /// Give a user other roles instead of those that he has
    SetRoles(SetRoles),
    /// Disable a user and end his sessions
    Disable(Named),
    /// Let a user who was disabled sign in again
    Enable(Named),
    /// List the users with their status and their roles
    Users(OfBase),
    /// List the roles and what they allow
    Roles(OfBase),
    /// Define a role, or change what it allows
    SetRole(SetRole),
    /// Delete a role that nobody has
    DeleteRole(OfRole),
    /// Let a new key sign tokens; the old one holds until its tokens have expired
    RotateKeys(RotateKeys),
}

/// Whose base it is.
#[derive(Debug, Args)]
pub struct OfBase {
    /// Folder of the pack whose base it is
    #[arg(long, value_name = "FOLDER")]
    pack: PathBuf,
}

/// A user of a base.
#[derive(Debug, Args)]
pub struct Named {
    /// The user's name
    name: String,
    #[command(flatten)]
    base: OfBase,
}

/// Options of creating a user.
#[derive(Debug, Args)]
pub struct CreateUser {
    #[command(flatten)]
    user: Named,
    /// A role that he has; may be given several times
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<String>,
    /// His name for people
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// File whose first line is his password; one is made up and printed when there is none
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Options of setting a password.
#[derive(Debug, Args)]
pub struct SetPassword {
    #[command(flatten)]
    user: Named,
    /// File whose first line is the password; one is made up and printed when there is none
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Options of giving roles.
#[derive(Debug, Args)]
pub struct SetRoles {
    #[command(flatten)]
    user: Named,
    /// A role that he has from now on; may be given several times
    #[arg(long = "role", value_name = "ROLE", required_unless_present = "none")]
    roles: Vec<String>,
    /// Take all roles from him
    #[arg(long, conflicts_with = "roles")]
    none: bool,
}

/// A role of a base.
#[derive(Debug, Args)]
pub struct OfRole {
    /// The role's name
    role: String,
    #[command(flatten)]
    base: OfBase,
}

/// Options of defining a role.
#[derive(Debug, Args)]
pub struct SetRole {
    #[command(flatten)]
    of: OfRole,
    /// A permission that who has it has from now on; may be given several times
    #[arg(long = "permission", value_name = "PERMISSION", required = true)]
    permissions: Vec<String>,
}

/// Options of following keys.
#[derive(Debug, Args)]
pub struct RotateKeys {
    #[command(flatten)]
    base: OfBase,
    /// Make the old keys invalid at once, with all tokens that they signed: everybody refreshes or signs in again
    #[arg(long)]
    revoke: bool,
    /// The same where the secret is lost or replaced: the service must be started with the new one
    #[arg(long, conflicts_with = "revoke")]
    new_secret: bool,
}

impl AdminCommand {
    /// Does it.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        match self {
            Self::CreateUser(options) => options.user.base.on(config, |db, _| options.run(db)),
            Self::SetPassword(options) => options.user.base.on(config, |db, _| options.run(db)),
            Self::SetRoles(SetRoles { user, roles, .. }) => {
                user.change(config, &Changes { roles: Some(roles), ..Changes::default() })
            }
            Self::Disable(user) => user.change(config, &status(Status::Disabled)),
            Self::Enable(user) => user.change(config, &status(Status::Active)),
            Self::Users(of) => of.on(config, |db, _| tell_users(db)),
            Self::Roles(of) => of.on(config, |db, _| tell_roles(db)),
            Self::SetRole(options) => options.of.base.on(config, |db, _| Ok(db.run_here(|conn| options.put(conn))?)),
            Self::DeleteRole(of) => of.base.on(config, |db, _| Ok(db.run_here(|conn| of.delete(conn))?)),
            Self::RotateKeys(options) => options.base.on(config, |db, pack_id| {
                let cipher = base::cipher(config, pack_id)?;
                let rotation = match options {
                    RotateKeys { new_secret: true, .. } => Rotation::NewSecret,
                    RotateKeys { revoke: true, .. } => Rotation::Revoking,
                    _ => Rotation::Overlapping,
                };
                Ok(db.run_here(|conn| rotate(conn, &cipher, rotation))?)
            }),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

impl OfBase {
    /// Does something on the base, which must be that of the pack.
    fn on(&self, config: &Config, work: impl FnOnce(&Db, &str) -> Result<(), Failure>) -> Result<(), Failure> {
        let pack_id = base::pack_id(&self.pack)
            .ok_or_else(|| format!("{} holds no pack.toml that names its pack", self.pack.display()))?;
        base::beside(config, &pack_id, |db| {
            db.run_here(|conn| {
                migrate(conn)?;
                start::check_pack(conn, &pack_id)
            })?;
            work(db, &pack_id)
        })
    }
}

impl Named {
    fn change(&self, config: &Config, changes: &Changes) -> Result<(), Failure> {
        self.base.on(config, |db, _| {
            db.run_here(|conn| {
                let user = named(conn, &self.name)?;
                users::change(conn, &Permissions::all(), user.id, &user.version.into(), changes)
            })?;
            Ok(())
        })
    }
}

impl OfRole {
    fn delete(&self, conn: &mut Conn) -> Result<(), Error> {
        roles::delete(conn, &Permissions::all(), &self.role, None)
    }
}

impl SetRole {
    fn put(&self, conn: &mut Conn) -> Result<(), Error> {
        let known = store::roles::find(conn, &self.of.role)?;
        let version = known.and_then(|role| role.version).map(Versions::from);
        roles::put(conn, &Permissions::all(), &self.of.role, version.as_ref(), &self.permissions).map(drop)
    }
}

impl CreateUser {
    fn run(&self, db: &Db) -> Result<(), Failure> {
        let (password, made_up) = password(self.password_file.as_deref())?;
        let new = NewUser {
            username: self.user.name.clone(),
            display_name: self.display_name.clone(),
            roles: self.roles.clone(),
            password: password.clone(),
        };
        let user = db.run_here(|conn| users::create(conn, &Permissions::all(), &new))?;
        tell(&user.username, made_up.then_some(&password))
    }
}

impl SetPassword {
    fn run(&self, db: &Db) -> Result<(), Failure> {
        let (password, made_up) = password(self.password_file.as_deref())?;
        let user = db.run_here(|conn| {
            let user = named(conn, &self.user.name)?;
            users::set_password(conn, &Permissions::all(), user.id, &password)?;
            Ok::<_, Error>(user)
        })?;
        tell(&user.username, made_up.then_some(&password))
    }
}

fn named(conn: &mut Conn, name: &str) -> Result<User, Error> {
    let name = name.trim().to_lowercase();
    let found = store::find_by_name(conn, &name)?;
    found.ok_or_else(|| Error::invalid("/username", "unknown_user", format!("there is no user '{name}'")))
}

fn status(status: Status) -> Changes {
    Changes { status: Some(status), ..Changes::default() }
}

/// The password in the first line of a file, or one that is made up; and whether it is.
pub fn password(file: Option<&Path>) -> Result<(Secret, bool), Failure> {
    let Some(file) = file else { return Ok((Secret::new(passwords::make_up()), true)) };
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok((Secret::new(text.lines().next().unwrap_or_default()), false))
}

/// Shows the password that was made up.
fn tell(username: &str, password: Option<&Secret>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "User: {username}")?;
    if let Some(password) = password {
        writeln!(out, "Password: {}", password.reveal())?;
    }
    Ok(())
}

/// Shows all users by name, a page after the other.
fn tell_users(db: &Db) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let mut after = None;
    loop {
        let mut users = db.run_here(|conn| store::page(conn, after.as_deref(), PAGE))?;
        for user in &users {
            let roles: Vec<&str> = user.roles.iter().map(String::as_str).collect();
            let line = format!("{} ({}): {}", user.username, user.status.key(), roles.join(", "));
            writeln!(out, "{}", line.trim_end())?;
        }
        let Some(last) = users.pop() else { return Ok(()) };
        after = Some(last.username);
    }
}

fn tell_roles(db: &Db) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for role in db.run_here(roles::all)? {
        writeln!(out, "{}: {}", role.name, role.permissions.names().join(", "))?;
    }
    Ok(())
}
