//! Recording a customer: creating, changing, deactivating and reactivating him. Every fault of what was sent is found at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;

use super::error::Error;
use super::file::{self, Customer, MAX_CODE, MAX_NAME, Profile, Status, divide, profile_of, unite, values_of};
use super::model::{Fields, Values};
use super::store::{self, subjects::Change};
use crate::Id;
use crate::db::{self, Conn};
use crate::faults::{Fault, MOST, pointer_segment, unknown_field};
use crate::versions::Versions;

/// The circumstances in which customers are recorded.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The fields of the file.
    pub fields: Arc<Fields>,
    /// Those that a policy reads: a change of another one makes nobody due.
    pub read: BTreeSet<String>,
    /// Number of the basis that says so.
    pub basis: i64,
}

impl Rules {
    /// What a change means for the customer as a subject; nothing where his inputs are the same.
    pub(super) fn change(&self, before: &Customer, after: &Customer) -> Option<Change> {
        match (before.status, after.status) {
            (Status::Inactive, Status::Active) => return Some(Change::Joined),
            (Status::Active, Status::Inactive) => return Some(Change::Left),
            _ if before.profile == after.profile => return None,
            _ => {}
        }
        let (before, after) = (values_of(&self.fields, &before.profile), values_of(&self.fields, &after.profile));
        let changed = self.read.iter().any(|key| before.get(key) != after.get(key));
        Some(if changed { Change::Read } else { Change::Unread })
    }
}

/// What a new customer is made of, as it was sent; `null` where nothing was.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Code.
    pub code: Json,
    /// Name.
    pub name: Json,
    /// Profile.
    pub profile: Json,
    /// Members besides, which a customer doesn't have.
    pub unknown: Vec<String>,
}

/// A merge patch of a customer, as it was sent; `null` removes.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Code, which may only be repeated.
    pub code: Option<Json>,
    /// Name.
    pub name: Option<Json>,
    /// Profile.
    pub profile: Option<Json>,
    /// Members besides, which a customer doesn't have.
    pub unknown: Vec<String>,
}

/// Creates a customer.
pub fn create(conn: &mut Conn, rules: &Rules, draft: &Draft) -> Result<Customer, Error> {
    let fields = &rules.fields;
    let mut faults = unknown(&draft.unknown);
    let code = read("code", MAX_CODE, &draft.code, &mut faults);
    let name = read("name", MAX_NAME, &draft.name, &mut faults);
    let values = check_profile(fields, &draft.profile, &Profile::new(), &mut faults);
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let customer = new(code, name, profile_of(fields, &values));
    let created = db::transaction(conn, |conn| {
        store::insert(conn, fields, std::slice::from_ref(&customer))?;
        store::subjects::raise(conn, rules.basis, &BTreeMap::from([(customer.id, Change::Joined)]))
    });
    match created {
        Ok(()) => Ok(customer),
        Err(db::Error::Taken) => Err(Error::CodeTaken(customer.code)),
        Err(error) => Err(error.into()),
    }
}

