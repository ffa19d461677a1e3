//! Access tokens: JWTs of ten minutes, signed with Ed25519.

use std::sync::LazyLock;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::keys::Ring;
use super::model::Session;
use crate::Id;

/// Seconds for which an access token is valid.
pub const LIFETIME: i64 = 600;
/// Seconds that the clock of another process may be behind.
const SKEW: i64 = 30;
/// No token of ours is as long, in bytes.
const MAX_LENGTH: usize = 2048;
const ISSUER: &str = "baremo";
const AUDIENCE: &str = "baremo-api";
const TYPE: &str = "at+jwt";

static VALIDATION: LazyLock<Validation> = LazyLock::new(|| {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "nbf", "exp"]);
    validation.validate_nbf = true;
    validation.leeway = 0;
    validation
});

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// The user's id.
    pub sub: Id,
    /// The session's id.
    pub sid: Id,
    jti: Id,
    iat: i64,
    nbf: i64,
    /// When it expires, in seconds since 1970.
    pub exp: i64,
}

/// A token for a session, valid for [`LIFETIME`] seconds.
pub fn sign(ring: &Ring, session: &Session, now: Timestamp) -> Result<String, Error> {
    let key = ring.signing(now).ok_or(Error::Busy("there is no signing key yet"))?;
    let iat = now.as_second();
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: session.user_id,
        sid: session.id,
        jti: Id::new(),
        iat,
        nbf: iat - SKEW,
        exp: iat + LIFETIME,
    };
    let header = Header { typ: Some(TYPE.to_owned()), kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
    encode(&header, &claims, &key.encoding).map_err(Error::cryptography)
}

/// Whether a text may be a token at all: what isn't needs no look at keys.
pub fn is_formed(token: &str) -> bool {
    token.len() <= MAX_LENGTH && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// What a token says, if one of our keys signed it and it is valid now. Whatever its header says, no other algorithm and no
/// other key counts.
pub fn verify(ring: &Ring, token: &str, now: Timestamp) -> Option<Claims> {
    let header = decode_header(token).ok()?;
    let is_ours = header.alg == Algorithm::EdDSA && header.typ.as_deref() == Some(TYPE) && header.crit.is_none();
    let key = ring.verifying(header.kid.as_deref().filter(|_| is_ours)?, now)?;
    decode::<Claims>(token, &key.decoding, &VALIDATION).ok().map(|data| data.claims)
}
