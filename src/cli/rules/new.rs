//! `baremo rules new`: a small pack to begin with, of a lending library.

use std::fs;
use std::path::Path;

use super::{Failed, say};

/// The id of the pack as the template has it.
const TEMPLATE_ID: &str = "id = \"lending\"";

/// The files of the pack.
const FILES: [(&str, &str); 6] = [
    ("pack.toml", include_str!("template/pack.toml")),
    ("policies/reader_grade.rhai", include_str!("template/reader_grade.rhai")),
    ("lib/clubs.rhai", include_str!("template/clubs.rhai")),
    ("cases/reader_grade.toml", include_str!("template/reader_grade.toml")),
    ("texts/en.toml", include_str!("template/en.toml")),
    ("texts/es.toml", include_str!("template/es.toml")),
];

/// Writes the pack into a folder that doesn't exist or is empty.
pub(super) fn write(folder: &Path) -> Result<(), Failed> {
    let refused = |error: std::io::Error| Failed(format!("{}: {error}", folder.display()));
    if folder.exists() && fs::read_dir(folder).map_err(refused)?.next().is_some() {
        return Err(Failed(format!("{} is not empty; a new pack begins in an empty folder", folder.display())));
    }
    let id = id(folder)?;
    for (path, text) in FILES {
        let at = folder.join(path);
        if let Some(parent) = at.parent() {
            fs::create_dir_all(parent).map_err(refused)?;
        }
        fs::write(&at, text.replace(TEMPLATE_ID, &format!("id = \"{id}\""))).map_err(refused)?;
    }
    let shown = folder.display();
    say(&format!(
        "{shown}: a pack with one policy and its cases. Next:\n  baremo rules test {shown}\n  baremo rules doc {shown}"
    ));
    Ok(())
}

/// The folder's name as an id; a refusal says what would be right.
fn id(folder: &Path) -> Result<String, Failed> {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = whole.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(64).collect();
    if plain.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Ok(plain);
    }
    Err(Failed(format!(
        "'{name}' makes no id of a pack: the folder's name begins with a letter from a to z, and has letters, digits and \
         '_', such as lending"
    )))
}
