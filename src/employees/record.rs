//! Recording an employee: creating and changing him. Every fault of what was sent is found at once.

use jiff::civil::Date;

use super::model::{Areas, Employee, EmployeeStatus, MAX_CODE, MAX_NAME};
use super::store;
use crate::Id;
use crate::db::{self, Conn, Failure, transaction};
use crate::faults::{Fault, did_you_mean, excerpt};
use crate::identity::store as users;
use crate::versions::Versions;

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such employee.
    #[error("there is no such employee")]
    NotFound,
    /// He has changed since the caller read him.
    #[error("the employee has changed since he was read")]
    Stale,
    /// Another employee has the code, or the account.
    #[error("another employee has the code or the account")]
    Taken,
    /// What was sent has faults.
    #[error("the employee has faults")]
    Invalid(Vec<Fault>),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}

/// What an employee is made of, or what is changed of him; what isn't named stays.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// His name.
    pub name: Option<String>,
    /// Whether he is employed.
    pub status: Option<EmployeeStatus>,
    /// The user's name of his account; nothing inside where he is to have none.
    pub username: Option<Option<String>>,
    /// An area that he serves from a day on.
    pub area: Option<(String, Date)>,
}

/// Creates an employee.
pub fn create(conn: &mut Conn, areas: &Areas, code: &str, draft: &Draft) -> Result<Employee, Error> {
    let mut faults = Vec::new();
    let mut employee = Employee {
        id: Id::new(),
        code: text("/code", code, MAX_CODE, &mut faults),
        name: String::new(),
        status: EmployeeStatus::Active,
        user_id: None,
        version: 1,
        areas: Vec::new(),
    };
    if draft.name.is_none() {
        faults.push(Fault::new("/name", "required", "an employee has a name"));
    }
    apply(conn, areas, &mut employee, draft, &mut faults)?;
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    written(transaction(conn, |conn| store::insert(conn, &employee)))?;
    Ok(employee)
}

/// Changes an employee who is still as the caller read him. A change of nothing raises no version.
pub fn change(conn: &mut Conn, areas: &Areas, id: Id, versions: &Versions, draft: &Draft) -> Result<Employee, Error> {
    let changed = transaction(conn, |conn| {
        let before = store::lock(conn, id)?.ok_or(Error::NotFound)?;
        if !versions.accept(before.version) {
            return Err(Error::Stale);
        }
        let (mut employee, mut faults) = (before.clone(), Vec::new());
        apply(conn, areas, &mut employee, draft, &mut faults)?;
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        if employee != before {
            employee.version += 1;
            written(store::update(conn, &employee))?;
        }
        Ok(employee)
    })?;
    Ok(changed)
}

fn written(result: db::Result<()>) -> Result<(), Error> {
    result.map_err(|error| if matches!(error, db::Error::Taken) { Error::Taken } else { error.into() })
}

fn apply(
    conn: &mut Conn,
    areas: &Areas,
    employee: &mut Employee,
    draft: &Draft,
    faults: &mut Vec<Fault>,
) -> db::Result<()> {
    if let Some(name) = &draft.name {
        employee.name = text("/name", name, MAX_NAME, faults);
    }
    employee.status = draft.status.unwrap_or(employee.status);
    match &draft.username {
        None => {}
        Some(None) => employee.user_id = None,
        Some(Some(username)) => match users::find_by_name(conn, &username.trim().to_ascii_lowercase())? {
            Some(user) => employee.user_id = Some(user.id),
            None => {
                let detail = format!("there is no user '{}'", excerpt(username));
                faults.push(Fault::new("/username", "unknown_user", detail));
            }
        },
    }
    if let Some((area, from)) = &draft.area {
        let area = text("/area/name", area, MAX_NAME, faults);
        if let Some(known) = areas.0.as_ref().filter(|known| !known.contains(&area)) {
            let hint = did_you_mean(&area, known.iter().map(String::as_str));
            let detail = format!("'{}' is no area{hint}", excerpt(&area));
            faults.push(Fault::new("/area/name", "unknown_choice", detail));
        }
        employee.assign(&area, *from);
    }
    Ok(())
}

fn text(pointer: &str, text: &str, longest: usize, faults: &mut Vec<Fault>) -> String {
    let text = text.trim();
    let length = text.chars().count();
    if !(1..=longest).contains(&length) || text.chars().any(char::is_control) {
        let detail =
            format!("a text has 1 to {longest} characters, none of them a control character; this one has {length}");
        faults.push(Fault::new(pointer, "out_of_range", detail));
    }
    text.to_owned()
}
