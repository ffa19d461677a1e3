//! Signing in over HTTP, and the extractor by which a handler names the permission it needs.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, post, web};
use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::Permission;
use super::sign_in;
use super::tokens::{LIFETIME, Principal, Tokens};
use crate::config::Secret;
use crate::db::Db;
use crate::http::extract::Body;
use crate::http::problem::{Code, Problem, Problems};

/// Proof that the caller may do `P`. A handler without one reaches no data.
pub struct Permit<P> {
    /// Who calls.
    pub principal: Principal,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequest for Permit<P> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    /// Every user of this version is an administrator, who may do everything.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
            .map(|(_, token)| token);
        let principal =
            request.app_data::<web::Data<Tokens>>().zip(token).and_then(|(tokens, token)| tokens.verify(token.trim()));
        let answer = match principal {
            Some(principal) => Ok(Self { principal, permission: PhantomData }),
            None => Err(Problem::detailed(
                Code::Unauthenticated,
                "send the access token of POST /v1/auth/token as Authorization: Bearer …",
            )),
        };
        Box::pin(async move { answer })
    }
}

/// Name and password of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "admin", "password": "the-password"}))]
pub struct Credentials {
    /// The user's name.
    #[schema(min_length = 1, max_length = 64)]
    username: String,
    /// His password.
    #[schema(min_length = 1, max_length = 1024)]
    password: String,
}

/// An access token.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"access_token": "eyJ0eXAiOiJhdCtqd3Qi…", "token_type": "Bearer", "expires_in": 600}))]
pub struct AccessToken {
    /// The token, for the header `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds for which it is valid.
    expires_in: i64,
}

/// Sign in
///
/// Gives an access token for a user's name and password.
#[utoipa::path(tag = "auth", operation_id = "createToken", security(()), request_body = Credentials, responses(
    (status = 200, body = AccessToken, description = "Signed in"),
    Problems
))]
#[post("/v1/auth/token")]
pub async fn create_token(
    db: web::Data<Db>,
    tokens: web::Data<Tokens>,
    body: Body<Credentials>,
) -> Result<web::Json<AccessToken>, Problem> {
    let Body(Credentials { username, password }) = body;
    let password = Secret::new(password);
    let access_token = db.run(move |conn| sign_in::sign_in(conn, &tokens, &username, &password)).await?;
    Ok(web::Json(AccessToken { access_token, token_type: "Bearer", expires_in: LIFETIME }))
}
