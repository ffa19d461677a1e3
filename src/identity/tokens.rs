//! Access tokens: EdDSA-signed JWTs of ten minutes. The signing key is a file that only its owner may read, made at the first start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::Id;

/// Seconds for which an access token is valid.
pub const LIFETIME: i64 = 600;
const ISSUER: &str = "baremo";
const AUDIENCE: &str = "baremo-api";
const TYPE: &str = "at+jwt";

/// Signs and verifies access tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Keys>);

struct Keys {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

/// Who a valid token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user's id.
    pub user_id: Id,
    /// The user's name.
    pub username: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Id,
    name: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// The key file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It can't be read or written.
    #[error("the signing key {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It isn't a key.
    #[error("the signing key {0} isn't an Ed25519 key in PKCS #8 PEM form")]
    Form(String),
}

/// Writes a file that only its owner may read: whole or not at all, and never over another process's.
fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension(Id::new().uuid().simple().to_string());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    // A link, because a renamed file would replace the one that another process has linked and read meanwhile.
    let written =
        file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&unfinished, path));
    fs::remove_file(&unfinished)?;
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        written => written,
    }
}

impl Tokens {
    /// Reads the signing key from a file, or makes it with file mode 0600.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let named = || path.display().to_string();
        let read = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = SigningKey::from_bytes(&rand::rng().random());
                let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Form(named()))?;
                write_new(path, pem.as_bytes()).and_then(|()| fs::read_to_string(path))
            }
            read => read,
        };
        let pem = read.map_err(|source| KeyError::File { path: named(), source })?;
        let key = SigningKey::from_pkcs8_pem(&pem).map_err(|_| KeyError::Form(named()))?;
        Self::new(&key).ok_or_else(|| KeyError::Form(named()))
    }

    fn new(key: &SigningKey) -> Option<Self> {
        let der = key.to_pkcs8_der().ok()?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "nbf", "exp"]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        Some(Self(Arc::new(Keys {
            signing: EncodingKey::from_ed_der(der.as_bytes()),
            verifying: DecodingKey::from_ed_der(key.verifying_key().as_bytes()),
            validation,
        })))
    }

    /// A token for a user, valid for [`LIFETIME`] seconds.
    pub fn sign(&self, principal: &Principal) -> Result<String, jsonwebtoken::errors::Error> {
        let now = Timestamp::now().as_second();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: principal.user_id,
            name: principal.username.clone(),
            iat: now,
            nbf: now,
            exp: now + LIFETIME,
        };
        let header = Header { typ: Some(TYPE.to_owned()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &self.0.signing)
    }

    /// Who a token speaks for, if it is valid now.
    pub fn verify(&self, token: &str) -> Option<Principal> {
        let data = decode::<Claims>(token, &self.0.verifying, &self.0.validation).ok()?;
        (data.header.typ.as_deref() == Some(TYPE))
            .then_some(Principal { user_id: data.claims.sub, username: data.claims.name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_speaks_for_its_user_and_for_the_key_that_signed_it_alone() {
        let tokens = Tokens::new(&SigningKey::from_bytes(&[7; 32])).unwrap();
        let others = Tokens::new(&SigningKey::from_bytes(&[8; 32])).unwrap();
        let ana = Principal { user_id: Id::new(), username: "ana".to_owned() };
        let token = tokens.sign(&ana).unwrap();
        assert_eq!(tokens.verify(&token), Some(ana));
        assert_eq!(others.verify(&token), None);
    }

    #[test]
    fn the_key_file_is_kept_and_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let ana = Principal { user_id: Id::new(), username: "ana".to_owned() };
        let token = Tokens::open(&path).unwrap().sign(&ana).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Tokens::open(&path).unwrap().verify(&token), Some(ana));
    }

    #[test]
    fn processes_that_start_at_once_have_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let ana = Principal { user_id: Id::new(), username: "ana".to_owned() };
        let opened: Vec<Tokens> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Tokens::open(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let token = opened[0].sign(&ana).unwrap();
        assert!(opened.iter().all(|tokens| tokens.verify(&token).as_ref() == Some(&ana)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside the key");
    }
}
