//! The files of a pack: read from a folder or from the database, with limits, and named by the digest of their content.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::document::is_key;
use crate::digest::Digest;

/// The manifest's path inside a pack.
pub const MANIFEST: &str = "pack.toml";
/// The path of the sample's description inside a pack.
pub const SAMPLE: &str = "sample.toml";
/// Most bytes of one file.
pub const MAX_FILE_BYTES: usize = 256 * 1024;
/// Most files of a pack.
pub const MAX_FILES: usize = 500;
/// Most bytes of all files of a pack together.
pub const MAX_BYTES: usize = 4 << 20;

/// The folder beside the packs, and inside of a release, that has general policies: `common/<policy>/…`.
const COMMON: &str = "common";
/// The files of a general policy, with its declaration first; its texts stand in `texts/<language>.toml`.
const COMMON_FILES: [&str; 3] = ["policy.toml", "policy.rhai", "cases.toml"];

/// The folders of a pack with the extension of their files; whatever else lies in a pack is no part of it.
const FOLDERS: [(&str, &str); 4] = [("policies", "rhai"), ("lib", "rhai"), ("cases", "toml"), ("texts", "toml")];

/// The files of a pack by path (`policies/volume_grade.rhai`), sorted. Line ends are `\n`, whatever the files have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    files: BTreeMap<String, String>,
    sample: Option<String>,
    folder: Option<PathBuf>,
}

/// A source as the database keeps it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    files: BTreeMap<String, String>,
}

impl Source {
    /// Reads a pack's folder. Hidden files, other folders and other extensions are left out; links are followed only
    /// inside the folder.
    ///
    /// # Errors
    /// Every file that can't be read, is too large or is no UTF-8; a folder that doesn't exist or has no manifest.
    pub fn from_folder(folder: &Path) -> Result<Self, Vec<Diagnostic>> {
        let root = folder.canonicalize().ok().filter(|root| root.is_dir()).ok_or_else(|| {
            vec![Diagnostic::of_file("", "folder", format!("there is no folder '{}' to read", folder.display()))]
        })?;
        let mut reading = Reading { root: &root, within: "", found: BTreeMap::new(), faults: Vec::new() };
        reading.file(MANIFEST);
        reading.file(SAMPLE);
        for (name, extension) in FOLDERS {
            reading.folder(name, extension);
        }
        let taken = reading.found.get(MANIFEST).map(|manifest| taken(manifest)).unwrap_or_default();
        reading.common(&taken);
        let Reading { mut found, mut faults, .. } = reading;
        if !root.join(MANIFEST).exists() {
            let message = format!("'{}' is no pack: it has no {MANIFEST}", folder.display());
            faults.push(Diagnostic::of_file(MANIFEST, "no_manifest", message));
        }
        let sample = found.remove(SAMPLE);
        faults.extend(too_many(found.len()));
        faults.extend(too_much(&found));
        if faults.is_empty() { Ok(Self { files: found, sample, folder: Some(root) }) } else { Err(faults) }
    }

    /// A pack made of files by path, as tests and stored releases have it.
    ///
    /// # Errors
    /// Paths that belong to no pack, files that are too large, and a missing manifest.
    pub fn from_files(files: BTreeMap<String, String>) -> Result<Self, Vec<Diagnostic>> {
        let mut faults: Vec<Diagnostic> = too_many(files.len()).into_iter().chain(too_much(&files)).collect();
        for (path, text) in &files {
            if !belongs(path) {
                faults.push(Diagnostic::of_file(path, "path", format!("'{path}' is no file of a pack")));
            } else if text.len() > MAX_FILE_BYTES {
                faults.push(too_large(path));
            }
        }
        if !files.contains_key(MANIFEST) {
            faults.push(Diagnostic::of_file(MANIFEST, "no_manifest", format!("there is no {MANIFEST}")));
        }
        let mut files: BTreeMap<String, String> =
            files.into_iter().map(|(path, text)| (path, text.replace("\r\n", "\n"))).collect();
        let sample = files.remove(SAMPLE);
        // General policies that the pack doesn't take are no part of it.
        let taken = files.get(MANIFEST).map(|manifest| taken(manifest)).unwrap_or_default();
        files.retain(|path, _| of_common(path).is_none_or(|(policy, _)| taken.iter().any(|taken| taken == policy)));
        if faults.is_empty() { Ok(Self { files, sample, folder: None }) } else { Err(faults) }
    }

