//! The customers near a cut of a cohort, over HTTP.

use actix_web::{get, web};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Id;
use crate::assessments::near::{self, Near, Place, Question};
use crate::customers::texts::decimal;
use crate::db::Db;
use crate::digest::Digest;
use crate::faults::Fault;
use crate::http::current::Current;
use crate::http::extract::Parameters;
use crate::http::list::{Listed, Page};
use crate::http::paging;
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::ReadCustomers;
use crate::releases::active::Active;
use crate::schemas::DecimalText;

/// Mounts the handler.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_near_cuts);
}

/// Customers near a cut.
#[derive(Serialize, ToSchema)]
pub struct NearCutList {
    /// Those of this page; there may be none and yet more to look at.
    items: Vec<NearCut>,
    /// Cursor of the next page; absent when all customers have been looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for NearCutList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// A customer near a cut.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"customer_id": "01939d3c-8f3e-7a53-9b0e-52b9a5f3c7aa", "code": "X17", "group": "grocery",
    "value": "118", "cut": "120", "band": 1, "band_below": 1}))]
pub struct NearCut {
    /// His id.
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id,
    /// His code.
    code: String,
    /// His group, where it has cuts of its own; otherwise those of all count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    group: Option<String>,
    /// His value now, in the unit of the field or metric that the cohort compares.
    #[schema(value_type = DecimalText)]
    value: Decimal,
    /// The nearest cut, in the same unit: the smallest value of the class above it.
    #[schema(value_type = DecimalText)]
    cut: Decimal,
    /// His class: 1 below the lowest cut, one more from each cut on.
    #[schema(minimum = 1)]
    band: usize,
    /// The class below the cut.
    #[schema(minimum = 1)]
    band_below: usize,
}

impl From<Near> for NearCut {
    fn from(near: Near) -> Self {
        let Near { customer_id, code, group, value, cut, band, band_below } = near;
        Self { customer_id, code, group, value: value.normalize(), cut: cut.normalize(), band, band_below }
    }
}

/// Customers near a cut
///
/// Active customers of a cohort's population whose value, by today's data, lies within a share of one of the cuts that count for
/// them: their group's, or else those of all. A request looks at 2000 customers at most, in the order of their shards and ids, so
/// a page may have few items or none: go on as long as there is a `next_cursor`.
#[utoipa::path(tag = "assessments", operation_id = "listNearCuts", security(("bearer" = ["customers:read"])), params(
    ("digest" = Digest, Path, description = "The cohort's digest, sha256:…"),
    ("cohort" = String, Query, max_length = 64, description = "Id of the cohort in the pack", example = "volume_in_format"),
    ("within" = Option<String>, Query, nullable = false, pattern = r"^[0-9]+(\.[0-9]+)?$", description = "Largest distance as a share of the cut, above 0, at most 1; 0.05 when absent", example = "0.05"),
    ("cursor" = Option<String>, Query, nullable = false, min_length = 1, max_length = 2000, example = "WyJYMTciXQ",
        description = "Where the page begins, as `next_cursor` of the page before gave it"),
    ("limit" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 500, example = 50, description = "Items of the page; 50 when absent"),
), responses(
    (status = 200, body = NearCutList, description = "A page"),
    Problems
))]
#[get("/v1/cohorts/{digest}/near")]
pub async fn list_near_cuts(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    digest: web::Path<String>,
    parameters: Parameters,
) -> Result<Listed<NearCutList>, Problem> {
    let digest: Digest = digest.parse().map_err(|_| Problem::new(Code::NotFound))?;
    let question = question(digest, &parameters).map_err(Problem::invalid)?;
    let state = active.0.clone();
    let (found, next) =
        db.run(move |conn| near::page(conn, state, &question)).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    let next_cursor = next.map(|place| paging::cursor(&place));
    Ok(Listed(NearCutList { items: found.into_iter().map(NearCut::from).collect(), next_cursor }))
}

fn question(digest: Digest, parameters: &Parameters) -> Result<Question, Vec<Fault>> {
    let (mut cohort, mut within, mut after, mut limit) = (None, Decimal::new(5, 2), None, paging::DEFAULT_LIMIT);
    let mut faults = Vec::new();
    for (name, value) in &parameters.0 {
        let read = match name.as_str() {
            "cohort" => {
                cohort = Some(value.clone());
                Ok(())
            }
            "within" => share(value).map(|read| within = read),
            "cursor" => paging::position::<Place>(value).map(|read| after = Some(read)),
            "limit" => paging::limit(value).map(|read| limit = read),
            _ => Err(Parameters::unknown(name, &["cohort", "within", "cursor", "limit"])),
        };
        faults.extend(read.err());
    }
    if cohort.is_none() {
        faults.push(Fault::new("cohort", "required", "name the cohort whose cuts count, by its id in the pack"));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let question = cohort.map(|cohort| Question { digest, cohort, within, after, limit });
    question.filter(|_| faults.is_empty()).ok_or(faults)
}

fn share(text: &str) -> Result<Decimal, Fault> {
    let out_of_range = || {
        let detail = format!("'{text}' is not a share of the cut: a decimal above 0, at most 1, such as 0.05");
        Fault::new("within", "out_of_range", detail)
    };
    decimal(text).ok().filter(|share| *share > Decimal::ZERO && *share <= Decimal::ONE).ok_or_else(out_of_range)
}
