//! Folders are treated as if they were crates: who may import what is written down in `allowed`, and every path in
//! `src/` is held against it. The table in words stands in ARCHITECTURE.md.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Capabilities, lower ones first: a lower one never imports a higher.
const CAPABILITIES: [&str; 12] = [
    "identity",
    "customers",
    "employees",
    "transactions",
    "policy",
    "events",
    "releases",
    "assessments",
    "imports",
    "staff",
    "service",
    "analytics",
];
/// Small modules that know nothing of the rest and serve everybody.
const SHARED: [&str; 8] = ["faults", "digest", "csv_rows", "entries", "markdown", "schemas", "versions", "Id"];
/// Files besides `model.rs` that are models, each of a subject of its own.
const MODELS: [(&str, &str); 10] = [
    ("assessments", "distribution"),
    ("assessments", "tally"),
    ("customers", "file"),
    ("customers", "selection"),
    ("customers", "texts"),
    ("transactions", "computation"),
    ("transactions", "lines"),
    ("transactions", "observations"),
    ("transactions", "period"),
    ("transactions", "products"),
];
const COMPOSITION: [&str; 4] = ["app", "cli", "config", "main"];

const DIESEL: [&str; 3] = ["diesel", "diesel_migrations", "jiff_diesel"];
const ACTIX: [&str; 5] = ["actix_web", "actix_multipart", "tracing_actix_web", "utoipa_actix_web", "utoipa_swagger_ui"];
const RHAI: [&str; 1] = ["rhai"];
/// All that a model may name besides its own crate.
const OF_MODELS: [&str; 14] = [
    "std",
    "serde",
    "serde_json",
    "rust_decimal",
    "libm",
    "jiff",
    "uuid",
    "thiserror",
    "utoipa",
    "regex",
    "indexmap",
    "sha2",
    "proptest",
    "toml",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Model,
    Store,
    Api,
    UseCase,
    /// The rule engine: every file of `policy/` but its model.
    Policy,
    Db,
    Http,
    Shared,
    Composition,
}

/// Where a file stands, or what a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    room: Room,
    /// Rank of its capability, for the rooms of one.
    capability: Option<usize>,
}

impl Place {
    /// Of a module path like `["customers", "store", "find"]`; none where there is no such room.
    fn of(path: &[String]) -> Option<Self> {
        let top = path.first()?.as_str();
        if let Some(rank) = CAPABILITIES.iter().position(|name| *name == top) {
            let room = match path.get(1).map(String::as_str) {
                Some("model") => Room::Model,
                Some(file) if MODELS.contains(&(top, file)) => Room::Model,
                Some("store") => Room::Store,
                Some("api") => Room::Api,
                _ if top == "policy" => Room::Policy,
                _ => Room::UseCase,
            };
            return Some(Self { room, capability: Some(rank) });
        }
        let room = match top {
            "db" => Room::Db,
            // Cursors and limits are plain values, which use cases take and give.
            "http" if path.get(1).is_some_and(|name| name == "paging") => Room::Shared,
            "http" => Room::Http,
            _ if SHARED.contains(&top) => Room::Shared,
            _ if COMPOSITION.contains(&top) => Room::Composition,
            _ => return None,
        };
        Some(Self { room, capability: None })
    }
}

/// Why code in `from` may not name `path`, which is in `to`; nothing where it may.
fn refused(from: Place, to: Place, path: &[String]) -> Option<&'static str> {
    use Room::*;
    if let (Some(own), Some(other)) = (from.capability, to.capability)
        && other > own
    {
        return Some("a capability imports no higher one");
    }
    let second = path.get(1).map(String::as_str);
    let allowed: &[Room] = match from.room {
        Model => &[Model, Shared],
        Shared => &[Model, Shared],
        Policy => &[Model, Policy, Shared],
        Store => &[Model, Store, Db, Shared],
        Db => &[Model, Db, Shared],
        UseCase => &[Model, Store, Policy, UseCase, Db, Shared],
        // A query that is no more than a query needs no use case: handlers call it.
        Api => &[Model, Store, Policy, UseCase, Db, Http, Shared, Api],
        Http => &[Model, Policy, UseCase, Db, Http, Shared],
        Composition => return None,
    };
    match (from.room, to.room, second) {
        (UseCase | Api | Http, Composition, Some("Secret")) if path.first().is_some_and(|top| top == "config") => None,
        // Permissions are extractors, named in the signatures of every capability's handlers.
        (Api, Api, _) if from.capability != to.capability && to.capability != Some(0) => {
            Some("handlers are no one else's")
        }
        (UseCase | Api | Http, Db, Some("schema" | "bulk")) => Some("tables and statements are the stores' business"),
        (_, room, _) if !allowed.contains(&room) => Some("this room may not see that one"),
        _ => None,
    }
}