    /// Reads what [`Source::to_json`] wrote.
    ///
    /// # Errors
    /// Text that is no such JSON, and what [`Source::from_files`] refuses.
    pub fn from_json(json: &str) -> Result<Self, Vec<Diagnostic>> {
        let stored: Stored = serde_json::from_str(json)
            .map_err(|error| vec![Diagnostic::of_file("", "stored_source", format!("no stored pack: {error}"))])?;
        Self::from_files(stored.files)
    }

    /// The content in canonical form: `{"files": {path: text}}` with sorted paths, without the sample.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "files": self.files }).to_string()
    }

    /// The name of the content: the digest of its canonical form. The sample has no part in it: it tells of one deployment's
    /// data, not of policy.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_json())
    }

    /// The text of a file by its path; the sample is read by [`Source::sample`].
    pub fn file(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Every file with its path, sorted.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The manifest's text; empty when there is none, which no constructor allows.
    pub fn manifest(&self) -> &str {
        self.file(MANIFEST).unwrap_or_default()
    }

    /// The scripts of the policies by their id.
    pub fn scripts(&self) -> BTreeMap<String, String> {
        let mut scripts = self.stems("policies");
        scripts.extend(self.of_common("policy.rhai"));
        scripts
    }

    /// The declaration of a general policy that the pack takes.
    pub fn common(&self, policy: &str) -> Option<&str> {
        self.file(&common(policy, "policy.toml"))
    }

    /// One file of each general policy that the pack takes, by the policy.
    fn of_common(&self, name: &str) -> impl Iterator<Item = (String, String)> {
        self.files.iter().filter_map(move |(path, text)| {
            let (policy, file) = of_common(path)?;
            (file == name).then(|| (policy.to_owned(), text.clone()))
        })
    }

    /// The library files by their stem.
    pub fn libs(&self) -> BTreeMap<String, String> {
        self.stems("lib")
    }

    /// The texts by language.
    pub fn texts(&self) -> BTreeMap<String, String> {
        self.stems("texts")
    }

    /// The case files by the policy they test.
    pub fn cases(&self) -> BTreeMap<String, String> {
        let mut cases = self.stems("cases");
        cases.extend(self.of_common("cases.toml"));
        cases
    }

    /// The text of `sample.toml`, where the pack has one and came from a folder.
    pub fn sample(&self) -> Option<&str> {
        self.sample.as_deref()
    }

    /// The folder it was read from, absolute; the sample's paths are relative to it.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    fn stems(&self, folder: &str) -> BTreeMap<String, String> {
        let stem =
            |path: &str| path.strip_prefix(folder)?.strip_prefix('/')?.rsplit_once('.').map(|(s, _)| s.to_owned());
        self.files.iter().filter_map(|(path, text)| Some((stem(path)?, text.clone()))).collect()
    }
}

/// Whether a path is one of a pack's files: no hidden file, no folder below but those of general policies.
fn belongs(path: &str) -> bool {
    let in_folder = |path: &str, (folder, extension): (&str, &str)| {
        path.strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|name| is_file_of(name, extension))
    };
    if let Some((policy, file)) = of_common(path) {
        return is_key(policy) && (COMMON_FILES.contains(&file) || in_folder(file, ("texts", "toml")));
    }
    path == MANIFEST || path == SAMPLE || FOLDERS.iter().any(|folder| in_folder(path, *folder))
}

/// The path of a general policy's file inside a release.
pub(super) fn common(policy: &str, file: &str) -> String {
    format!("{COMMON}/{policy}/{file}")
}

/// The general policy whose file stands under a path, and the file's name among those of the policy.
fn of_common(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix(COMMON)?.strip_prefix('/')?.split_once('/')
}

/// The general policies that a manifest takes, as far as it can be read.
fn taken(manifest: &str) -> Vec<String> {
    let (table, _) = DeTable::parse_recoverable(manifest);
    let policies = table.get_ref().get("policies").and_then(|policies| policies.get_ref().as_table());
    let takes = |declared: &DeValue<'_>| {
        declared.as_table().and_then(|declared| declared.get("common")?.get_ref().as_bool()) == Some(true)
    };
    let taken = policies.into_iter().flatten().filter(|(_, declared)| takes(declared.get_ref()));
    taken.map(|(policy, _)| policy.get_ref().to_string()).filter(|policy| is_key(policy)).collect()
}

fn is_file_of(name: &str, extension: &str) -> bool {
    let stem = name.strip_suffix(extension).and_then(|rest| rest.strip_suffix('.'));
    stem.is_some_and(|stem| !stem.is_empty() && !stem.starts_with('.') && !stem.contains(['/', '\\', '\0']))
}

fn too_many(count: usize) -> Option<Diagnostic> {
    let message = || format!("{count} files are more than the {MAX_FILES} that a pack may have");
    (count > MAX_FILES).then(|| Diagnostic::of_file("", "too_many_files", message()))
}

