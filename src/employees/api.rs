//! Employees over HTTP.

use actix_web::http::header;
use actix_web::{HttpResponse, get, patch, post, web};
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{Areas, Assignment, Employee, EmployeeStatus};
use super::record::{self, Draft, Error};
use super::store;
use crate::Id;
use crate::customers::texts::date;
use crate::db::Db;
use crate::faults::Fault;
use crate::http::current::Current;
use crate::http::etag;
use crate::http::extract::{Body, IfMatch, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ReadStaff, WriteStaff};

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_employees).service(create_employee).service(get_employee).service(update_employee);
}

/// An employee.
#[derive(Serialize, ToSchema)]
#[schema(as = Employee, example = json!({"id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "code": "T1", "name": "Ana Ruiz", "status": "active",
    "user_id": "0193f0a2-7c1e-7aaa-8000-0123456789ac", "areas": [{"name": "north", "from": "2018-01-01"}], "version": 1}))]
pub struct EmployeeView {
    /// His id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// His code.
    code: String,
    /// His name.
    name: String,
    /// Whether he is employed.
    status: EmployeeStatus,
    /// The user who he is, where he has an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    user_id: Option<Id>,
    /// The areas that he serves, in the order of time.
    areas: Vec<AssignmentView>,
    /// How often he was changed, from 1.
    #[schema(minimum = 1)]
    version: i64,
}

/// An area that an employee serves for a time.
#[derive(Serialize, ToSchema)]
#[schema(as = Assignment, example = json!({"name": "north", "from": "2018-01-01", "to": "2018-03-15"}))]
pub struct AssignmentView {
    /// The area.
    name: String,
    /// The first day.
    #[schema(value_type = String, format = Date)]
    from: Date,
    /// The last day; absent where it has no end yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = Date)]
    to: Option<Date>,
}

impl From<Employee> for EmployeeView {
    fn from(employee: Employee) -> Self {
        let area = |Assignment { area, from, to }| AssignmentView { name: area, from, to };
        Self {
            id: employee.id,
            code: employee.code,
            name: employee.name,
            status: employee.status,
            user_id: employee.user_id,
            areas: employee.areas.into_iter().map(area).collect(),
            version: employee.version,
        }
    }
}

/// A page of employees.
#[derive(Serialize, ToSchema)]
pub struct EmployeeList {
    /// The employees, in the order in which they were entered.
    items: Vec<EmployeeView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for EmployeeList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// Employees
///
/// In the order in which they were entered; with `area` and `on` those who serve the area on the day.
#[utoipa::path(tag = "staff", operation_id = "listEmployees", security(("bearer" = ["staff:read"])), params(
    ("area" = Option<String>, Query, nullable = false, max_length = 200, description = "Those who serve this area", example = "north"),
    ("on" = Option<String>, Query, nullable = false, format = Date, description = "The day on which they do; comes with `area`"),
    PageParameters), responses(
    (status = 200, body = EmployeeList, description = "A page"),
    Problems
))]
#[get("/v1/employees")]
pub async fn list_employees(
    _: Permit<ReadStaff>,
    db: web::Data<Db>,
    mut parameters: Parameters,
) -> Result<Listed<EmployeeList>, Problem> {
    let (area, on) = (parameters.text("area")?, parameters.text("on")?);
    let invalid = |fault: Fault| Problem::invalid(vec![fault]);
    let on =
        on.map(|text| date(&text).map_err(|(code, detail)| invalid(Fault::new("on", code, detail)))).transpose()?;
    if area.is_some() != on.is_some() {
        return Err(invalid(Fault::new("on", "required", "'area' and 'on' come together")));
    }
    let (after, limit) = parameters.page::<Id>()?;
    let found = db
        .run(move |conn| {
            let serving = area.as_deref().zip(on);
            store::page(conn, serving, after.unwrap_or(Id::NIL), i64::from(limit) + 1)
        })
        .await?;
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.id));
    Ok(Listed(EmployeeList { items: items.into_iter().map(EmployeeView::from).collect(), next_cursor }))
}

/// An area that an employee is to serve.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "north", "from": "2018-01-01"}))]
pub struct AssignmentBody {
    /// The area: a value of the customers' field that the pack names.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The first day. What he served until then ends the day before, and what he was to serve later doesn't begin.
    #[schema(format = Date)]
    from: String,
}

impl AssignmentBody {
    fn read(self, faults: &mut Vec<Fault>) -> Option<(String, Date)> {
        let read = |(code, detail)| faults.push(Fault::new("/area/from", code, detail));
        Some((self.name, date(&self.from).map_err(read).ok()?))
    }
}

