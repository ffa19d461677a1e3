//! Employees in the database, with the areas that they serve.

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::{NullableDate, ToDiesel};

use super::model::{Assignment, Employee, EmployeeStatus};
use crate::Id;
use crate::db::schema::{employee_areas, employees};
use crate::db::{Conn, Error, Result};

#[derive(Queryable, Selectable)]
#[diesel(table_name = employees)]
struct EmployeeRow {
    id: Id,
    code: String,
    name: String,
    status: String,
    user_id: Option<Id>,
    version: i64,
}

/// Employees with the areas that they serve.
fn with_areas(conn: &mut Conn, rows: Vec<EmployeeRow>) -> Result<Vec<Employee>> {
    let ids: Vec<Id> = rows.iter().map(|row| row.id).collect();
    let found: Vec<(Id, String, jiff_diesel::Date, NullableDate)> = employee_areas::table
        .filter(employee_areas::employee_id.eq_any(&ids))
        .order((employee_areas::employee_id, employee_areas::starts_on))
        .select((employee_areas::employee_id, employee_areas::area, employee_areas::starts_on, employee_areas::ends_on))
        .load(conn)?;
    let mut areas: BTreeMap<Id, Vec<Assignment>> = BTreeMap::new();
    for (id, area, from, to) in found {
        areas.entry(id).or_default().push(Assignment { area, from: from.into(), to: to.into() });
    }
    let employee = |row: EmployeeRow| {
        Ok(Employee {
            areas: areas.remove(&row.id).unwrap_or_default(),
            id: row.id,
            code: row.code,
            name: row.name,
            status: EmployeeStatus::from_key(&row.status)
                .ok_or_else(|| Error::Corrupt("the status of an employee".to_owned()))?,
            user_id: row.user_id,
            version: row.version,
        })
    };
    rows.into_iter().map(employee).collect()
}

/// An employee.
pub fn find(conn: &mut Conn, id: Id) -> Result<Option<Employee>> {
    let rows = employees::table.find(id).select(EmployeeRow::as_select()).load(conn)?;
    Ok(with_areas(conn, rows)?.pop())
}

/// An employee whom nobody else changes, or evaluates, until the transaction ends.
pub fn lock(conn: &mut Conn, id: Id) -> Result<Option<Employee>> {
    let rows = employees::table.find(id).select(EmployeeRow::as_select()).for_update().load(conn)?;
    Ok(with_areas(conn, rows)?.pop())
}

/// The employee who a user is.
pub fn of_user(conn: &mut Conn, user_id: Id) -> Result<Option<Id>> {
    Ok(employees::table.filter(employees::user_id.eq(user_id)).select(employees::id).first(conn).optional()?)
}

/// Ids by code.
pub fn ids_by_code(conn: &mut Conn, codes: &[&str]) -> Result<BTreeMap<String, Id>> {
    let rows: Vec<(String, Id)> =
        employees::table.filter(employees::code.eq_any(codes)).select((employees::code, employees::id)).load(conn)?;
    Ok(rows.into_iter().collect())
}

/// A page of employees after an id; of those alone who serve an area on a day.
pub fn page(conn: &mut Conn, area: Option<(&str, Date)>, after: Id, limit: i64) -> Result<Vec<Employee>> {
    let mut query = employees::table
        .filter(employees::id.gt(after))
        .order(employees::id)
        .limit(limit)
        .select(EmployeeRow::as_select())
        .into_boxed();
    if let Some((area, on)) = area {
        query = query.filter(employees::id.eq_any(serving(conn, area, on)?));
    }
    let rows = query.load(conn)?;
    with_areas(conn, rows)
}

/// The employees who serve an area on a day, by code.
pub fn of_area(conn: &mut Conn, area: &str, on: Date) -> Result<Vec<Employee>> {
    let ids = serving(conn, area, on)?;
    let rows = employees::table
        .filter(employees::id.eq_any(ids))
        .order(employees::code)
        .select(EmployeeRow::as_select())
        .load(conn)?;
    with_areas(conn, rows)
}

/// Ids of those who serve an area on a day.
fn serving(conn: &mut Conn, area: &str, on: Date) -> Result<Vec<Id>> {
    let begun = employee_areas::starts_on.le(on.to_diesel());
    let lasts = employee_areas::ends_on.is_null().or(employee_areas::ends_on.ge(on.to_diesel()));
    let served = employee_areas::table.filter(employee_areas::area.eq(area)).filter(begun).filter(lasts);
    Ok(served.select(employee_areas::employee_id).distinct().load(conn)?)
}

/// Adds an employee; another one has the code or the account where that is taken.
pub fn insert(conn: &mut Conn, new: &Employee) -> Result<()> {
    diesel::insert_into(employees::table)
        .values((
            employees::id.eq(new.id),
            employees::code.eq(&new.code),
            employees::name.eq(&new.name),
            employees::status.eq(new.status.key()),
            employees::user_id.eq(new.user_id),
            employees::version.eq(new.version),
            employees::created_at.eq(Timestamp::now().to_diesel()),
        ))
        .execute(conn)?;
    write_areas(conn, new)
}

/// Writes an employee in place of the version before.
pub fn update(conn: &mut Conn, changed: &Employee) -> Result<()> {
    diesel::update(employees::table.find(changed.id))
        .set((
            employees::name.eq(&changed.name),
            employees::status.eq(changed.status.key()),
            employees::user_id.eq(changed.user_id),
            employees::version.eq(changed.version),
        ))
        .execute(conn)?;
    write_areas(conn, changed)
}

fn write_areas(conn: &mut Conn, employee: &Employee) -> Result<()> {
    diesel::delete(employee_areas::table.filter(employee_areas::employee_id.eq(employee.id))).execute(conn)?;
    for one in &employee.areas {
        diesel::insert_into(employee_areas::table)
            .values((
                employee_areas::employee_id.eq(employee.id),
                employee_areas::starts_on.eq(one.from.to_diesel()),
                employee_areas::area.eq(&one.area),
                employee_areas::ends_on.eq(one.to.to_diesel()),
            ))
            .execute(conn)?;
    }
    Ok(())
}
