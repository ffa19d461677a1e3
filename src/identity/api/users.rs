//! Users over HTTP.

use actix_web::{HttpResponse, delete, get, http::header, patch, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::Permit;
use super::me::Sessions;
use crate::Id;
use crate::config::Secret;
use crate::db::Db;
use crate::http::etag;
use crate::http::extract::{Body, IfMatch, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::{PageParameters, cursor, page};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::access::Access;
use crate::identity::model::{ReadUsers, Status, User, WriteUsers};
use crate::identity::users::{self, Changes, NewUser};
use crate::identity::{error::Error, store};
use crate::schemas::RoleName;

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = User, example = json!({
    "id": "01a2008f-c5ab-7253-a9fc-1d735533f672", "username": "ana", "display_name": "Ana Ruiz", "roles": ["clerk"],
    "status": "active", "version": 1, "created_at": "2018-01-01T08:00:00Z", "last_sign_in_at": "2018-01-01T09:10:00Z"
}))]
pub struct UserView {
    /// His id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// His name at sign-in, in small letters.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9._@+-]+$")]
    username: String,
    /// His name for people.
    #[schema(min_length = 1, max_length = 100)]
    display_name: String,
    /// Names of his roles, sorted.
    roles: Vec<String>,
    /// Whether he may sign in.
    status: Status,
    /// Counts his changes, from 1; the `ETag` has it too.
    #[schema(minimum = 1)]
    version: i64,
    /// When he was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When he last signed in with his password; absent while he never has. It doesn't count as a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    last_sign_in_at: Option<Timestamp>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            username: user.username,
            display_name: user.display_name,
            roles: user.roles.into_iter().collect(),
            status: user.status,
            version: user.version,
            created_at: user.created_at,
            last_sign_in_at: user.last_sign_in_at,
        }
    }
}

/// A page of users.
#[derive(Serialize, ToSchema)]
pub struct UserPage {
    /// Users by name.
    items: Vec<UserView>,
    /// Cursor of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for UserPage {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// A user to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "username": "ana", "display_name": "Ana Ruiz", "roles": ["clerk"], "password": "a-long-password"
}))]
pub struct UserBody {
    /// His name at sign-in: letters from a to z, digits and `. _ - @ +`. Capital letters count as small ones, and blanks around it
    /// don't count.
    #[schema(min_length = 1, max_length = 64, pattern = "^\\s*[A-Za-z0-9._@+-]+\\s*$")]
    username: String,
    /// His name for people; the name at sign-in where there is none.
    #[schema(min_length = 1, max_length = 100, nullable = false)]
    display_name: Option<String>,
    /// Names of his roles; without one he may do nothing but see to his own account.
    #[serde(default)]
    #[schema(required = false, value_type = Vec<RoleName>)]
    roles: Vec<String>,
    /// His first password; it isn't blank, nor his name.
    #[schema(min_length = 12, max_length = 1024, pattern = "\\S", format = Password)]
    password: String,
}

/// What is changed of a user; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"roles": ["clerk", "reader"]}))]
pub struct UserPatch {
    /// His name for people.
    #[serde(default, deserialize_with = "present")]
    #[schema(min_length = 1, max_length = 100, nullable = false)]
    display_name: Option<String>,
    /// Names of all his roles.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Vec<RoleName>>)]
    roles: Option<Vec<String>>,
    /// Whether he may sign in. Who is disabled loses his sessions.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    status: Option<Status>,
}

/// What may be absent, but not null: nothing of a user can be removed.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A password to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "a-long-password"}))]
pub struct PasswordBody {
    /// The password; it isn't blank, nor the user's name.
    #[schema(min_length = 12, max_length = 1024, pattern = "\\S", format = Password)]
    password: String,
}

fn answer(mut response: actix_web::HttpResponseBuilder, user: User) -> HttpResponse {
    response.insert_header(etag::tag(user.version)).json(UserView::from(user))
}

/// List users
///
/// By name.
#[utoipa::path(tag = "users", operation_id = "listUsers", security(("bearer" = ["users:read"])), params(PageParameters),
    responses((status = 200, body = UserPage, description = "A page of users"), Problems)
)]
#[get("/v1/users")]
pub async fn list_users(
    _: Permit<ReadUsers>,
    db: web::Data<Db>,
    parameters: Parameters,
) -> Result<Listed<UserPage>, Problem> {
    let (after, limit) = parameters.page::<String>()?;
    let users = db.run(move |conn| store::page(conn, after.as_deref(), i64::from(limit) + 1)).await?;
    let (items, next_cursor) = page(users, limit, |user| cursor(&user.username));
    Ok(Listed(UserPage { items: items.into_iter().map(UserView::from).collect(), next_cursor }))
}

/// Create a user
///
/// Nobody gives a role that may more than he himself: 403. 409 when somebody has the name.
#[utoipa::path(tag = "users", operation_id = "createUser", security(("bearer" = ["users:write"])), request_body = UserBody,
    responses(
        (status = 201, body = UserView, description = "Created", headers(
            ("ETag" = String, description = "His version"), ("Location" = String, description = "His path")
        )),
        Problems
    )
)]
#[post("/v1/users")]
pub async fn create_user(
    permit: Permit<WriteUsers>,
    db: web::Data<Db>,
    access: web::Data<Access>,
    body: Body<UserBody>,
) -> Result<HttpResponse, Problem> {
    let Body(UserBody { username, display_name, roles, password }) = body;
    let new = NewUser { username, display_name, roles, password: Secret::new(password) };
    let turn = access.hashing().await?;
    let created = access.change(&db, move |conn| {
        let _turn = turn;
        users::create(conn, &permit.principal.permissions, &new)
    });
    let user = created.await?;
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, format!("/v1/users/{}", user.id)));
    Ok(answer(response, user))
}

