//! `baremo rules release` and what belongs to it: approving a pack, putting it in force, going back, and listing what there was.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::say;
use crate::assessments::activation::{self, Activated, Closes, Order};
use crate::assessments::publishing;
use crate::cli::Failure;
use crate::cli::admin::password;
use crate::cli::base::{self, FailingCases, Folder};
use crate::config::Config;
use crate::db::migrate::migrate;
use crate::db::{self, Conn};
use crate::digest::Digest;
use crate::identity::model::{ApproveReleases, Permission, Status};
use crate::identity::{passwords, roles, store as users};
use crate::policy::pack::Pack;
use crate::releases::active::InForce;
use crate::releases::model::{By, Release};
use crate::releases::{author, start, store};

/// Releases that are listed.
const LISTED: i64 = 100;

/// What is said of a release: not empty, and not too long.
fn text(text: &str) -> Result<String, String> {
    author::said("", text).map_err(|fault| fault.detail)
}

/// Who says what of a release.
#[derive(Debug, Args)]
pub struct Said {
    /// Who makes the release
    #[arg(long, value_name = "NAME", env = "USER", default_value = "operator")]
    author: String,
    /// What changes, and why, for whoever reads it later
    #[arg(long, value_name = "TEXT", value_parser = text)]
    message: Option<String>,
}

impl Said {
    /// Who it is.
    pub fn by(&self) -> By {
        By { user_id: None, name: self.author.chars().take(100).collect() }
    }

    /// Keeps a folder as a checked release.
    pub fn keep(&self, conn: &mut Conn, folder: &Folder, in_force: Option<Digest>) -> db::Result<Release> {
        let (by, message) = (self.by(), self.message.clone());
        let release = author::keep(conn, &folder.source, &folder.release.pack.id, &by, message, in_force)?;
        author::note_checked(conn, release.digest, by, in_force)?;
        Ok(release)
    }
}

/// What is published.
#[derive(Debug, Args)]
pub struct Publish {
    /// The pack's folder
    folder: PathBuf,
    /// Leave the standing outcomes of the policies that change as they are until their next closing
    #[arg(long)]
    wait_for_closing: bool,
    /// Why, where the pack in force wants a written reason
    #[arg(long, value_name = "TEXT", value_parser = text)]
    reason: Option<String>,
    #[command(flatten)]
    said: Said,
}

impl Publish {
    /// Checks the folder, runs its cases, says what changes, and puts it in force in the base of the configuration.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        let folder =
            base::load(&self.folder, FailingCases::Refuse).map_err(|faults| base::told(&self.folder, &faults))?;
        let closes = if self.wait_for_closing { Closes::ByCadence } else { Closes::Now };
        let order = Order { closes, by: self.said.by(), reason: self.reason.clone() };
        base::beside(config, &folder.release.pack.id, |db| {
            Ok(db.run_here(|conn| self.publish(conn, &folder, &order, config).map(|()| ExitCode::SUCCESS))?)
        })
    }

    fn publish(&self, conn: &mut Conn, folder: &Folder, order: &Order, config: &Config) -> Result<(), start::Error> {
        migrate(conn)?;
        let digest = folder.release.digest;
        if !base::is_change(conn, &folder.release)? {
            say(&format!("{digest} is in force already"));
            return Ok(());
        }
        let in_force = InForce::default();
        let evolution = base::evolution(conn, &in_force, folder)?;
        if !evolution.is_empty() {
            say(&evolution.to_string());
        }
        let before = in_force.get();
        self.said.keep(conn, folder, before.as_ref().map(|active| active.basis.release))?;
        let activated = base::activate(conn, &in_force, folder, order.clone(), config.business_date)?;
        say(&format!("{digest} is in force"));
        if let (Some(before), Activated::Changed(changed)) = (before, activated) {
            tell_changes(&before.release.pack, &folder.release.pack, &changed);
        }
        Ok(())
    }
}

/// What happens to each policy, in the order of the new pack.
fn tell_changes(before: &Pack, after: &Pack, changed: &[String]) {
    for id in after.policies.keys() {
        let what = match (before.policies.contains_key(id), changed.contains(id)) {
            (false, _) => "new",
            (true, true) => "changed",
            (true, false) => "as before",
        };
        say(&format!("  {id}: {what}"));
    }
    before
        .policies
        .keys()
        .filter(|id| !after.policies.contains_key(*id))
        .for_each(|id| say(&format!("  {id}: removed")));
}

/// What is approved, and by whom.
#[derive(Debug, Args)]
pub struct Approve {
    /// The pack's folder
    folder: PathBuf,
    /// The user who approves; he needs the permission 'releases:approve'
    #[arg(long, value_name = "NAME")]
    user: String,
    /// File whose first line is his password
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    /// Why; needed where the comparison goes beyond limits of the pack in force
    #[arg(long, value_name = "TEXT", value_parser = text)]
    reason: Option<String>,
}

