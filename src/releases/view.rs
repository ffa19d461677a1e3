//! Releases as readers see them, without their files.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::model::{Release, ReleaseState, Step, StepKind};
use crate::digest::Digest;

/// A release without its files.
#[derive(Serialize, ToSchema)]
pub struct ReleaseSummary {
    /// Its digest.
    digest: Digest,
    /// How far it has come.
    state: ReleaseState,
    /// When it was kept.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Who made it; absent for one that entered with a folder before anybody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "ana.maria")]
    author: Option<String>,
    /// What its author said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Grade 2 from 16 cases on")]
    message: Option<String>,
    /// The release that was in force when it was made: what it differs from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Digest>)]
    parent: Option<Digest>,
    /// What was done with it, oldest first.
    steps: Vec<StepView>,
}

/// A release with its files.
#[derive(Serialize, ToSchema)]
#[schema(as = Release)]
pub struct ReleaseView {
    /// Its digest.
    digest: Digest,
    /// Its files: text by path.
    files: BTreeMap<String, String>,
    /// How far it has come.
    state: ReleaseState,
    /// When it was kept.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Who made it; absent for one that entered with a folder before anybody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "ana.maria")]
    author: Option<String>,
    /// What its author said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Grade 2 from 16 cases on")]
    message: Option<String>,
    /// The release that was in force when it was made: what it differs from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Digest>)]
    parent: Option<Digest>,
    /// What was done with it, oldest first.
    steps: Vec<StepView>,
}

/// A step in the life of a release.
#[derive(Serialize, ToSchema)]
#[schema(as = ReleaseStep, example = json!({"kind": "created", "by": "ana.maria", "at": "2018-01-02T10:00:00Z", "message": "Grade 2 from 16 cases on"}))]
pub struct StepView {
    /// What was done.
    kind: StepKind,
    /// Who did it.
    by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The release in force then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Digest>)]
    in_force: Option<Digest>,
    /// The comparison that was made or approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Digest>)]
    comparison: Option<Digest>,
    /// What was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<String>,
}

impl ReleaseSummary {
    /// A release, where another one or itself is in force.
    pub fn new(release: Release, in_force: Digest) -> Self {
        let state = release.state(in_force);
        let created = release.steps.iter().find(|step| step.kind == StepKind::Created).cloned();
        let step = |step: Step| StepView {
            kind: step.kind,
            by: step.by.name,
            at: step.created_at,
            in_force: step.parent,
            comparison: step.comparison,
            message: step.message,
        };
        Self {
            digest: release.digest,
            state,
            created_at: release.created_at,
            author: created.as_ref().map(|step| step.by.name.clone()),
            message: created.as_ref().and_then(|step| step.message.clone()),
            parent: created.and_then(|step| step.parent),
            steps: release.steps.into_iter().map(step).collect(),
        }
    }

    /// The release with its files.
    pub fn with_files(self, files: BTreeMap<String, String>) -> ReleaseView {
        let Self { digest, state, created_at, author, message, parent, steps } = self;
        ReleaseView { digest, files, state, created_at, author, message, parent, steps }
    }
}