fn too_much(files: &BTreeMap<String, String>) -> Option<Diagnostic> {
    let bytes: usize = files.values().map(String::len).sum();
    let message = || format!("the files have {} KiB together; a pack may have {} KiB", bytes / 1024, MAX_BYTES / 1024);
    (bytes > MAX_BYTES).then(|| Diagnostic::of_file("", "too_large", message()))
}

fn too_large(path: &str) -> Diagnostic {
    let message = format!("'{path}' is larger than the {} KiB that a file of a pack may have", MAX_FILE_BYTES / 1024);
    Diagnostic::of_file(path, "too_large", message)
}

/// The text of a folder's manifest, whatever else is wrong with the pack; nothing where there is none that could be read.
pub fn manifest_in(folder: &Path) -> Option<String> {
    let bytes = beginning(&folder.canonicalize().ok()?.join(MANIFEST)).ok()??;
    String::from_utf8(bytes).ok()
}

/// The bytes of a file, one more than it may have at most; nothing where it is no plain file. A pipe or a device that has
/// just taken the place of a file is not waited for, and a link not followed.
fn beginning(at: &Path) -> io::Result<Option<Vec<u8>>> {
    if !at.is_file() {
        return Ok(None);
    }
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(at)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// The reading of one folder.
struct Reading<'a> {
    root: &'a Path,
    /// Under which path of the pack its files stand, with the slash.
    within: &'a str,
    found: BTreeMap<String, String>,
    faults: Vec<Diagnostic>,
}

impl Reading<'_> {
    /// Reads the general policies that the pack takes: from its own folder `common`, as releases have it, or else from the one beside the pack.
    fn common(&mut self, policies: &[String]) {
        let own = self.root.join(COMMON);
        let folder = if own.is_dir() { Some(own) } else { self.root.parent().map(|parent| parent.join(COMMON)) };
        for policy in policies {
            let Some(Ok(root)) = folder.as_ref().map(|folder| folder.join(policy).canonicalize()) else { continue };
            let within = common(policy, "");
            let mut reading = Reading { root: &root, within: &within, found: BTreeMap::new(), faults: Vec::new() };
            COMMON_FILES.iter().for_each(|file| reading.file(file));
            reading.folder("texts", "toml");
            self.found.extend(reading.found.into_iter().map(|(path, text)| (format!("{within}{path}"), text)));
            self.faults.extend(reading.faults);
        }
    }

    fn folder(&mut self, name: &str, extension: &str) {
        let Some(at) = self.inside(name) else { return };
        if !at.is_dir() {
            return;
        }
        let entries = match std::fs::read_dir(&at) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(name, &error),
        };
        // One more than the limit is enough to know that there are too many.
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|file| is_file_of(file, extension))
            .take(MAX_FILES + 1)
            .collect();
        names.sort();
        for file in names {
            self.file(&format!("{name}/{file}"));
        }
    }

    fn file(&mut self, path: &str) {
        let Some(at) = self.inside(path) else { return };
        let bytes = match beginning(&at) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(error) => return self.unreadable(path, &error),
        };
        if bytes.len() > MAX_FILE_BYTES {
            return self.faults.push(too_large(&self.shown(path)));
        }
        match String::from_utf8(bytes) {
            Ok(text) => {
                let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
                self.found.insert(path.to_owned(), text);
            }
            Err(error) => {
                let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
                let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
                let path = self.shown(path);
                let message = format!("'{path}' is not UTF-8: the first faulty byte is in line {line}");
                self.faults.push(Diagnostic { line: Some(line), ..Diagnostic::of_file(&path, "encoding", message) });
            }
        }
    }

    /// Where a path of the pack really lies: nothing when it isn't there, a fault when a link leads out of the pack.
    fn inside(&mut self, path: &str) -> Option<PathBuf> {
        match self.root.join(path).canonicalize() {
            Ok(at) if at.starts_with(self.root) => Some(at),
            Ok(_) => {
                let path = self.shown(path);
                let message = format!("'{path}' is a link that leads out of the pack; put the file itself there");
                self.faults.push(Diagnostic::of_file(&path, "link", message));
                None
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                self.unreadable(path, &error);
                None
            }
        }
    }

    /// A path as the pack has it.
    fn shown(&self, path: &str) -> String {
        format!("{}{path}", self.within)
    }

    fn unreadable(&mut self, path: &str, error: &std::io::Error) {
        let path = self.shown(path);
        self.faults.push(Diagnostic::of_file(&path, "unreadable", format!("'{path}' can't be read: {error}")));
    }
}

#[cfg(test)]
mod tests;