impl Approve {
    /// Approves the last comparison of the folder's release with the one in force.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        let folder =
            base::load(&self.folder, FailingCases::Refuse).map_err(|faults| base::told(&self.folder, &faults))?;
        let (password, _) = password(Some(&self.password_file))?;
        base::beside(config, &folder.release.pack.id, |db| {
            let in_force = InForce::default();
            let by = db.run_here(|conn| {
                migrate(conn)?;
                in_force.refresh(conn)?;
                approver(conn, &self.user, password.reveal())
            })?;
            let by = by.ok_or("the user's name or password is wrong, or he may not approve releases")?;
            let active = in_force.get().ok_or("nothing is in force in the base")?;
            let digest = folder.release.digest;
            let approved = db.run_here(|conn| {
                let release = store::release_with_steps(conn, digest)?;
                let last = release.and_then(|release| release.comparison_with(active.basis.release));
                let none = || {
                    start::Error::NotPermitted(format!("{digest} has no comparison; 'baremo rules compare' makes one"))
                };
                publishing::approve(conn, &active, digest, last.ok_or_else(none)?, by.clone(), self.reason.clone())
            })?;
            say(&format!("{} is approved by {}", approved.digest, by.name));
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// A user who may approve releases, where the password is his.
fn approver(conn: &mut Conn, name: &str, password: &str) -> Result<Option<By>, crate::identity::error::Error> {
    let name = name.trim().to_lowercase();
    let (login, user) = (users::login(conn, &name)?, users::find_by_name(conn, &name)?);
    let hash = login.as_ref().map(|login| login.password_hash.as_str());
    let Some(user) = user.filter(|user| passwords::matches(password, hash) && user.status == Status::Active) else {
        return Ok(None);
    };
    let may = roles::permissions(conn, &user.roles)?.has(ApproveReleases::NAME);
    Ok(may.then_some(By { user_id: Some(user.id), name: user.username }))
}

/// Which release is put in force again.
#[derive(Debug, Args)]
pub struct Rollback {
    /// Folder of the pack whose base it is
    #[arg(long, value_name = "FOLDER")]
    pack: PathBuf,
    /// The release; the one before the one in force when left out
    #[arg(long, value_name = "DIGEST")]
    to: Option<Digest>,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = text)]
    reason: Option<String>,
    /// Who does it
    #[arg(long, value_name = "NAME", env = "USER", default_value = "operator")]
    author: String,
}

impl Rollback {
    /// Puts it in force.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        on_base_of(config, &self.pack, |conn| {
            let in_force = InForce::default();
            in_force.refresh(conn)?;
            let missing = |what: &str| start::Error::NotPermitted(what.to_owned());
            let active = in_force.get().ok_or_else(|| missing("nothing is in force in the base"))?;
            let before = store::previous_release(conn, active.basis.release)?;
            let to = self.to.or(before).ok_or_else(|| missing("no other release was in force before"))?;
            if !store::release_with_steps(conn, to)?.is_some_and(|release| release.was_in_force) {
                return Err(missing("only a release that was in force before can be put in force again"));
            }
            let (source, release) = (activation::kept_source(conn, to)?, in_force.release(conn, to)?);
            let by = By { user_id: None, name: self.author.chars().take(100).collect() };
            let order = Order { closes: Closes::Now, by, reason: self.reason.clone() };
            let activated = activation::activate(conn, &in_force, (&source, &release), order, config.business_date)?;
            say(&format!("{to} is in force"));
            if let Activated::Changed(changed) = activated {
                tell_changes(&active.release.pack, &release.pack, &changed);
            }
            Ok(())
        })
    }
}

/// Whose releases are listed.
#[derive(Debug, Args)]
pub struct Releases {
    /// Folder of the pack whose base it is
    #[arg(long, value_name = "FOLDER")]
    pack: PathBuf,
}

impl Releases {
    /// Lists them.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        on_base_of(config, &self.pack, |conn| {
            let Some(basis) = store::current_basis(conn)? else { return Ok(()) };
            for release in store::releases_page(conn, None, LISTED)? {
                let state = serde_json::to_value(release.state(basis.release)).unwrap_or_default();
                say(&format!("{} {}", release.digest, state.as_str().unwrap_or_default()));
                for step in &release.steps {
                    let message = step.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                    let at = step.created_at.strftime("%Y-%m-%d %H:%M");
                    say(&format!("  {at} {} by {}{message}", step.kind.key(), step.by.name));
                }
            }
            Ok(())
        })
    }
}

/// Does something on the base of a pack's folder.
fn on_base_of(
    config: &Config,
    folder: &std::path::Path,
    work: impl Fn(&mut Conn) -> Result<(), start::Error>,
) -> Result<ExitCode, Failure> {
    let pack_id =
        base::pack_id(folder).ok_or_else(|| format!("{} holds no pack.toml that names its pack", folder.display()))?;
    base::beside(config, &pack_id, |db| {
        db.run_here(|conn| {
            migrate(conn)?;
            start::check_pack(conn, &pack_id)?;
            work(conn)
        })?;
        Ok(ExitCode::SUCCESS)
    })
}