/// Why code in `from` may not name `path` below `crate`; nothing where it may.
fn refused_path(from: Place, path: &[String]) -> Option<&'static str> {
    let top = path.first()?;
    // A bare capability is judged where something of it is named.
    if path.len() == 1 && CAPABILITIES.contains(&top.as_str()) {
        return None;
    }
    match Place::of(path) {
        Some(to) => refused(from, to, path),
        None => Some("no room of the house"),
    }
}

/// Why code in `from` may not name the crate; nothing where it may.
fn refused_crate(from: Place, name: &str, imported: bool) -> Option<&'static str> {
    use Room::*;
    let [diesel, actix, rhai] = [&DIESEL[..], &ACTIX[..], &RHAI[..]].map(|family| family.contains(&name));
    let banned = match from.room {
        Model | Shared => diesel || actix || rhai,
        Policy => diesel || actix,
        Store | Db => actix || rhai,
        UseCase => actix || diesel || rhai,
        Api | Http => diesel || rhai,
        Composition => rhai,
    };
    if banned {
        return Some("this room may not use that crate");
    }
    (from.room == Model && imported && !OF_MODELS.contains(&name)).then_some("a model uses plain data crates alone")
}

/// A path as it is written in a file.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    segments: Vec<String>,
    /// Module in which it stands.
    module: Vec<String>,
    /// Whether it stands in a `use`.
    imported: bool,
}

/// All paths of a source: those in `use` and those written out, also inside macros.
fn paths(tokens: TokenStream, module: &[String], found: &mut Vec<Written>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Group(group) => paths(group.stream(), module, found),
            TokenTree::Ident(word) if word == "mod" => {
                if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                    (tokens.get(at), tokens.get(at + 1))
                {
                    let inner: Vec<_> = module.iter().cloned().chain([name.to_string()]).collect();
                    paths(body.stream(), &inner, found);
                    at += 2;
                }
            }
            TokenTree::Ident(word) if word == "use" => {
                let mut leaves = Vec::new();
                at += use_tree(tokens.get(at..).unwrap_or_default(), &[], &mut leaves);
                found.extend(leaves.into_iter().map(|segments| Written {
                    segments,
                    module: module.to_vec(),
                    imported: true,
                }));
            }
            TokenTree::Ident(_) => {
                let (segments, length) = path(tokens.get(at - 1..).unwrap_or_default());
                at += length - 1;
                if segments.len() > 1 {
                    found.push(Written { segments, module: module.to_vec(), imported: false });
                }
            }
            _ => {}
        }
    }
}

/// Names joined by `::` at the beginning of `tokens`, and how many tokens they are.
fn path(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        segments.push(name.to_string());
        at += 1;
        if !is_colon(tokens.get(at)) || !is_colon(tokens.get(at + 1)) {
            break;
        }
        at += 2;
    }
    (segments, at.max(1))
}

