//! Passwords: hashed with argon2id, compared in constant time, and made up where none was given.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use rand::Rng;

/// A hash that no password has: comparing with it costs an unknown user the same time as a known one.
const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$YmFyZW1vLWR1bW15LXNhbHQ$0000000000000000000000000000000000000000000";
/// Letters and digits that can't be mistaken for each other.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const MADE_UP_LENGTH: usize = 20;

/// The PHC string of a password's hash. Blocks for some 20 ms.
pub fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

/// Whether a password has this hash; without one, false after the same time. Blocks for some 20 ms.
pub fn matches(password: &str, hash: Option<&str>) -> bool {
    let right = PasswordHash::new(hash.unwrap_or(DUMMY))
        .is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok());
    right && hash.is_some()
}

/// A password made up at random, of 20 letters and digits: 116 bits.
pub fn make_up() -> String {
    let mut random = rand::rng();
    (0..MADE_UP_LENGTH)
        .filter_map(|_| ALPHABET.get(random.random_range(0..ALPHABET.len())).map(|byte| char::from(*byte)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_alone() {
        let hashed = hash("correct horse").unwrap();
        assert!(matches("correct horse", Some(&hashed)));
        assert!(!matches("wrong horse", Some(&hashed)));
        assert!(!matches("correct horse", None));
    }

    #[test]
    fn the_dummy_costs_what_a_new_hash_costs() {
        let hashed = hash("correct horse").unwrap();
        let [dummy, new] = [DUMMY, &hashed].map(|text| PasswordHash::new(text).unwrap());
        assert_eq!((dummy.algorithm, dummy.version, &dummy.params), (new.algorithm, new.version, &new.params));
        assert_eq!(dummy.hash.unwrap().as_bytes().len(), new.hash.unwrap().as_bytes().len());
    }
}
