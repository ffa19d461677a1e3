//! What everybody who is signed in sees and changes of his own: profile, password, sessions.

use actix_web::{HttpResponse, delete, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::Permit;
use super::users::UserView;
use crate::Id;
use crate::config::Secret;
use crate::db::Db;
use crate::http::client::Client;
use crate::http::etag;
use crate::http::extract::{Body, PathId};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::access::Access;
use crate::identity::model::{OwnAccount, Session};
use crate::identity::{store, users};

/// Whose the token is.
#[derive(Serialize, ToSchema)]
pub struct Me {
    /// The user.
    user: UserView,
    /// The session of the token.
    #[schema(value_type = uuid::Uuid)]
    session_id: Id,
    /// What he may do, all his roles together, sorted.
    #[schema(example = json!(["account:own", "customers:read", "pack:read"]))]
    permissions: Vec<&'static str>,
}

/// See who is signed in
///
/// The user of the token, with his roles and what they allow.
#[utoipa::path(tag = "auth", operation_id = "getMe", security(("bearer" = ["account:own"])), responses(
    (status = 200, body = Me, description = "The user", headers(("ETag" = String, description = "Its content's"))),
    Problems
))]
#[get("/v1/me")]
pub async fn get_me(permit: Permit<OwnAccount>, db: web::Data<Db>) -> Result<HttpResponse, Problem> {
    let id = permit.principal.user_id;
    let user = db.run(move |conn| store::find(conn, id)).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    let permissions = permit.principal.permissions.names();
    etag::tagged(&Me { user: user.into(), session_id: permit.principal.session_id, permissions })
}

/// The current password and the next one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current_password": "the-old-password", "new_password": "a-longer-password"}))]
pub struct PasswordChange {
    /// The current one.
    #[schema(min_length = 1, max_length = 1024, format = Password)]
    current_password: String,
    /// The next one; it isn't blank, nor the user's name.
    #[schema(min_length = 12, max_length = 1024, pattern = "\\S", format = Password)]
    new_password: String,
}

/// Change one's password
///
/// Ends all one's other sessions. A wrong current password counts as a failure to sign in.
#[utoipa::path(tag = "auth", operation_id = "changePassword", security(("bearer" = ["account:own"])),
    request_body = PasswordChange, responses((status = 204, description = "Changed"), Problems)
)]
#[post("/v1/auth/password")]
pub async fn change_password(
    permit: Permit<OwnAccount>,
    db: web::Data<Db>,
    access: web::Data<Access>,
    client: Client,
    body: Body<PasswordChange>,
) -> Result<HttpResponse, Problem> {
    let (current, new) = (Secret::new(body.0.current_password), Secret::new(body.0.new_password));
    let turn = access.hashing().await?;
    let changed = access.change(&db, move |conn| {
        let _turn = turn;
        users::change_password(conn, &permit.principal, (&current, &new), client.address)
    });
    changed.await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A session: what begins with signing in and ends with signing out.
#[derive(Serialize, ToSchema)]
#[schema(as = Session, example = json!({
    "id": "01a2008f-c5ab-7253-a9fc-1d735533f672", "user_agent": "Mozilla/5.0", "address": "192.0.2.7",
    "created_at": "2018-01-01T08:00:00Z", "last_used_at": "2018-01-01T09:10:00Z", "expires_at": "2018-01-15T09:10:00Z",
    "current": true
}))]
pub struct SessionView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// What the client called itself when it signed in, at most 200 characters; empty when it didn't say.
    user_agent: String,
    /// The address that it signed in from.
    address: String,
    /// When that was.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last got an access token.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// When it ends if no further token is asked for.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Whether it is that of the token of this request.
    current: bool,
}

/// The sessions of a user.
#[derive(Serialize, ToSchema)]
pub struct Sessions {
    /// Those that haven't ended, the one used last first; at most 500.
    items: Vec<SessionView>,
}

impl Sessions {
    /// Sessions as the one of `current` sees them.
    pub fn new(sessions: Vec<Session>, current: Id) -> Self {
        let body = |session: Session| SessionView {
            id: session.id,
            user_agent: session.user_agent,
            address: session.address,
            created_at: session.created_at,
            last_used_at: session.used_at,
            expires_at: session.expires_at,
            current: session.id == current,
        };
        Self { items: sessions.into_iter().map(body).collect() }
    }
}

/// List one's sessions
///
/// Everywhere that one is signed in.
#[utoipa::path(tag = "auth", operation_id = "listSessions", security(("bearer" = ["account:own"])), responses(
    (status = 200, body = Sessions, description = "One's sessions"),
    Problems
))]
#[get("/v1/sessions")]
pub async fn list_sessions(permit: Permit<OwnAccount>, db: web::Data<Db>) -> Result<web::Json<Sessions>, Problem> {
    let (user, current) = (permit.principal.user_id, permit.principal.session_id);
    let sessions = db.run(move |conn| store::sessions::live_of(conn, user, Timestamp::now())).await?;
    Ok(web::Json(Sessions::new(sessions, current)))
}

/// End one of one's sessions
///
/// Its tokens are invalid at once here, and within a second in all other processes.
#[utoipa::path(tag = "auth", operation_id = "endSession", security(("bearer" = ["account:own"])),
    params(("id" = uuid::Uuid, Path, description = "Its id")),
    responses((status = 204, description = "Ended"), Problems)
)]
#[delete("/v1/sessions/{id}")]
pub async fn end_session(
    permit: Permit<OwnAccount>,
    db: web::Data<Db>,
    access: web::Data<Access>,
    PathId(id): PathId,
) -> Result<HttpResponse, Problem> {
    let user = permit.principal.user_id;
    access.change(&db, move |conn| users::end_session(conn, id, Some(user))).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Mounts it.
pub fn configure(config: &mut ServiceConfig) {
    config.service(get_me).service(change_password).service(list_sessions).service(end_session);
}