/// The leaves of a `use` from behind that word, and how many tokens it is.
fn use_tree(tokens: &[TokenTree], prefix: &[String], leaves: &mut Vec<Vec<String>>) -> usize {
    let lead = if is_colon(tokens.first()) { 2 } else { 0 };
    let tokens = tokens.get(lead..).unwrap_or_default();
    let (segments, length) =
        if matches!(tokens.first(), Some(TokenTree::Ident(_))) { path(tokens) } else { (Vec::new(), 0) };
    let whole: Vec<_> =
        prefix.iter().cloned().chain(segments.into_iter().filter(|name| name != "self" || prefix.is_empty())).collect();
    match tokens.get(length) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<_> = group.stream().into_iter().collect();
            for part in inner.split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ',')) {
                use_tree(part, &whole, leaves);
            }
        }
        _ if whole.is_empty() => {}
        _ => leaves.push(whole),
    }
    lead + length
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':')
}

/// The module path below `crate` that a written path names; none for one that begins elsewhere.
fn resolved(written: &Written, names: &HashMap<String, Vec<String>>) -> Option<Vec<String>> {
    let mut module = written.module.clone();
    let mut rest = written.segments.as_slice();
    match rest.first()?.as_str() {
        "crate" => module.clear(),
        "self" => {}
        "super" => {
            while rest.first().is_some_and(|name| name == "super") {
                module.pop();
                rest = rest.get(1..)?;
            }
            return Some([module.as_slice(), rest].concat());
        }
        // What a `use` of a module has brought in is followed: `use crate::db; … db::schema::users`.
        name => module = names.get(name)?.clone(),
    }
    Some([module.as_slice(), rest.get(1..)?].concat())
}

