//! Which column of a file is which target. What the first line says is repeated only where it is a header: in a file without one it is a row
//! of data, which is for fewer eyes than what an import says of itself.

use std::collections::{BTreeMap, BTreeSet};

use super::Column;
use crate::faults::{did_you_mean, excerpt};

/// Most targets of a mapping.
pub const MAX_MAPPED: usize = 1000;
/// Longest name of a target or of a column in a mapping, in characters.
pub const MAX_NAME: usize = 200;

/// Columns of a file by target, each of which stands once, in whatever letters.
///
/// # Errors
/// The target that stands twice.
pub fn mapping(pairs: impl IntoIterator<Item = (String, String)>) -> Result<BTreeMap<String, String>, String> {
    let (mut mapping, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for (target, column) in pairs {
        if !seen.insert(target.to_ascii_lowercase()) {
            return Err(target);
        }
        mapping.insert(target, column);
    }
    Ok(mapping)
}

/// Which column of the file has which target, or everything that is wrong with header and mapping.
pub(super) fn places(
    names: &[String],
    columns: &[Column],
    mapping: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, usize>, Vec<String>> {
    let mut faults = Vec::new();
    let mapped = mapped(columns, mapping, &mut faults);
    let is = |column: &Column, name: &str| match mapped.get(column.target.as_str()) {
        Some(wanted) => name.eq_ignore_ascii_case(wanted.trim()),
        None => column.is_named(name),
    };
    let is_known = |name: &String| columns.iter().any(|column| is(column, name));
    if !columns.is_empty() && !names.iter().any(is_known) {
        faults.push(none_known(names.len(), columns, &mapped));
        return Err(faults);
    }
    check_doubled(names, &mut faults);
    let mut places = BTreeMap::new();
    for column in columns {
        let mapped = mapped.get(column.target.as_str());
        let mut found = names.iter().enumerate().filter(|(_, name)| is(column, name));
        match (found.next(), found.next()) {
            (Some((place, _)), None) => drop(places.insert(column.target.clone(), place)),
            (Some((_, first)), Some((_, second))) if !first.eq_ignore_ascii_case(second) => {
                faults.push(format!("'{first}' and '{second}' are the same column '{}'", column.target));
            }
            (None, _) if mapped.is_some() || column.required => {
                let name = mapped.copied().unwrap_or(&column.target);
                let hint = did_you_mean(&name.to_lowercase(), names.iter().map(String::as_str));
                let have = names.iter().map(String::as_str).filter(|name| !name.is_empty());
                let have = excerpts(have);
                faults.push(format!("the column '{}' is missing{hint} (the header has {have})", excerpt(name)));
            }
            _ => {}
        }
    }
    if faults.is_empty() { Ok(places) } else { Err(faults) }
}

/// The names that the mapping gives columns, by their own.
fn mapped<'a>(
    columns: &'a [Column],
    mapping: &'a BTreeMap<String, String>,
    faults: &mut Vec<String>,
) -> BTreeMap<&'a str, &'a str> {
    let mut mapped: BTreeMap<&str, &str> = BTreeMap::new();
    for (target, name) in mapping {
        let Some(column) = columns.iter().find(|column| column.is_named(target)) else {
            let hint = did_you_mean(target, columns.iter().flat_map(Column::names));
            faults.push(format!("nothing can be imported into '{}'{hint}", excerpt(target)));
            continue;
        };
        if mapped.insert(&column.target, name).is_some() {
            faults.push(format!("the mapping names the column of '{}' twice", column.target));
        }
    }
    mapped
}

/// What is said of a first line that names no column, as that of a file without a header.
fn none_known(found: usize, columns: &[Column], mapped: &BTreeMap<&str, &str>) -> String {
    let needed = columns.iter().filter_map(|column| {
        let own = column.required.then_some(column.target.as_str());
        mapped.get(column.target.as_str()).copied().or(own)
    });
    let needed = excerpts(needed);
    format!("none of the {found} columns of the first line is known: it must be a header, which names {needed}")
}

fn check_doubled(names: &[String], faults: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        if !seen.insert(name.to_ascii_lowercase()) {
            faults.push(format!("the column '{}' stands twice in the header", excerpt(name)));
        }
    }
}

fn excerpts<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let all: Vec<&str> = names.collect();
    let shown: Vec<String> = all.iter().take(SHOWN).map(|name| excerpt(name)).collect();
    let more = if all.len() > SHOWN { format!(" and {} more", all.len() - SHOWN) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
