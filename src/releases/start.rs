//! Bringing a base and a pack together: the base is bound to the pack, and a basis comes into force unless another came first.

use jiff::Timestamp;
use jiff::civil::Date;

use super::model::{Basis, Closing, Deployment};
use super::store;
use crate::db::{self, Conn, Failure, transaction};
use crate::digest::Digest;
use crate::events::model::{Content, Event, EventKind};
use crate::events::store as event_store;
use crate::policy::release::LoadedPack;

/// Why a pack can't be brought into force.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base belongs to another pack.
    #[error(
        "the base belongs to the pack '{base}', but the folder holds the pack '{folder}'; \
         use the folder of '{base}' or another base"
    )]
    AnotherPack {
        /// The pack of the base.
        base: String,
        /// The pack of the folder.
        folder: String,
    },
    /// What a base keeps to has changed in the pack.
    #[error(
        "the base was made with {what} {base}, but the pack now says {pack}; this can't change for a base with data"
    )]
    AnotherSetting {
        /// `time zone` or `currency`.
        what: &'static str,
        /// What the base was made with.
        base: String,
        /// What the pack says.
        pack: String,
    },
    /// The folder's release is another one than the base's.
    #[error("the folder's release {0} is not in force; 'baremo rules release' with this folder publishes it")]
    NotInForce(Digest),
    /// The pack in force wants something else first.
    #[error("{0}")]
    NotPermitted(String),
    /// Another process put another basis in force at the same time.
    #[error("another process changed the basis at the same time")]
    Overtaken,
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}

/// The business date: the setting, else the one that the sample fixed, else today in the pack's zone.
pub fn business_date(setting: Option<Date>, deployment: Option<&Deployment>, release: &LoadedPack) -> Date {
    setting
        .or_else(|| deployment.and_then(|deployment| deployment.fixed_business_date))
        .unwrap_or_else(|| Timestamp::now().to_zoned(release.pack.time_zone.clone()).date())
}

/// Whether the base rests on another release than this one. Binds a new base to the pack; refuses that of another pack.
pub fn is_change(conn: &mut Conn, release: &LoadedPack) -> Result<bool, Error> {
    transaction(conn, |conn| {
        bind(conn, release)?;
        Ok(store::current_basis(conn)?.is_none_or(|basis| basis.release != release.digest))
    })
}

/// Whether nothing has ever been in force in the base.
pub fn is_new(conn: &mut Conn) -> Result<bool, Error> {
    Ok(store::current_basis(conn)?.is_none())
}

/// Puts a basis in force, unless another one came first.
pub fn put_in_force(conn: &mut Conn, basis: &Basis) -> Result<(), Error> {
    store::put_in_force(conn, basis).map_err(or_overtaken)
}

/// Enters a closing that comes into force with a new basis, in the same transaction.
pub fn enter_closing(conn: &mut Conn, closing: &Closing) -> Result<(), Error> {
    store::insert_closing(conn, closing)?;
    let content = Content { basis: Some(closing.basis), policies: closing.policies.clone(), ..Content::default() };
    Ok(event_store::append(conn, &[Event::new(EventKind::ClosingStarted, None, content)])?)
}

fn or_overtaken(error: db::Error) -> Error {
    match error {
        db::Error::Taken => Error::Overtaken,
        error => error.into(),
    }
}

/// Refuses the base of another pack.
pub fn check_pack(conn: &mut Conn, pack_id: &str) -> Result<(), Error> {
    store::deployment(conn)?.map_or(Ok(()), |bound| same_pack(&bound, pack_id))
}

fn same_pack(bound: &Deployment, pack_id: &str) -> Result<(), Error> {
    if bound.pack_id == pack_id {
        return Ok(());
    }
    Err(Error::AnotherPack { base: bound.pack_id.clone(), folder: pack_id.to_owned() })
}

/// Binds a new base to the pack; refuses that of another pack. The caller has the transaction.
pub fn bind(conn: &mut Conn, release: &LoadedPack) -> Result<Deployment, Error> {
    let pack = &release.pack;
    let time_zone = pack.time_zone.iana_name().unwrap_or_default().to_owned();
    let Some(bound) = store::deployment(conn)? else {
        let new = Deployment {
            pack_id: pack.id.clone(),
            time_zone,
            currency: pack.currency.clone(),
            fixed_business_date: None,
            sample_loaded_at: None,
            catalogue_seq: 0,
        };
        store::bind(conn, &new).map_err(or_overtaken)?;
        return Ok(new);
    };
    same_pack(&bound, &pack.id)?;
    for (what, base, pack) in
        [("time zone", &bound.time_zone, &time_zone), ("currency", &bound.currency, &pack.currency)]
    {
        if base != pack {
            return Err(Error::AnotherSetting { what, base: base.clone(), pack: pack.clone() });
        }
    }
    Ok(bound)
}
