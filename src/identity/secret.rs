//! The secret under which signing keys are encrypted: a setting, or a file that only its owner may read, made at the first start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::passwords;
use crate::Id;
use crate::config::Secret;

/// The secret can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file can't be read or written.
    #[error("the key secret {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Others may read it.
    #[error(
        "the key secret {0} may be read by others than its owner: run 'chmod 600 {0}', or set BAREMO_KEY_SECRET instead"
    )]
    Open(String),
    /// It holds too little.
    #[error("the key secret {0} has less than 32 characters: put the right one there, or set BAREMO_KEY_SECRET")]
    Short(String),
}

/// Least characters of the secret.
pub const MIN_LENGTH: usize = 32;

/// The secret in a file of mode 0600, which is made where it is missing.
pub fn in_file(path: &Path) -> Result<Secret, SecretError> {
    let named = || path.display().to_string();
    let read = match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made_up = format!("{}{}\n", passwords::make_up(), passwords::make_up());
            write_new(path, made_up.as_bytes()).and_then(|()| read(path))
        }
        read => read,
    };
    let (mode, text) = read.map_err(|source| SecretError::File { path: named(), source })?;
    if mode & 0o077 != 0 {
        return Err(SecretError::Open(named()));
    }
    let secret = text.trim();
    if secret.chars().count() < MIN_LENGTH {
        return Err(SecretError::Short(named()));
    }
    Ok(Secret::new(secret))
}

fn read(path: &Path) -> io::Result<(u32, String)> {
    let file = fs::File::open(path)?;
    let mode = file.metadata()?.mode();
    Ok((mode, io::read_to_string(file)?))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_kept_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key-secret");
        let made = in_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(in_file(&path).unwrap(), made);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(in_file(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn processes_that_start_at_once_have_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key-secret");
        let opened: Vec<Secret> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| in_file(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(opened.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside the secret");
    }
}
