//! What the cases of a release reach and guard, and cases that are proposed, over HTTP.

use std::time::Duration;

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::making::source_of;
use super::pack::LoadFault;
use crate::db::{Conn, Db};
use crate::digest::Digest;
use crate::faults::{Fault, did_you_mean, excerpt};
use crate::http::extract::{Parameters, PathDigest};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::CheckPacks;
use crate::policy::cases::coverage::{Coverage, Reached, coverage};
use crate::policy::cases::proposing::propose;
use crate::policy::cases::{Search, mutate};
use crate::policy::diagnostic::Diagnostic;
use crate::policy::release::check;
use crate::policy::source::Source;

/// Longest time that is spent on each of trying changes and proposing cases: an answer is wanted before the request's time is over.
const LONGEST: Duration = Duration::from_secs(4);

/// Mounts the handler.
pub fn configure(config: &mut ServiceConfig) {
    config.service(get_release_cases);
}

/// What the cases of a release reach and guard.
#[derive(Serialize, ToSchema)]
pub struct ReleaseCases {
    /// What they reach, policy by policy.
    coverage: Vec<PolicyCoverage>,
    /// Changes of rules that were tried: each number, comparison, condition and outcome, nudged one after the other.
    tried: usize,
    /// Those of them that no case notices.
    unguarded: Vec<LoadFault>,
    /// Cases that would notice them, as they would stand in their file. What they expect is what the rule says now: whether that is right
    /// the author has to say.
    proposed: Vec<ProposedCases>,
    /// Whether everything was tried; otherwise ask for one policy.
    complete: bool,
}

/// What the cases of a policy reach.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "statements": {"all": 3, "reached": 3, "missed": []}, "branches": {"all": 0, "reached": 0, "missed": []},
    "rows": {"all": 7, "reached": 6, "missed": ["GRADES, row 7"]}, "outcomes": {"all": 8, "reached": 8, "missed": []}}))]
pub struct PolicyCoverage {
    /// The policy.
    policy: String,
    /// Statements of its script, those of library functions that it uses included.
    statements: CoveredPart,
    /// What follows `if`, `else` and the cases of `switch`.
    branches: CoveredPart,
    /// Rows of its tables.
    rows: CoveredPart,
    /// Its outcomes.
    outcomes: CoveredPart,
}

/// How many of something are reached.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"all": 7, "reached": 6, "missed": ["GRADES, row 7"]}))]
pub struct CoveredPart {
    /// How many there are.
    all: usize,
    /// How many are reached.
    reached: usize,
    /// Those that aren't.
    missed: Vec<String>,
}

/// Cases that are proposed for a policy.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "file": "cases/volume_grade.toml",
    "text": "[[case]]\nname = \"monthly_volume 14\"\nas_of = 2018-01-01\ngiven = { monthly_volume = \"14\" }\nexpect = { outcome = \"3\" }\n"}))]
pub struct ProposedCases {
    /// The policy.
    policy: String,
    /// The file of the pack in which they would stand.
    file: String,
    /// Their text, to be added there.
    text: String,
}

impl PolicyCoverage {
    fn new(found: Coverage) -> Self {
        let part = |reached: Reached| CoveredPart { all: reached.all, reached: reached.hit(), missed: reached.missed };
        Self {
            policy: found.policy,
            statements: part(found.statements),
            branches: part(found.branches),
            rows: part(found.rows),
            outcomes: part(found.outcomes),
        }
    }
}

/// Cases of a release
///
/// What they reach of each policy's statements, branches, rows of tables and outcomes; which changes of a rule none of them notices; and cases
/// that would notice them. 409 for a release with faults.
#[utoipa::path(tag = "releases", operation_id = "getReleaseCases", security(("bearer" = ["packs:check"])), params(
    ("digest" = Digest, Path, description = "The release's digest, sha256:…"),
    ("policy" = Option<String>, Query, nullable = false, max_length = 64, description = "Only this policy", example = "volume_grade"),
), responses(
    (status = 200, body = ReleaseCases, description = "What was found"),
    (status = 409, description = "The release has faults"),
    Problems
))]
#[get("/v1/releases/{digest}/cases")]
pub async fn get_release_cases(
    _: Permit<CheckPacks>,
    db: web::Data<Db>,
    digest: PathDigest,
    parameters: Parameters,
) -> Result<web::Json<ReleaseCases>, Problem> {
    let digest = digest.0;
    let mut policy = None;
    for (name, value) in parameters.0 {
        match name.as_str() {
            "policy" => policy = Some(value),
            name => return Err(Problem::invalid(vec![Parameters::unknown(name, &["policy"])])),
        }
    }
    let read = move |conn: &mut Conn| source_of(conn, digest);
    let examine = move |source: Option<Source>| source.map(|source| examined(&source, policy.as_deref()));
    let found: Option<Result<ReleaseCases, Refused>> = db.run_then(read, examine).await?;
    match found.ok_or_else(|| Problem::new(Code::NotFound))? {
        Ok(cases) => Ok(web::Json(cases)),
        Err(Refused::Faulty) => {
            Err(Problem::detailed(Code::Conflict, "the release has faults; POST …/check tells them"))
        }
        Err(Refused::Unknown(fault)) => Err(Problem::invalid(vec![fault])),
    }
}

/// Why cases aren't looked at.
enum Refused {
    Faulty,
    Unknown(Fault),
}

impl From<Vec<Diagnostic>> for Refused {
    fn from(_: Vec<Diagnostic>) -> Self {
        Self::Faulty
    }
}

fn examined(source: &Source, policy: Option<&str>) -> Result<ReleaseCases, Refused> {
    let loaded = check(source)?;
    let known = &loaded.pack.policies;
    if let Some(unknown) = policy.filter(|policy| !known.contains_key(*policy)) {
        let hint = did_you_mean(unknown, known.keys().map(String::as_str));
        let detail = format!("the release has no policy '{}'{hint}", excerpt(unknown));
        return Err(Refused::Unknown(Fault::new("policy", "unknown_policy", detail)));
    }
    let mut reached = coverage(&loaded, source)?;
    reached.retain(|one| policy.is_none_or(|policy| policy == one.policy));
    let mutations = mutate(&loaded, source, Search::begin(policy, LONGEST))?;
    let search = Search::begin(policy, LONGEST);
    let proposed = propose(&loaded, source, search)?;
    let file = |policy: &str| known.get(policy).map(|declared| declared.cases_path(policy)).unwrap_or_default();
    let proposed = proposed.into_iter().map(|(policy, text)| ProposedCases { file: file(&policy), policy, text });
    Ok(ReleaseCases {
        coverage: reached.into_iter().map(PolicyCoverage::new).collect(),
        tried: mutations.tried,
        unguarded: mutations.unnoticed.iter().map(LoadFault::new).collect(),
        proposed: proposed.collect(),
        complete: !mutations.cut_off && !search.is_over(),
    })
}
