//! Operation: liveness and readiness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Code, Problem, Problems};
use crate::db::{self, Db};
use crate::releases::active::InForce;

/// Whether the service takes requests: set when it has started, unset when it begins to stop.
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Sets it.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The state of the service.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "ok"}))]
pub struct Health {
    /// Always `ok`.
    status: &'static str,
    /// Whether the pack's folder has a newer content that can't come into force, so that the last good release serves on; only
    /// there when it has. `GET /v1/pack` tells the faults.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    stale: bool,
}

/// Whether the process lives
///
/// Asks nothing but the process itself.
#[utoipa::path(tag = "operation", operation_id = "getLiveness", security(()), responses(
    (status = 200, body = Health, description = "It lives"),
    Problems
))]
#[get("/livez")]
pub async fn livez() -> web::Json<Health> {
    web::Json(Health { status: "ok", stale: false })
}

/// Whether the service can answer
///
/// It has started, isn't stopping, and reaches its database. It can also answer while its release is stale.
#[utoipa::path(tag = "operation", operation_id = "getReadiness", security(()), responses(
    (status = 200, body = Health, description = "It can answer"),
    Problems
))]
#[get("/readyz")]
pub async fn readyz(
    readiness: web::Data<Readiness>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
) -> Result<web::Json<Health>, Problem> {
    if !readiness.get() {
        return Err(Problem::detailed(Code::Unavailable, "the service is starting or stopping"));
    }
    db.run(db::ping).await?;
    Ok(web::Json(Health { status: "ok", stale: in_force.load_faults().is_some() }))
}
