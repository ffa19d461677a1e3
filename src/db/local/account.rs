//! The account that the private database server runs as: servers refuse to run as root unless they are told to.

use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use nix::unistd::{Uid, User, geteuid};

/// Accounts without privileges, the database's own first.
const UNPRIVILEGED: [&str; 2] = ["mysql", "nobody"];

/// An account for the server.
#[derive(Debug)]
pub(super) struct Account {
    /// Its name, or its number where it has none.
    pub(super) name: String,
    /// Number of the user.
    pub(super) uid: u32,
    /// Number of the user's group.
    pub(super) gid: u32,
}

impl Account {
    /// The account for the server in `folder`, which is given to it; none unless this process is root's. The owner of
    /// data that is there already stays; else an account without privileges is taken, and root where such an account
    /// can't reach the folder (below `/root`, for one).
    pub(super) fn for_server(folder: &Path) -> io::Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let account = match folder.join("data").metadata() {
            Ok(data) => Self::of(data.uid(), data.gid())?,
            Err(_) => Self::unprivileged(folder)?.map_or_else(|| Self::of(0, 0), Ok)?,
        };
        chown(folder, Some(account.uid), Some(account.gid))?;
        Ok(Some(account))
    }

    fn of(uid: u32, gid: u32) -> io::Result<Self> {
        let name = User::from_uid(Uid::from_raw(uid))?.map_or_else(|| uid.to_string(), |user| user.name);
        Ok(Self { name, uid, gid })
    }

    fn unprivileged(folder: &Path) -> io::Result<Option<Self>> {
        for name in UNPRIVILEGED {
            if let Some(user) = User::from_name(name)? {
                let account = Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() };
                return Ok(account.reaches(folder)?.then_some(account));
            }
        }
        Ok(None)
    }

    /// Whether the account may pass through all folders above `folder`.
    fn reaches(&self, folder: &Path) -> io::Result<bool> {
        for above in folder.ancestors().skip(1) {
            let found = above.metadata()?;
            let pass = if found.uid() == self.uid {
                0o100
            } else if found.gid() == self.gid {
                0o010
            } else {
                0o001
            };
            if found.mode() & pass == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_closed_folder_above_keeps_a_stranger_out() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("closed/inner");
        fs::create_dir_all(&folder).unwrap();
        let stranger = Account { name: "stranger".to_owned(), uid: 4_000_000, gid: 4_000_000 };
        let reaches_with = |mode| {
            fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
            fs::set_permissions(top.path().join("closed"), fs::Permissions::from_mode(mode)).unwrap();
            stranger.reaches(&folder).unwrap()
        };
        assert!(reaches_with(0o755));
        assert!(!reaches_with(0o750));
    }
}
