//! Signing in over HTTP, and the extractor by which a handler names the permission it needs.

pub mod idempotency;
pub mod me;
pub mod roles;
pub mod users;

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, CacheControl, CacheDirective};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::access::{Access, Lasting};
use super::error::Error;
use super::model::{MAX_PASSWORD, Origin, OwnAccount, Permission, Principal};
use super::sign_in::{self, Issued};
use super::tokens::LIFETIME;
use super::users::end_session;
use crate::config::Secret;
use crate::db::Db;
use crate::http::client::Client;
use crate::http::extract::Body;
use crate::http::problem::{Code, Problem, Problems};

/// Seconds for which others may remember the public keys; a new one is published an hour before it signs.
const KEYS_MAX_AGE: u32 = 300;

/// Whose token a request has: found out before any handler looks at the request.
#[derive(Clone)]
struct Caller(Result<Option<Arc<Principal>>, Problem>);

/// Finds out whose token a request has, for the extractors behind it.
pub async fn identify(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let token = bearer(request.request()).map(str::to_owned);
    let state = request.app_data::<web::Data<Access>>().zip(request.app_data::<web::Data<Db>>());
    if let Some(((access, db), token)) = state.zip(token) {
        let found = access.principal(db, &token).await;
        if let Ok(Some(principal)) = &found {
            request.extensions_mut().insert(principal.clone());
        }
        request.extensions_mut().insert(Caller(found.map_err(Problem::from)));
    }
    next.call(request).await
}

/// The access token of a request.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let (scheme, token) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Proof that the caller may do `P`. A handler without one reaches no data.
pub struct Permit<P> {
    /// Who calls.
    pub principal: Arc<Principal>,
    permission: PhantomData<P>,
}

impl<P: Permission> Permit<P> {
    /// The same permit for what goes on after the request was answered, to be looked at again while it does.
    pub fn lasting(&self, request: &HttpRequest, db: &Db) -> Result<Lasting, Problem> {
        let access = request.app_data::<web::Data<Access>>().zip(bearer(request));
        let (access, token) = access.ok_or_else(|| Problem::new(Code::Unauthenticated))?;
        let access = access.get_ref().clone();
        Ok(Lasting::new(access, db.clone(), Secret::new(token), self.principal.user_id, P::NAME))
    }
}

impl<P: Permission> FromRequest for Permit<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        ready(match caller.map_or(Ok(None), |Caller(found)| found) {
            Ok(Some(principal)) if principal.permissions.has(P::NAME) => {
                Ok(Self { principal, permission: PhantomData })
            }
            Ok(Some(_)) => Err(Problem::detailed(Code::Forbidden, format!("this needs the permission '{}'", P::NAME))),
            Ok(None) => Err(Problem::detailed(
                Code::Unauthenticated,
                "send the access token of POST /v1/auth/token as Authorization: Bearer …",
            )),
            Err(problem) => Err(problem),
        })
    }
}

/// Name and password of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "admin", "password": "the-password"}))]
pub struct Credentials {
    /// The user's name; capital letters count as small ones.
    #[schema(min_length = 1, max_length = 64)]
    username: String,
    /// His password.
    #[schema(min_length = 1, max_length = 1024, format = Password)]
    password: String,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"refresh_token": "cmVmcmVzaCB0b2tlbiBvZiBmb3J0eS10aHJlZSBieXQ"}))]
pub struct Refresh {
    /// The refresh token that came with the last access token.
    #[schema(min_length = 1, max_length = 128)]
    refresh_token: String,
}

/// An access token, and a refresh token for the next one.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "access_token": "eyJ0eXAiOiJhdCtqd3Qi…", "token_type": "Bearer", "expires_in": 600,
    "refresh_token": "cmVmcmVzaCB0b2tlbiBvZiBmb3J0eS10aHJlZSBieXQ", "refresh_expires_in": 1_209_600
}))]
pub struct Tokens {
    /// The token, for the header `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds for which the access token is valid.
    #[schema(minimum = 1, maximum = 600)]
    expires_in: i64,
    /// The token for `POST /v1/auth/refresh`, good for one use. Keep it secret.
    refresh_token: String,
    /// Seconds for which the refresh token is valid: at most 14 days.
    #[schema(minimum = 0, maximum = 1_209_600)]
    refresh_expires_in: i64,
}

impl From<Issued> for Tokens {
    fn from(issued: Issued) -> Self {
        Self {
            access_token: issued.access_token.reveal().to_owned(),
            token_type: "Bearer",
            expires_in: LIFETIME,
            refresh_token: issued.refresh_token.reveal().to_owned(),
            refresh_expires_in: issued.refresh_expires_in,
        }
    }
}

/// Tokens are nobody's to remember.
fn tokens(issued: Issued) -> HttpResponse {
    HttpResponse::Ok().insert_header(CacheControl(vec![CacheDirective::NoStore])).json(Tokens::from(issued))
}

