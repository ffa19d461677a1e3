//! Roles over HTTP.

use actix_web::{HttpResponse, delete, get, put, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::Permit;
use crate::db::Db;
use crate::http::etag;
use crate::http::extract::{Body, IfMatch};
use crate::http::problem::{Problem, Problems};
use crate::identity::access::Access;
use crate::identity::model::{PERMISSIONS, ReadUsers, Role, WriteUsers};
use crate::identity::roles;
use crate::schemas::PermissionName;

/// A role: a set of permissions with a name.
#[derive(Serialize, ToSchema)]
#[schema(as = Role, example = json!({
    "name": "clerk", "built_in": true, "permissions": [
        "appeals:write", "customers:read", "observations:write", "pack:read", "products:read", "transactions:write"
    ]
}))]
pub struct RoleView {
    /// Its name.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// Whether every base has it, unchanged.
    built_in: bool,
    /// What who has it may do, sorted.
    permissions: Vec<&'static str>,
    /// Counts its changes, from 1: in quotes, what `If-Match` wants. Absent for built-in roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, nullable = false)]
    version: Option<i64>,
}

impl From<Role> for RoleView {
    fn from(Role { name, permissions, version }: Role) -> Self {
        Self { name, built_in: version.is_none(), permissions: permissions.names(), version }
    }
}

/// All roles.
#[derive(Serialize, ToSchema)]
pub struct Roles {
    /// The built-in roles, then the others by name.
    items: Vec<RoleView>,
    /// All permissions that a role may have.
    #[schema(example = json!(["pack:read", "customers:read"]))]
    permissions: Vec<&'static str>,
}

/// What a role allows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"permissions": ["customers:read", "pack:read"]}))]
pub struct RoleBody {
    /// What who has it may do, all of it.
    #[schema(value_type = Vec<PermissionName>)]
    permissions: Vec<String>,
}

/// List roles
///
/// Those that every base has, and those of its own. A role says what its users may do, not to whom: until there are rules for
/// rows and fields, who may read customers reads all of them, with all their fields.
#[utoipa::path(tag = "users", operation_id = "listRoles", security(("bearer" = ["users:read"])), responses(
    (status = 200, body = Roles, description = "All roles"),
    Problems
))]
#[get("/v1/roles")]
pub async fn list_roles(_: Permit<ReadUsers>, db: web::Data<Db>) -> Result<web::Json<Roles>, Problem> {
    let all = db.run(roles::all).await?;
    Ok(web::Json(Roles { items: all.into_iter().map(RoleView::from).collect(), permissions: PERMISSIONS.into() }))
}

/// Create or replace a role
///
/// Who replaces a role says by `If-Match` which version he has read: 428 without it, 412 where it is another one, or there is none. Nobody
/// gives a permission that he lacks, nor changes a role that has one: 403. Built-in roles stay as they are: 409.
#[utoipa::path(tag = "users", operation_id = "putRole", security(("bearer" = ["users:write"])), request_body = RoleBody,
    params(
        ("role" = String, Path, description = "Its name: a small letter, then small letters, digits and `_`",
            min_length = 1, max_length = 64, pattern = "^[a-z][a-z0-9_]*$", example = "auditor"),
        ("If-Match" = Option<String>, Header, description = "The version that the caller read; without it, a new role is created",
            example = "\"3\"", nullable = false),
    ),
    responses(
        (status = 200, body = RoleView, description = "Created or replaced", headers(("ETag" = String, description = "Its version"))),
        (status = 409, description = "It is built in"),
        Problems
    )
)]
#[put("/v1/roles/{role}")]
pub async fn put_role(
    permit: Permit<WriteUsers>,
    db: web::Data<Db>,
    access: web::Data<Access>,
    name: web::Path<String>,
    versions: Option<IfMatch>,
    body: Body<RoleBody>,
) -> Result<HttpResponse, Problem> {
    let (name, permissions) = (name.into_inner(), body.0.permissions);
    let put = access.change(&db, move |conn| {
        let versions = versions.as_ref().map(|IfMatch(versions)| versions);
        roles::put(conn, &permit.principal.permissions, &name, versions, &permissions)
    });
    let role = put.await?;
    let mut response = HttpResponse::Ok();
    if let Some(version) = role.version {
        response.insert_header(etag::tag(version));
    }
    Ok(response.json(RoleView::from(role)))
}

/// Delete a role
///
/// 409 while a user has it, and for built-in roles. Nobody deletes a role that may more than he himself: 403.
#[utoipa::path(tag = "users", operation_id = "deleteRole", security(("bearer" = ["users:write"])),
    params(
        ("role" = String, Path, description = "Its name", max_length = 64, example = "auditor"),
        ("If-Match" = Option<String>, Header, description = "The version that the caller read; without it, whichever there is",
            example = "\"3\"", nullable = false),
    ),
    responses((status = 204, description = "Deleted"), (status = 409, description = "It is built in, or a user has it"), Problems)
)]
#[delete("/v1/roles/{role}")]
pub async fn delete_role(
    permit: Permit<WriteUsers>,
    db: web::Data<Db>,
    access: web::Data<Access>,
    name: web::Path<String>,
    versions: Option<IfMatch>,
) -> Result<HttpResponse, Problem> {
    let name = name.into_inner();
    let deleted = access.change(&db, move |conn| {
        let versions = versions.as_ref().map(|IfMatch(versions)| versions);
        roles::delete(conn, &permit.principal.permissions, &name, versions)
    });
    deleted.await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Mounts it.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_roles).service(put_role).service(delete_role);
}