/// The faults of one file: each path that it may not name, with the reason. `file` is relative to `src/`.
fn faults(file: &str, source: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if stem == "lib" {
        return Vec::new();
    }
    let module: Vec<_> = stem.split('/').map(str::to_owned).collect();
    let Some(from) = Place::of(&module) else {
        return vec![format!(
            "{file}: no room of the house; give it one in tests/suite/imports.rs and ARCHITECTURE.md"
        )];
    };
    let mut written = Vec::new();
    paths(source.parse().unwrap(), &module, &mut written);
    let mut names = HashMap::new();
    let mut faults = Vec::new();
    let (imported, named): (Vec<_>, Vec<_>) = written.iter().partition(|path| path.imported);
    for path in imported.into_iter().chain(named) {
        let target = resolved(path, &names);
        let reason = match &target {
            Some(target) => refused_path(from, target),
            None => path.segments.first().and_then(|name| refused_crate(from, name, path.imported)),
        };
        match (reason, target) {
            (Some(reason), _) => faults.push(format!("{file}: {}: {reason}", path.segments.join("::"))),
            (None, Some(target)) if path.imported => {
                names.extend(target.last().cloned().map(|name| (name, target)));
            }
            _ => {}
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// Every file with the ending below a folder, any where it is empty, as paths relative to the repository.
pub(crate) fn files_below(folder: &str, ending: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if ending.is_empty() || path.extension().is_some_and(|extension| extension == ending) {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_file_imports_only_what_its_room_may_see() {
    let files = files_below("src", "rs");
    assert!(files.len() >= 40, "only {} files were seen", files.len());
    let mut seen = 0;
    let faults: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
            seen += source.matches("crate::").count();
            faults(file.strip_prefix("src").unwrap().to_str().unwrap(), &source)
        })
        .collect();
    assert!(seen >= 50, "only {seen} imports were seen");
    assert!(faults.is_empty(), "imports against the order of the house:\n  {}", faults.join("\n  "));
}

#[test]
fn what_a_room_may_not_see_is_told_with_the_reason() {
    let crate_banned = "this room may not use that crate";
    let room_banned = "this room may not see that one";
    let cases = [
        ("customers/model.rs", "use diesel::prelude::*;", "diesel::prelude", crate_banned),
        ("customers/file.rs", "use diesel::prelude::*;", "diesel::prelude", crate_banned),
        ("customers/model.rs", "use tracing::info;", "tracing::info", "a model uses plain data crates alone"),
        ("customers/model.rs", "use super::store::find;", "super::store::find", room_banned),
        ("customers/model.rs", "use super::{Page, store};", "super::store", room_banned),
        (
            "customers/store.rs",
            "use crate::policy::model::Decision;",
            "crate::policy::model::Decision",
            "a capability imports no higher one",
        ),
        ("customers/store.rs", "fn f() -> actix_web::Result<()> {}", "actix_web::Result", crate_banned),
        ("customers/change.rs", "use diesel::RunQueryDsl;", "diesel::RunQueryDsl", crate_banned),
        (
            "customers/change.rs",
            "use crate::db; fn f() { db::schema::users::table; }",
            "db::schema::users::table",
            "tables and statements are the stores' business",
        ),
        (
            "customers/change.rs",
            "use crate::{Id, db::{Conn, bulk::Insert}};",
            "crate::db::bulk::Insert",
            "tables and statements are the stores' business",
        ),
        ("customers/change.rs", "use crate::http::problem::Problem;", "crate::http::problem::Problem", room_banned),
        ("customers/change.rs", "use crate::config::Config;", "crate::config::Config", room_banned),
        ("customers/api.rs", "mac!(rhai::Engine::new());", "rhai::Engine::new", crate_banned),
        (
            "assessments/api.rs",
            "use crate::customers::api::Page;",
            "crate::customers::api::Page",
            "handlers are no one else's",
        ),
        (
            "identity/sign_in.rs",
            "use crate::assessments; fn f() { assessments::run::start(); }",
            "assessments::run::start",
            "a capability imports no higher one",
        ),
        ("policy/engine.rs", "use crate::transactions::store;", "crate::transactions::store", room_banned),
        (
            "policy/engine/tests.rs",
            "mod inner { use super::super::super::super::db; }",
            "super::super::super::super::db",
            room_banned,
        ),
        ("http/problem.rs", "use crate::customers::store::Error;", "crate::customers::store::Error", room_banned),
        ("db/mod.rs", "use crate::identity::access::Access;", "crate::identity::access::Access", room_banned),
        ("faults.rs", "use crate::db::Db;", "crate::db::Db", room_banned),
        ("cli/rules.rs", "use rhai::Engine;", "rhai::Engine", crate_banned),
        ("customers/change.rs", "use crate::attic::Old;", "crate::attic::Old", "no room of the house"),
    ];
    for (file, source, path, reason) in cases {
        let told = faults(file, source);
        assert!(told.contains(&format!("{file}: {path}: {reason}")), "{source} in {file} gave {told:?}");
    }
    assert!(!faults("attic/old.rs", "").is_empty(), "a file of no room passed");
}

#[test]
fn what_a_room_may_see_passes() {
    let cases = [
        ("customers/model.rs", "use std::fmt; use serde::Serialize; use crate::{Id, faults::Fault}; use super::model;"),
        (
            "transactions/store.rs",
            "use diesel::prelude::*; use crate::db::{Conn, schema::users}; use crate::customers::model::Values;",
        ),
        (
            "assessments/assess.rs",
            "use crate::policy::engine::Engine; use crate::customers::store; use super::{model::Run, store as own};",
        ),
        (
            "assessments/api.rs",
            "use actix_web::web; use crate::http::problem::Problem; use crate::db::Db; use super::assess;",
        ),
        ("policy/engine.rs", "use rhai::Engine; use super::model::Decision; use crate::customers::model::Values;"),
        ("http/problem.rs", "use actix_web::ResponseError; use crate::customers::change; fn f(e: change::Error) {}"),
        (
            "identity/api.rs",
            "use crate::config::Secret; #[utoipa::path(tag = \"diesel::x\")] fn f() {} // use rhai::Engine;",
        ),
        ("app.rs", "use crate::customers::api; use diesel::Connection;"),
        ("customers/store.rs", "use super::file::{Customer, Status}; fn f() { Status::from_key(1); }"),
        ("customers/list.rs", "use crate::http::paging; fn f() { paging::limit(1); }"),
        ("customers/api.rs", "use crate::identity::api::Permit;"),
        ("customers/model.rs", "mod tests { use super::*; use proptest::prelude::*; }"),
    ];
    for (file, source) in cases {
        assert_eq!(faults(file, source), [""; 0], "{source} in {file}");
    }
}
