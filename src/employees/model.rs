//! Employees and the areas that they serve. No I/O.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Id;

/// Most characters of a code.
pub const MAX_CODE: usize = 64;
/// Most characters of a name or an area.
pub const MAX_NAME: usize = 200;

/// Whether somebody is employed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmployeeStatus {
    /// He is.
    Active,
    /// He has left.
    Inactive,
}

impl EmployeeStatus {
    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }

    /// The status of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        [Self::Active, Self::Inactive].into_iter().find(|status| status.key() == key)
    }
}

/// The areas that employees may serve; nothing inside where the pack says nothing about staff.
#[derive(Clone, Debug, Default)]
pub struct Areas(pub Option<Vec<String>>);

/// An employee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Employee {
    /// His id.
    pub id: Id,
    /// His code, which never changes.
    pub code: String,
    /// His name.
    pub name: String,
    /// Whether he is employed.
    pub status: EmployeeStatus,
    /// The user who he is, where he has an account.
    pub user_id: Option<Id>,
    /// How often he was changed, from 1.
    pub version: i64,
    /// The areas that he serves, in the order of time: no two at once.
    pub areas: Vec<Assignment>,
}

/// An area that an employee serves for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The area.
    pub area: String,
    /// The first day.
    pub from: Date,
    /// The last day; absent where it has no end yet.
    pub to: Option<Date>,
}

impl Employee {
    /// The area that he serves on a day.
    pub fn area_on(&self, day: Date) -> Option<&str> {
        let serves = |one: &&Assignment| one.from <= day && one.to.is_none_or(|end| end >= day);
        self.areas.iter().find(serves).map(|one| one.area.as_str())
    }

    /// Lets him serve an area from a day on, in place of whatever he was to serve then.
    pub fn assign(&mut self, area: &str, from: Date) {
        self.areas.retain(|one| one.from < from);
        match self.areas.last_mut() {
            Some(last) if last.area == area => last.to = None,
            last => {
                if let Some(last) = last {
                    last.to = from.yesterday().ok();
                }
                self.areas.push(Assignment { area: area.to_owned(), from, to: None });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn whoever_moves_serves_one_area_on_each_day() {
        let mut employee = Employee {
            id: Id::NIL,
            code: "T1".to_owned(),
            name: "Ana".to_owned(),
            status: EmployeeStatus::Active,
            user_id: None,
            version: 1,
            areas: Vec::new(),
        };
        employee.assign("north", date(2018, 1, 1));
        employee.assign("north", date(2018, 2, 1));
        assert_eq!(employee.areas.len(), 1, "he serves it already");
        employee.assign("south", date(2018, 3, 16));
        let served = |employee: &Employee, month, day| employee.area_on(date(2018, month, day)).map(str::to_owned);
        assert_eq!(served(&employee, 3, 15).as_deref(), Some("north"));
        assert_eq!(served(&employee, 3, 16).as_deref(), Some("south"));
        assert_eq!(employee.area_on(date(2017, 12, 31)), None);
        employee.assign("north", date(2018, 3, 16));
        assert_eq!((employee.areas.len(), served(&employee, 4, 1).as_deref()), (1, Some("north")), "it was a mistake");
        employee.assign("south", date(2017, 6, 1));
        assert_eq!((employee.areas.len(), served(&employee, 1, 1).as_deref()), (1, Some("south")), "since earlier");
    }
}
