//! The list of an area's outcomes for publication, over HTTP: page by page, or whole as CSV.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::assessments::publication::{self, Published};
use crate::assessments::view::Renderer;
use crate::csv_rows::safe_cell;
use crate::db::Db;
use crate::faults::{Fault, MOST};
use crate::http::current::Current;
use crate::http::extract::{Languages, Parameters};
use crate::http::list::{Listed, Page};
use crate::http::paging::PageParameters;
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::ReadCustomers;
use crate::policy::texts::LabelKind;
use crate::releases::active::Active;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_publication).service(export_publication);
}

/// A customer as he may be published.
#[derive(Serialize, ToSchema)]
#[schema(as = Published, example = json!({"customer_code": "X17", "customer_name": "Corner shop",
    "fields": [{"key": "retail_format", "label": "Retail format", "value": "grocery", "value_label": "Grocery"}],
    "outcomes": [{"policy": "volume_grade", "title": "Volume grade", "outcome": "3", "label": "Grade 3", "since": "2018-01-01", "closed_on": "2017-12-31"}]}))]
pub struct PublishedView {
    /// His code.
    customer_code: String,
    /// His name.
    customer_name: String,
    /// The fields that the pack shows, in its order.
    fields: Vec<PublishedField>,
    /// Standing outcomes of the policies that the pack publishes, in its order.
    outcomes: Vec<PublishedOutcome>,
}

/// A field that is shown.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "retail_format", "label": "Retail format", "value": "grocery", "value_label": "Grocery"}))]
pub struct PublishedField {
    /// Its key.
    key: String,
    /// Its label.
    label: String,
    /// Its value, as text.
    value: String,
    /// The label of a choice, or the value.
    value_label: String,
}

/// A standing outcome that is published.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "title": "Volume grade", "outcome": "3", "label": "Grade 3", "since": "2018-01-01", "closed_on": "2017-12-31"}))]
pub struct PublishedOutcome {
    /// The policy.
    policy: String,
    /// Its title.
    title: String,
    /// The outcome.
    outcome: String,
    /// Its label.
    label: String,
    /// Since which business date it stands.
    #[schema(value_type = String, format = Date)]
    since: Date,
    /// The last day of the period whose closing made it stand; absent where it follows the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = Date)]
    closed_on: Option<Date>,
}

impl PublishedView {
    fn new(published: Published, renderer: &Renderer<'_>) -> Self {
        let field = |(key, value): (String, String)| PublishedField {
            label: renderer.label(LabelKind::Field, &key),
            value_label: renderer.choice_label(&key, &value),
            key,
            value,
        };
        let outcome = |(policy, outcome): (String, crate::assessments::model::Outcome)| PublishedOutcome {
            title: renderer.label(LabelKind::Policy, &policy),
            label: renderer.outcome_label(&policy, &outcome.outcome),
            policy,
            outcome: outcome.outcome,
            since: outcome.since,
            closed_on: outcome.closed_on,
        };
        Self {
            customer_code: published.code,
            customer_name: published.name,
            fields: published.fields.into_iter().map(field).collect(),
            outcomes: published.outcomes.into_iter().map(outcome).collect(),
        }
    }
}

/// A page of what is published of an area.
#[derive(Serialize, ToSchema)]
pub struct PublicationPage {
    /// The customers, by code.
    items: Vec<PublishedView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for PublicationPage {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// Outcomes of an area for publication
///
/// Active customers of the area, by code, with the standing outcomes and the fields that the pack allows, and nothing else of them. 404 where
/// the pack publishes nothing.
#[utoipa::path(tag = "lists", operation_id = "listPublication", security(("bearer" = ["customers:read"])), params(
    ("area" = String, Query, max_length = 200, description = "Value of the field by which the pack publishes", example = "Yuhua"), PageParameters), responses(
    (status = 200, body = PublicationPage, description = "A page"),
    (status = 404, description = "The pack publishes nothing"),
    Problems
))]
#[get("/v1/publication")]
pub async fn list_publication(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    mut parameters: Parameters,
) -> Result<Listed<PublicationPage>, Problem> {
    let area = area(&mut parameters, &["cursor", "limit"])?;
    let state = active.0.clone();
    let found = db.run(move |conn| publication::page(conn, &state, &area, &parameters.0)).await?;
    let (items, next_cursor) = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    let items = items.into_iter().map(|one| PublishedView::new(one, &renderer)).collect();
    Ok(Listed(PublicationPage { items, next_cursor }))
}

/// Takes out the area; next to it, only the other parameters may be sent.
fn area(parameters: &mut Parameters, others: &[&str]) -> Result<String, Problem> {
    let area = parameters.text("area")?;
    let unknown = parameters.0.iter().filter(|(name, _)| !others.contains(&name.as_str()));
    let known = [&["area"], others].concat();
    let mut faults: Vec<Fault> = unknown.take(MOST).map(|(name, _)| Parameters::unknown(name, &known)).collect();
    if area.is_none() {
        faults.push(Fault::new("area", "required", "the value of the field by which the pack publishes"));
    }
    area.filter(|_| faults.is_empty()).ok_or_else(|| Problem::invalid(faults))
}

/// Export outcomes of an area
///
/// The whole list as CSV, with labels in the reader's language: a row for each customer, a column for each field and policy.
#[utoipa::path(tag = "lists", operation_id = "exportPublication", security(("bearer" = ["customers:read"])), params(
    ("area" = String, Query, max_length = 200, description = "Value of the field by which the pack publishes", example = "Yuhua")), responses(
    (status = 200, body = String, content_type = "text/csv", description = "The list", headers(("Content-Disposition" = String, description = "The name of the file")),
        example = "customer_code,customer_name,volume_grade\nX17,Corner shop,Grade 3\n"),
    (status = 404, description = "The pack publishes nothing"),
    Problems
))]
#[get("/v1/publication/export")]
pub async fn export_publication(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    mut parameters: Parameters,
) -> Result<HttpResponse, Problem> {
    let area = area(&mut parameters, &[])?;
    let state = active.0.clone();
    let found = db.run(move |conn| publication::all(conn, &state, &area)).await?;
    let found = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    let failed = |error: csv::Error| {
        tracing::error!(%error, "a list can't be written");
        Problem::new(Code::Internal)
    };
    let pack = &active.release.pack;
    let Some(declared) = &pack.publication else { return Err(Problem::new(Code::NotFound)) };
    let renderer = Renderer::new(pack, &languages.0);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let columns = ["customer_code", "customer_name"].into_iter();
    let keys = declared.show.iter().chain(&declared.policies).map(String::as_str);
    writer.write_record(columns.chain(keys)).map_err(failed)?;
    for one in found {
        let view = PublishedView::new(one, &renderer);
        let field =
            |key: &String| view.fields.iter().find(|field| field.key == *key).map(|field| field.value_label.as_str());
        let outcome = |id: &String| view.outcomes.iter().find(|one| one.policy == *id).map(|one| one.label.as_str());
        let cells = declared.show.iter().map(field).chain(declared.policies.iter().map(outcome));
        let named = [view.customer_code.as_str(), view.customer_name.as_str()].into_iter();
        let row = named.chain(cells.map(Option::unwrap_or_default)).map(|cell| safe_cell(cell).into_owned());
        writer.write_record(row).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.into_error().into()))?;
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"publication.csv\""))
        .body(bytes))
}
