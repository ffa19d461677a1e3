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

/// What an operator does for users; a service that runs notices within a second.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Create a user
    CreateUser(CreateUser),
    /// Set a user's password and end his sessions
    SetPassword(SetPassword),
    /// Disable a user and end his sessions
    Disable(Named),
    /// List the roles and what they allow
    Roles(OfBase),
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
            Self::Disable(user) => user.base.on(config, |db, _| Ok(db.run_here(|conn| disable(conn, &user.name))?)),
            Self::Roles(of) => of.on(config, |db, _| tell_roles(db)),
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

fn disable(conn: &mut Conn, name: &str) -> Result<(), Error> {
    let user = named(conn, name)?;
    let changes = Changes { status: Some(Status::Disabled), ..Changes::default() };
    users::change(conn, &Permissions::all(), user.id, &user.version.into(), &changes).map(drop)
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

fn tell_roles(db: &Db) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for role in db.run_here(roles::all)? {
        writeln!(out, "{}: {}", role.name, role.permissions.names().join(", "))?;
    }
    Ok(())
}
