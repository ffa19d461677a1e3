//! What was done with each release, and by whom.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::read_digest;
use crate::Id;
use crate::db::schema::{bases, release_steps, releases};
use crate::db::{Conn, Error, Result};
use crate::digest::Digest;
use crate::releases::model::{By, Release, Step, StepKind};

/// Notes a step of a release.
pub fn add_step(conn: &mut Conn, release: Digest, step: &Step) -> Result<()> {
    diesel::insert_into(release_steps::table)
        .values((
            release_steps::release_digest.eq(release.as_bytes()),
            release_steps::id.eq(Id::new()),
            release_steps::kind.eq(step.kind.key()),
            release_steps::user_id.eq(step.by.user_id),
            release_steps::author.eq(&step.by.name),
            release_steps::parent_digest.eq(step.parent.as_ref().map(Digest::as_bytes)),
            release_steps::comparison_digest.eq(step.comparison.as_ref().map(Digest::as_bytes)),
            release_steps::message.eq(&step.message),
            release_steps::created_at.eq(step.created_at.to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = release_steps)]
struct StepRow {
    release_digest: Vec<u8>,
    kind: String,
    user_id: Option<Id>,
    author: String,
    parent_digest: Option<Vec<u8>>,
    comparison_digest: Option<Vec<u8>>,
    message: Option<String>,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_at: Timestamp,
}

impl StepRow {
    fn read(self) -> Result<(Digest, Step)> {
        let digest = |bytes: Option<Vec<u8>>| bytes.map(|bytes| read_digest(&bytes)).transpose();
        let kind = StepKind::from_key(&self.kind).ok_or_else(|| Error::Corrupt("a step of a release".to_owned()))?;
        Ok((
            read_digest(&self.release_digest)?,
            Step {
                kind,
                by: By { user_id: self.user_id, name: self.author },
                parent: digest(self.parent_digest)?,
                comparison: digest(self.comparison_digest)?,
                message: self.message,
                created_at: self.created_at,
            },
        ))
    }
}

/// A release without its content.
pub fn release_with_steps(conn: &mut Conn, digest: Digest) -> Result<Option<Release>> {
    let kept: Option<jiff_diesel::Timestamp> =
        releases::table.find(digest.as_bytes()).select(releases::created_at).first(conn).optional()?;
    let Some(created_at) = kept else { return Ok(None) };
    Ok(with_steps(conn, vec![(digest, created_at.into())])?.pop())
}

/// Releases, newest first, behind a place among them: when one was kept, and its digest.
pub fn releases_page(conn: &mut Conn, before: Option<(Timestamp, Digest)>, limit: i64) -> Result<Vec<Release>> {
    let mut query = releases::table
        .order((releases::created_at.desc(), releases::digest.desc()))
        .limit(limit)
        .select((releases::digest, releases::created_at))
        .into_boxed();
    if let Some((at, digest)) = before {
        let earlier = releases::created_at.lt(at.to_diesel());
        let same = releases::created_at.eq(at.to_diesel());
        query = query.filter(earlier.or(same.and(releases::digest.lt(digest.as_bytes().to_vec()))));
    }
    let rows: Vec<(Vec<u8>, jiff_diesel::Timestamp)> = query.load(conn)?;
    let found: Result<Vec<(Digest, Timestamp)>> =
        rows.into_iter().map(|(digest, at)| Ok((read_digest(&digest)?, at.into()))).collect();
    with_steps(conn, found?)
}

fn with_steps(conn: &mut Conn, found: Vec<(Digest, Timestamp)>) -> Result<Vec<Release>> {
    let digests: Vec<Vec<u8>> = found.iter().map(|(digest, _)| digest.as_bytes().to_vec()).collect();
    let rows: Vec<StepRow> = release_steps::table
        .filter(release_steps::release_digest.eq_any(&digests))
        .order(release_steps::id)
        .select(StepRow::as_select())
        .load(conn)?;
    let mut steps: BTreeMap<Digest, Vec<Step>> = BTreeMap::new();
    for row in rows {
        let (digest, step) = row.read()?;
        steps.entry(digest).or_default().push(step);
    }
    let used: Vec<Vec<u8>> = bases::table
        .filter(bases::release_digest.eq_any(&digests))
        .select(bases::release_digest)
        .distinct()
        .load(conn)?;
    let used: BTreeSet<Vec<u8>> = used.into_iter().collect();
    let release = |(digest, created_at): (Digest, Timestamp)| Release {
        digest,
        created_at,
        was_in_force: used.contains(digest.as_bytes()),
        steps: steps.remove(&digest).unwrap_or_default(),
    };
    Ok(found.into_iter().map(release).collect())
}

/// The release that was in force before the one of the current basis.
pub fn previous_release(conn: &mut Conn, current: Digest) -> Result<Option<Digest>> {
    let found: Option<Vec<u8>> = bases::table
        .filter(bases::release_digest.ne(current.as_bytes()))
        .order(bases::number.desc())
        .select(bases::release_digest)
        .first(conn)
        .optional()?;
    found.map(|digest| read_digest(&digest)).transpose()
}
