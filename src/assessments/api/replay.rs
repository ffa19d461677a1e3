//! Computing a kept assessment again, over HTTP.

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::assessments::replay::{Difference, Replayer};
use crate::assessments::store;
use crate::assessments::view::{AssessmentReference, reference};
use crate::customers::store as customer_store;
use crate::db::{self, Db};
use crate::http::extract::PathId;
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::ReadCustomers;
use crate::releases::active::InForce;

/// Mounts the handler.
pub fn configure(config: &mut ServiceConfig) {
    config.service(get_replay);
}

/// How a kept assessment comes out when it is computed again.
#[derive(Serialize, ToSchema)]
pub struct Replay {
    /// The assessment.
    assessment: AssessmentReference,
    /// Whether everything came out the same.
    status: ReplayStatus,
    /// Why it can't be computed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
    /// Each part that came out otherwise.
    differences: Vec<ReplayDifference>,
}

/// How a replay ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayStatus {
    /// Everything is the same, byte for byte.
    Same,
    /// Something is not.
    Differs,
    /// The assessment can't be computed again.
    Impossible,
}

/// A part of a decision that came out otherwise.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "pointer": "/decided/outcome", "kept": "\"3\"", "replayed": "\"2\""}))]
pub struct ReplayDifference {
    /// The policy's id.
    policy: String,
    /// Where in what is kept of the policy, as a JSON pointer.
    pointer: String,
    /// What was kept, as JSON text; absent where there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kept: Option<String>,
    /// What the same inputs give now, as JSON text; absent where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replayed: Option<String>,
}

impl From<Difference> for ReplayDifference {
    fn from(difference: Difference) -> Self {
        let Difference { policy, pointer, kept, replayed } = difference;
        Self { policy, pointer, kept, replayed }
    }
}

/// Replay an assessment
///
/// Computes it again from the inputs that it kept, by its release, relative to its cohort and as of its date: the same, or exactly what
/// differs.
#[utoipa::path(tag = "assessments", operation_id = "getAssessmentReplay", security(("bearer" = ["customers:read"])),
    params(("id" = uuid::Uuid, Path, description = "The assessment's id")), responses(
    (status = 200, body = Replay, description = "How it came out"),
    Problems
))]
#[get("/v1/assessments/{id}/replay")]
pub async fn get_replay(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    id: PathId,
) -> Result<web::Json<Replay>, Problem> {
    let (assessment, replayed) = db
        .run(move |conn| {
            let Some(assessment) = store::assessment(conn, id.0)? else { return Ok(None) };
            let Some(code) = customer_store::code(conn, assessment.customer_id)? else { return Ok(None) };
            let replayed = Replayer::new(&in_force).replay(conn, &assessment, &code)?;
            Ok::<_, db::Error>(Some((assessment, replayed)))
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let (differences, error) = match replayed {
        Ok(differences) => (differences, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let status = match (&error, differences.is_empty()) {
        (Some(_), _) => ReplayStatus::Impossible,
        (None, true) => ReplayStatus::Same,
        (None, false) => ReplayStatus::Differs,
    };
    let differences = differences.into_iter().map(ReplayDifference::from).collect();
    Ok(web::Json(Replay { assessment: reference(&assessment), status, error, differences }))
}
