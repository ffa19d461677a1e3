//! Checking a pack that is being written, over HTTP: nothing of it is kept.

use std::collections::BTreeMap;

use actix_web::{post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::pack::LoadFault;
use crate::db::{self, Conn, Db};
use crate::digest::Digest;
use crate::http::current::Current;
use crate::http::extract::Body;
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::CheckPacks;
use crate::policy::cases::{self, CaseReport};
use crate::policy::diagnostic::Diagnostic;
use crate::policy::release::{check, warnings};
use crate::policy::source::Source;
use crate::releases::active::Active;
use crate::releases::store;
use crate::schemas::PackFileTexts;

/// Mounts the handler.
pub fn configure(config: &mut ServiceConfig) {
    config.service(create_pack_check);
}

/// Files of a pack to be checked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"files": {"lib/shares.rhai": "fn share(part, whole) {\n    if whole == 0 { 0 } else { part / whole }\n}\n"}}))]
pub struct PackCheckRequest {
    /// Texts by path inside the pack, such as `policies/<policy>.rhai`; null leaves a file out.
    #[schema(value_type = PackFileTexts)]
    files: BTreeMap<String, Option<String>>,
    /// Whether these are all files of the pack. Otherwise those that aren't named are as in the release in force.
    #[serde(default)]
    #[schema(required = false, default = false)]
    whole: bool,
}

/// What was found.
#[derive(Serialize, ToSchema)]
pub struct PackCheck {
    /// Whether the pack could come into force: there is no error, and no case fails.
    pub sound: bool,
    /// The digest that names this content; absent where it has errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    release: Option<Digest>,
    /// Errors and warnings, by file and line.
    diagnostics: Vec<LoadFault>,
    /// How the cases went; absent where there are errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cases: Option<CaseSummary>,
}

/// How the cases of a pack went.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"passed": 12, "failed": [{"policy": "volume_grade", "name": "just below", "file": "cases/volume_grade.toml", "line": 7,
    "differences": ["outcome: expected '3', got '2'"]}], "untested": []}))]
pub struct CaseSummary {
    /// How many came out as expected.
    passed: usize,
    /// Those that didn't.
    failed: Vec<FailedCase>,
    /// Policies without a case.
    untested: Vec<String>,
}

/// A case that didn't come out as expected.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "name": "just below", "file": "cases/volume_grade.toml", "line": 7,
    "differences": ["outcome: expected '3', got '2'"]}))]
pub struct FailedCase {
    /// The policy that it tests.
    policy: String,
    /// Its name.
    name: String,
    /// Its file in the pack.
    file: String,
    /// The line in which it begins, from 1.
    #[schema(minimum = 1)]
    line: usize,
    /// A sentence for each part that differs.
    differences: Vec<String>,
}

impl CaseSummary {
    fn of(report: CaseReport) -> Self {
        let all = report.results.len();
        let failed = report.results.into_iter().filter(|result| !result.passed());
        let failed: Vec<FailedCase> = failed
            .map(|result| FailedCase {
                policy: result.policy,
                name: result.name,
                file: result.file,
                line: result.line,
                differences: result.differences,
            })
            .collect();
        Self { passed: all - failed.len(), failed, untested: report.untested }
    }
}

/// Check a pack
///
/// Checks files that are being written, as they are or in place of those of the release in force, and runs the cases. Nothing is
/// kept. Each code has a page: `baremo rules explain <code>`.
#[utoipa::path(tag = "pack", operation_id = "createPackCheck", security(("bearer" = ["packs:check"])), request_body = PackCheckRequest, responses(
    (status = 200, body = PackCheck, description = "What was found"),
    Problems
))]
#[post("/v1/pack-checks")]
pub async fn create_pack_check(
    _: Permit<CheckPacks>,
    db: web::Data<Db>,
    active: Current<Active>,
    body: Body<PackCheckRequest>,
) -> Result<web::Json<PackCheck>, Problem> {
    let PackCheckRequest { files, whole } = body.0;
    let (files, release) = (PackFiles { files, whole }, active.basis.release);
    let kept = move |conn: &mut Conn| Ok::<_, db::Error>((files.kept(conn, release)?, files));
    let examine = move |(kept, files): (Option<Source>, PackFiles)| examined(files.source(kept));
    Ok(web::Json(db.run_then(kept, examine).await?))
}

/// Files that are sent, as they are or in place of those of a release.
pub struct PackFiles {
    /// Texts by path; nothing leaves a file out.
    pub files: BTreeMap<String, Option<String>>,
    /// Whether these are all.
    pub whole: bool,
}

impl PackFiles {
    /// The release whose files they replace, if they do.
    pub fn kept(&self, conn: &mut Conn, release: Digest) -> db::Result<Option<Source>> {
        let content = if self.whole { None } else { store::release(conn, release)? };
        let source = content.map(|content| Source::from_json(&content)).transpose();
        source.map_err(|_| db::Error::Corrupt(format!("the release {release} can't be read")))
    }

    /// All files together.
    pub fn source(self, kept: Option<Source>) -> Result<Source, Vec<Diagnostic>> {
        let kept = kept.iter().flat_map(Source::files).map(|(path, text)| (path.to_owned(), text.to_owned()));
        let mut all: BTreeMap<String, String> = kept.collect();
        for (path, text) in self.files {
            match text {
                Some(text) => drop(all.insert(path, text)),
                None => drop(all.remove(&path)),
            }
        }
        Source::from_files(all)
    }
}

/// Checks files and runs their cases.
pub fn examined(source: Result<Source, Vec<Diagnostic>>) -> PackCheck {
    let checked = source.and_then(|source| {
        let loaded = check(&source)?;
        let cases = cases::run(&loaded, &source)?;
        Ok((loaded, cases))
    });
    match checked {
        Err(faults) => PackCheck {
            sound: false,
            release: None,
            diagnostics: faults.iter().map(LoadFault::new).collect(),
            cases: None,
        },
        Ok((loaded, report)) => PackCheck {
            sound: report.failures().count() == 0,
            release: Some(loaded.digest),
            diagnostics: warnings(&loaded).iter().map(LoadFault::new).collect(),
            cases: Some(CaseSummary::of(report)),
        },
    }
}
