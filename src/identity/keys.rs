//! The keys that sign access tokens: shared by all processes, kept in the database encrypted, and followed by new ones. A new key
//! is published an hour before it signs, and an old one holds until the last token that it signed has expired.

use argon2::Argon2;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{DecodingKey, EncodingKey};
use rand::Rng;

use super::error::Error;
use super::store::{self, keys::StoredKey};
use super::tokens::LIFETIME;
use crate::Id;
use crate::config::Secret;
use crate::db::{Conn, transaction};

/// How long a key signs before the next one is made.
const ROTATION: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long a key is known before it signs: who verifies tokens himself asks for the keys meanwhile.
const PUBLISHED_BEFORE: SignedDuration = SignedDuration::from_hours(1);
/// How long a key holds after the next one signs: a token's life, and a minute between the clocks of two processes.
const HOLDS_AFTER: SignedDuration = SignedDuration::from_secs(LIFETIME + 60);
const SALT: &[u8] = b"baremo signing keys";
const NONCE: usize = 24;

/// Encrypts private keys under the secret of the deployment.
#[derive(Clone)]
pub struct Cipher(XChaCha20Poly1305);

impl Cipher {
    /// The cipher of a secret, which may be words that people chose. Blocks for some 20 ms.
    pub fn new(secret: &Secret) -> Result<Self, Error> {
        let mut key = [0; 32];
        let derived = Argon2::default().hash_password_into(secret.reveal().as_bytes(), SALT, &mut key);
        derived.map_err(Error::cryptography)?;
        XChaCha20Poly1305::new_from_slice(&key).map(Self).map_err(Error::cryptography)
    }

    /// Encrypts a key; it can be opened under its own id alone.
    fn seal(&self, id: Id, key: &SigningKey) -> Result<Vec<u8>, Error> {
        let nonce: [u8; NONCE] = rand::rng().random();
        let own = id.uuid();
        let payload = Payload { msg: key.as_bytes(), aad: own.as_bytes() };
        let text = self.0.encrypt(&XNonce::from(nonce), payload).map_err(Error::cryptography)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    fn open(&self, id: Id, sealed: &[u8]) -> Option<SigningKey> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE>()?;
        let own = id.uuid();
        let payload = Payload { msg: text, aad: own.as_bytes() };
        let key = self.0.decrypt(&XNonce::from(*nonce), payload).ok()?;
        Some(SigningKey::from_bytes(key.as_slice().try_into().ok()?))
    }
}

/// A key as it signs and verifies.
pub struct Key {
    /// Its name in tokens.
    pub kid: String,
    /// The public part, in base64url.
    pub public: String,
    /// Signs.
    pub encoding: EncodingKey,
    /// Verifies.
    pub decoding: DecodingKey,
    signs_from: Timestamp,
}

/// The keys of a deployment, in the order in which they sign.
pub struct Ring(Vec<Key>);

impl Ring {
    /// Reads and opens the keys.
    pub fn load(conn: &mut Conn, cipher: &Cipher) -> Result<Self, Error> {
        let open = |stored: StoredKey| {
            let key = cipher.open(stored.id, &stored.private_key).ok_or(Error::WrongSecret)?;
            let der = key.to_pkcs8_der().map_err(Error::cryptography)?;
            Ok(Key {
                kid: stored.id.to_string(),
                public: URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()),
                encoding: EncodingKey::from_ed_der(der.as_bytes()),
                decoding: DecodingKey::from_ed_der(key.verifying_key().as_bytes()),
                signs_from: stored.signs_from,
            })
        };
        store::keys::all(conn)?.into_iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// The key that signs now; the first one also before its time.
    pub fn signing(&self, now: Timestamp) -> Option<&Key> {
        self.0.iter().rfind(|key| key.signs_from <= now).or_else(|| self.0.first())
    }

    /// The keys that hold now, with those that will sign next.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = &Key> {
        let next = self.0.iter().skip(1).map(|key| Some(key.signs_from)).chain([None]);
        let held = self.0.iter().zip(next);
        held.filter(move |(_, next)| next.is_none_or(|next| now < next + HOLDS_AFTER)).map(|(key, _)| key)
    }

    /// The key of this name, if it holds now.
    pub fn verifying(&self, kid: &str, now: Timestamp) -> Option<&Key> {
        self.published(now).find(|key| key.kid == kid)
    }

    /// Whether it is time for a new key.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.0.last().is_none_or(|key| key.signs_from + ROTATION - PUBLISHED_BEFORE <= now)
    }
}

/// How a new key follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// If it is time: another process may have come first.
    IfDue,
    /// It signs in an hour, and the old one holds until its tokens have expired.
    Overlapping,
    /// It signs at once, and no old one holds: all tokens are invalid, and refreshing gives new ones.
    Revoking,
    /// The same, though the secret doesn't open the old ones: it has been lost or replaced.
    NewSecret,
}

/// Makes a new key, and removes those that hold no more.
pub fn rotate(conn: &mut Conn, cipher: &Cipher, rotation: Rotation) -> Result<(), Error> {
    let now = Timestamp::now();
    transaction(conn, |conn| {
        store::raise_access(conn)?;
        let stored = store::keys::all(conn)?;
        let mut old: Vec<Id> = stored.iter().map(|key| key.id).collect();
        let mut signs_from = now;
        if rotation != Rotation::NewSecret {
            // Else the other processes could not open the new key.
            let ring = Ring::load(conn, cipher)?;
            if rotation == Rotation::IfDue && !ring.is_due(now) {
                return Ok(());
            }
            let overlaps = rotation != Rotation::Revoking;
            let holding: Vec<&str> = ring.published(now).filter(|_| overlaps).map(|key| key.kid.as_str()).collect();
            old.retain(|id| !holding.contains(&id.to_string().as_str()));
            if !holding.is_empty() {
                signs_from = now + PUBLISHED_BEFORE;
            }
        }
        store::keys::delete(conn, &old)?;
        let (id, key) = (Id::new(), SigningKey::from_bytes(&rand::rng().random()));
        let public_key = key.verifying_key().as_bytes().to_vec();
        let made = StoredKey { id, public_key, private_key: cipher.seal(id, &key)?, signs_from };
        store::keys::insert(conn, &made, now)?;
        tracing::info!(kid = %id, %signs_from, "made a signing key");
        Ok::<_, Error>(())
    })
}

/// Sees to it that there is a key, and that the secret opens those there are.
pub fn ensure(conn: &mut Conn, cipher: &Cipher) -> Result<(), Error> {
    if Ring::load(conn, cipher)?.is_due(Timestamp::now()) { rotate(conn, cipher, Rotation::IfDue) } else { Ok(()) }
}