/// Get a user
///
/// With his roles; `GET /v1/roles` says what they allow.
#[utoipa::path(tag = "users", operation_id = "getUser", security(("bearer" = ["users:read"])),
    params(("id" = uuid::Uuid, Path, description = "His id")),
    responses(
        (status = 200, body = UserView, description = "The user", headers(("ETag" = String, description = "His version"))),
        Problems
    )
)]
#[get("/v1/users/{id}")]
pub async fn get_user(_: Permit<ReadUsers>, db: web::Data<Db>, PathId(id): PathId) -> Result<HttpResponse, Problem> {
    let user = db.run(move |conn| store::find(conn, id)).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(answer(HttpResponse::Ok(), user))
}

/// Change a user
///
/// Takes a JSON merge patch as `application/merge-patch+json` or `application/json`. Nobody gives a role that may more than he
/// himself, nor changes a user who may: 403. The last active administrator stays one: 409. What is taken from somebody is gone at
/// once here, and within a second in all other processes. Users are disabled, never deleted, because history names them.
#[utoipa::path(tag = "users", operation_id = "changeUser", security(("bearer" = ["users:write"])), params(
    ("id" = uuid::Uuid, Path, description = "His id"),
    ("If-Match" = String, Header, description = "The `ETag` that the caller read", example = "\"3\""),
), request_body(content = UserPatch, content_type = "application/merge-patch+json"), responses(
    (status = 200, body = UserView, description = "Changed", headers(("ETag" = String, description = "His version"))),
    (status = 409, description = "He is the last active administrator"),
    Problems
))]
#[patch("/v1/users/{id}")]
pub async fn change_user(
    permit: Permit<WriteUsers>,
    db: web::Data<Db>,
    access: web::Data<Access>,
    PathId(id): PathId,
    IfMatch(versions): IfMatch,
    body: Body<UserPatch>,
) -> Result<HttpResponse, Problem> {
    let Body(UserPatch { display_name, roles, status }) = body;
    let changes = Changes { display_name, roles, status };
    let changed =
        access.change(&db, move |conn| users::change(conn, &permit.principal.permissions, id, &versions, &changes));
    Ok(answer(HttpResponse::Ok(), changed.await?))
}

/// Set a user's password
///
/// Ends his sessions. Nobody sets that of a user who may more than he himself: 403.
#[utoipa::path(tag = "users", operation_id = "setUserPassword", security(("bearer" = ["users:write"])),
    params(("id" = uuid::Uuid, Path, description = "His id")),
    request_body = PasswordBody, responses((status = 204, description = "Set"), Problems)
)]
#[post("/v1/users/{id}/password")]
pub async fn set_user_password(
    permit: Permit<WriteUsers>,
    db: web::Data<Db>,
    access: web::Data<Access>,
    PathId(id): PathId,
    body: Body<PasswordBody>,
) -> Result<HttpResponse, Problem> {
    let password = Secret::new(body.0.password);
    let turn = access.hashing().await?;
    let set = access.change(&db, move |conn| {
        let _turn = turn;
        users::set_password(conn, &permit.principal.permissions, id, &password)
    });
    set.await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List a user's sessions
///
/// Everywhere that he is signed in.
#[utoipa::path(tag = "users", operation_id = "listUserSessions", security(("bearer" = ["users:read"])),
    params(("id" = uuid::Uuid, Path, description = "His id")),
    responses((status = 200, body = Sessions, description = "His sessions"), Problems)
)]
#[get("/v1/users/{id}/sessions")]
pub async fn list_user_sessions(
    permit: Permit<ReadUsers>,
    db: web::Data<Db>,
    PathId(id): PathId,
) -> Result<web::Json<Sessions>, Problem> {
    let found = db.run(move |conn| {
        store::find(conn, id)?.ok_or(Error::NotFound)?;
        Ok::<_, Error>(store::sessions::live_of(conn, id, Timestamp::now())?)
    });
    Ok(web::Json(Sessions::new(found.await?, permit.principal.session_id)))
}

/// End a user's sessions
///
/// He is signed out everywhere, and may sign in again. Nobody does this to a user who may more than he himself: 403.
#[utoipa::path(tag = "users", operation_id = "endUserSessions", security(("bearer" = ["users:write"])),
    params(("id" = uuid::Uuid, Path, description = "His id")),
    responses((status = 204, description = "Ended"), Problems)
)]
#[delete("/v1/users/{id}/sessions")]
pub async fn end_user_sessions(
    permit: Permit<WriteUsers>,
    db: web::Data<Db>,
    access: web::Data<Access>,
    PathId(id): PathId,
) -> Result<HttpResponse, Problem> {
    access.change(&db, move |conn| users::end_sessions(conn, &permit.principal.permissions, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Mounts it.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_users).service(create_user).service(get_user).service(change_user);
    config.service(set_user_password).service(list_user_sessions).service(end_user_sessions);
}