/// Sign in
///
/// Begins a session: gives an access token for a user's name and password, and a refresh token for the next one. A session lives
/// for 14 days after it was last refreshed, and for 90 days at most. After 10 failures for an account from one address, 100 from all,
/// or 100 of an address within a quarter of an hour, 429 `too_many_attempts` says by `Retry-After` when it may be tried again.
#[utoipa::path(tag = "auth", operation_id = "createToken", security(()), request_body = Credentials, responses(
    (status = 200, body = Tokens, description = "Signed in"),
    (status = 401, description = "The name or the password is wrong"),
    Problems
))]
#[post("/v1/auth/token")]
pub async fn create_token(
    db: web::Data<Db>,
    access: web::Data<Access>,
    client: Client,
    body: Body<Credentials>,
) -> Result<HttpResponse, Problem> {
    let Body(Credentials { username, password }) = body;
    let ring = access.ring(&db).await?;
    let origin = Origin::new(&client.user_agent, client.address);
    // No password is longer, and nothing longer is hashed.
    let password = Secret::new(password.chars().take(MAX_PASSWORD + 1).collect::<String>());
    let turn = access.hashing().await?;
    let issued = db.run(move |conn| {
        let _turn = turn;
        sign_in::sign_in(conn, (&access, &ring), &username, &password, &origin)
    });
    Ok(tokens(issued.await?))
}

/// Get the next tokens
///
/// Exchanges the refresh token for a new access token and a new refresh token. Each is good for one use: when one comes a second
/// time, the session is ended, because somebody else may have it. 401: sign in again.
#[utoipa::path(tag = "auth", operation_id = "refreshToken", security(()), request_body = Refresh, responses(
    (status = 200, body = Tokens, description = "The session lives on"),
    (status = 401, description = "The token has expired, was used, or its session has ended"),
    Problems
))]
#[post("/v1/auth/refresh")]
pub async fn refresh_token(
    db: web::Data<Db>,
    access: web::Data<Access>,
    body: Body<Refresh>,
) -> Result<HttpResponse, Problem> {
    let ring = access.ring(&db).await?;
    let token = Secret::new(body.0.refresh_token);
    let (known, base) = (access.clone(), db.clone());
    let issued = base.run(move |conn| sign_in::refresh(conn, (&known, &ring), &token)).await;
    Ok(tokens(issued?))
}

/// Sign out
///
/// Ends the session of the token: its tokens are invalid at once here, and within a second in all other processes.
#[utoipa::path(tag = "auth", operation_id = "signOut", security(("bearer" = ["account:own"])), responses(
    (status = 204, description = "Signed out"),
    Problems
))]
#[post("/v1/auth/logout")]
pub async fn sign_out(
    permit: Permit<OwnAccount>,
    db: web::Data<Db>,
    access: web::Data<Access>,
) -> Result<HttpResponse, Problem> {
    let session = permit.principal.session_id;
    match access.change(&db, move |conn| end_session(conn, session, None)).await {
        // Somebody else has ended it just now.
        Ok(()) | Err(Error::NotFound) => Ok(HttpResponse::NoContent().finish()),
        Err(error) => Err(error.into()),
    }
}

/// A key with which anybody can verify access tokens (RFC 7517, RFC 8037).
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "kty": "OKP", "crv": "Ed25519", "kid": "01a2008f-c5ab-7253-a9fc-1d735533f672", "use": "sig", "alg": "EdDSA",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
}))]
pub struct PublicKey {
    /// Always `OKP`.
    kty: &'static str,
    /// Always `Ed25519`.
    crv: &'static str,
    /// Its name in tokens.
    kid: String,
    /// Always `sig`.
    #[serde(rename = "use")]
    usage: &'static str,
    /// Always `EdDSA`.
    alg: &'static str,
    /// The key: 32 bytes in base64url.
    x: String,
}

/// The keys with which access tokens are signed, now or within the hour.
#[derive(Serialize, ToSchema)]
pub struct PublicKeys {
    /// The keys.
    keys: Vec<PublicKey>,
}

/// The public keys
///
/// With them others can verify access tokens (`iss` is `baremo`, `aud` is `baremo-api`, `typ` is `at+jwt`). They can't see whether a
/// session has ended meanwhile.
#[utoipa::path(tag = "auth", operation_id = "getPublicKeys", security(()), responses(
    (status = 200, body = PublicKeys, description = "The keys"),
    Problems
))]
#[get("/.well-known/jwks.json")]
pub async fn get_public_keys(db: web::Data<Db>, access: web::Data<Access>) -> Result<HttpResponse, Problem> {
    let ring = access.ring(&db).await?;
    let public = ring.published(Timestamp::now()).map(|key| PublicKey {
        kty: "OKP",
        crv: "Ed25519",
        kid: key.kid.clone(),
        usage: "sig",
        alg: "EdDSA",
        x: key.public.clone(),
    });
    let directives = vec![CacheDirective::Public, CacheDirective::MaxAge(KEYS_MAX_AGE)];
    Ok(HttpResponse::Ok().insert_header(CacheControl(directives)).json(PublicKeys { keys: public.collect() }))
}

/// Mounts what is about access.
pub fn configure(config: &mut ServiceConfig) {
    config.service(create_token).service(refresh_token).service(sign_out).service(get_public_keys);
    me::configure(config);
    users::configure(config);
    roles::configure(config);
}