/// Changes a customer who is still as the caller read him; gives him as he is then. A change of nothing raises no version.
pub fn change(
    conn: &mut Conn,
    rules: &Rules,
    id: Id,
    versions: &Versions,
    changes: &Changes,
) -> Result<Customer, Error> {
    let fields = &rules.fields;
    update(conn, rules, id, versions, |customer| {
        let mut faults = unknown(&changes.unknown);
        if changes.code.as_ref().is_some_and(|code| code.as_str().map(str::trim) != Some(&customer.code)) {
            let detail = format!("the code of a customer can't change; it stays '{}'", customer.code);
            faults.push(Fault::new("/code", "immutable", detail));
        }
        if let Some(name) = &changes.name {
            customer.name = read("name", MAX_NAME, name, &mut faults);
        }
        if let Some(patch) = &changes.profile {
            let (declared, hidden) = divide(fields, &customer.profile);
            let mut merged = Json::Object(declared);
            file::merge(&mut merged, patch);
            let values = check_profile(fields, &merged, &hidden, &mut faults);
            if values != values_of(fields, &customer.profile) {
                customer.profile = unite(profile_of(fields, &values), hidden);
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    })
}

/// Takes a customer out of assessments, or back into them.
pub fn set_status(
    conn: &mut Conn,
    rules: &Rules,
    id: Id,
    versions: &Versions,
    status: Status,
) -> Result<Customer, Error> {
    update(conn, rules, id, versions, |customer| {
        if customer.status == status {
            return Err(Error::StatusAlready(status));
        }
        customer.status = status;
        Ok(())
    })
}

fn update(
    conn: &mut Conn,
    rules: &Rules,
    id: Id,
    versions: &Versions,
    work: impl Fn(&mut Customer) -> Result<(), Error>,
) -> Result<Customer, Error> {
    let mut change = || changed(conn, rules, id, versions, &work);
    loop {
        match change() {
            // Somebody else came first, which is all the same to who accepts any version.
            Err(Error::Stale) if *versions == Versions::Any => {}
            done => return done,
        }
    }
}

fn changed(
    conn: &mut Conn,
    rules: &Rules,
    id: Id,
    versions: &Versions,
    work: &impl Fn(&mut Customer) -> Result<(), Error>,
) -> Result<Customer, Error> {
    db::transaction(conn, |conn| {
        let before = store::find(conn, id)?.ok_or(Error::NotFound)?;
        if !versions.accept(before.version) {
            return Err(Error::Stale);
        }
        let mut after = before.clone();
        work(&mut after)?;
        if after == before {
            return Ok(before);
        }
        after.version += 1;
        after.updated_at = file::now();
        if !store::update(conn, &rules.fields, &after)? {
            return Err(Error::Stale);
        }
        if let Some(change) = rules.change(&before, &after) {
            store::subjects::raise(conn, rules.basis, &BTreeMap::from([(id, change)]))?;
        }
        Ok(after)
    })
}

/// A new, active customer.
pub fn new(code: String, name: String, profile: Profile) -> Customer {
    let now = file::now();
    Customer {
        id: Id::new(),
        code,
        name,
        status: Status::Active,
        profile,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// Checks a code or a name and gives it trimmed. The error is a stable code and a sentence.
pub fn check_text(what: &str, max: usize, text: &str) -> Result<String, (&'static str, String)> {
    let text = text.trim();
    let length = text.chars().count();
    if text.is_empty() {
        return Err(("required", format!("'{what}' is required")));
    }
    if length > max {
        return Err(("too_long", format!("{length} characters are more than the {max} allowed")));
    }
    // The separators of lines and paragraphs break lines too.
    if let Some(control) = text.chars().find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(("control_character", format!("the control character {control:?} is not allowed")));
    }
    Ok(text.to_owned())
}

fn unknown(members: &[String]) -> Vec<Fault> {
    let fault = |name: &String| unknown_field(&pointer_segment(name), name, ["code", "name", "profile"]);
    members.iter().take(MOST).map(fault).collect()
}

fn read(what: &str, max: usize, json: &Json, faults: &mut Vec<Fault>) -> String {
    let checked = match json {
        Json::String(text) => check_text(what, max, text),
        Json::Null => Err(("required", format!("'{what}' is required"))),
        _ => Err(("wrong_type", format!("'{what}' is a text"))),
    };
    checked.unwrap_or_else(|(code, detail)| {
        faults.push(Fault::new(format!("/{what}"), code, detail));
        String::new()
    })
}

fn check_profile(fields: &Fields, json: &Json, hidden: &Profile, faults: &mut Vec<Fault>) -> Values {
    let empty = Profile::new();
    let profile = match json {
        Json::Object(profile) => profile,
        Json::Null => &empty,
        _ => {
            faults.push(Fault::new("/profile", "wrong_type", "a profile is an object of sections"));
            return Values::new();
        }
    };
    fields.check_beside(profile, hidden).unwrap_or_else(|found| {
        faults.extend(found.into_iter().map(|fault| fault.under("/profile")));
        Values::new()
    })
}