/// An employee to be entered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "T1", "name": "Ana Ruiz", "username": "ana", "area": {"name": "north", "from": "2018-01-01"}}))]
pub struct EmployeeBody {
    /// His code, which never changes.
    #[schema(min_length = 1, max_length = 64)]
    code: String,
    /// His name.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The user's name of his account, by which he signs.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    username: Option<String>,
    /// The area that he serves.
    #[schema(nullable = false)]
    area: Option<AssignmentBody>,
}

/// Enter an employee
///
/// 409 where another one has the code or the account.
#[utoipa::path(tag = "staff", operation_id = "createEmployee", security(("bearer" = ["staff:write"])), request_body = EmployeeBody, responses(
    (status = 201, body = EmployeeView, description = "Entered", headers(
        ("Location" = String, description = "Address of the employee"), ("ETag" = String, description = "His version"))),
    Problems
))]
#[post("/v1/employees")]
pub async fn create_employee(
    _: Permit<WriteStaff>,
    db: web::Data<Db>,
    areas: Current<Areas>,
    body: Body<EmployeeBody>,
) -> Result<HttpResponse, Problem> {
    let EmployeeBody { code, name, username, area } = body.0;
    let mut faults = Vec::new();
    let area = area.and_then(|area| area.read(&mut faults));
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let draft = Draft { name: Some(name), status: None, username: username.map(Some), area };
    let employee = db.run(move |conn| record::create(conn, &areas, &code, &draft)).await?;
    let location = (header::LOCATION, format!("/v1/employees/{}", employee.id));
    let tag = etag::tag(employee.version);
    Ok(HttpResponse::Created().insert_header(location).insert_header(tag).json(EmployeeView::from(employee)))
}

/// An employee
///
/// With the areas that he serves and has served.
#[utoipa::path(tag = "staff", operation_id = "getEmployee", security(("bearer" = ["staff:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The employee's id")), responses(
    (status = 200, body = EmployeeView, description = "The employee", headers(("ETag" = String, description = "His version"))),
    Problems
))]
#[get("/v1/employees/{id}")]
pub async fn get_employee(_: Permit<ReadStaff>, db: web::Data<Db>, id: PathId) -> Result<HttpResponse, Problem> {
    let found = db.run(move |conn| store::find(conn, id.0)?.ok_or(Error::NotFound)).await?;
    Ok(HttpResponse::Ok().insert_header(etag::tag(found.version)).json(EmployeeView::from(found)))
}

/// What is changed of an employee; what isn't named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"area": {"name": "south", "from": "2018-03-01"}}))]
pub struct EmployeeChanges {
    /// His name.
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Whether he is employed.
    #[schema(nullable = false)]
    status: Option<EmployeeStatus>,
    /// The user's name of his account; null takes it from him.
    #[serde(default, deserialize_with = "there")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    username: Option<Option<String>>,
    /// The area that he serves from a day on.
    #[schema(nullable = false)]
    area: Option<AssignmentBody>,
}

/// Tells `null` from what isn't there.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Change an employee
///
/// With an area he serves it from its first day on: what he served ends the day before, and what he was to serve later doesn't begin.
#[utoipa::path(tag = "staff", operation_id = "updateEmployee", security(("bearer" = ["staff:write"])), params(
    ("id" = uuid::Uuid, Path, description = "The employee's id"),
    ("If-Match" = String, Header, description = "The ETag that was read")),
    request_body(content = EmployeeChanges, content_type = "application/merge-patch+json"), responses(
    (status = 200, body = EmployeeView, description = "Changed", headers(("ETag" = String, description = "His version"))),
    (status = 409, description = "Another employee has the account"),
    Problems
))]
#[patch("/v1/employees/{id}")]
pub async fn update_employee(
    _: Permit<WriteStaff>,
    db: web::Data<Db>,
    areas: Current<Areas>,
    id: PathId,
    IfMatch(versions): IfMatch,
    body: Body<EmployeeChanges>,
) -> Result<HttpResponse, Problem> {
    let EmployeeChanges { name, status, username, area } = body.0;
    let mut faults = Vec::new();
    let area = area.and_then(|area| area.read(&mut faults));
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let draft = Draft { name, status, username, area };
    let employee = db.run(move |conn| record::change(conn, &areas, id.0, &versions, &draft)).await?;
    Ok(HttpResponse::Ok().insert_header(etag::tag(employee.version)).json(EmployeeView::from(employee)))
}
