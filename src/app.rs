//! The composition root: from the configuration to the state of the service and its routes. `main` and the tests use the same.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_server::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpRequest, web};
use jiff::civil::Date;
use serde_json::Value as Json;
use tracing_actix_web::TracingLogger;
use utoipa::openapi::OpenApi;
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_swagger_ui::SwaggerUi;

use crate::assessments::api::OpenImports;
use crate::assessments::worker::Workers;
use crate::customers::model::Fields;
use crate::customers::record::Rules as CustomerRules;
use crate::customers::selection::Outcomes;
use crate::db::{self, Db};
use crate::employees::model::Areas;
use crate::http::client::TrustedProxies;
use crate::http::current::Source;
use crate::http::docs;
use crate::http::limits::Limits;
use crate::http::metrics::{self, Metrics};
use crate::http::middleware::guard::Gate;
use crate::http::middleware::origins::Origins;
use crate::http::middleware::rate::Rates;
use crate::http::middleware::{answers, declared, guard, rate};
use crate::http::openapi;
use crate::http::operation::{self, Readiness};
use crate::http::paths::Paths;
use crate::http::problem::pages;
use crate::http::request_log::RequestSpan;
use crate::http::streams::Streams;
use crate::http::{pace, server};
use crate::identity::access::Access;
use crate::imports::api::UploadLimit;
use crate::imports::import::Rules as ImportRules;
use crate::imports::worker::Importer;
use crate::releases::active::{Active, InForce};
use crate::releases::api::openapi::{Descriptions, get_description};
use crate::transactions::record::Rules;
use crate::{assessments, customers, employees, events, identity, imports, releases, staff, transactions};

/// The state of the service. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// The database.
    pub db: Db,
    /// What is in force.
    pub in_force: InForce,
    /// Who may do what.
    pub access: Access,
    /// Proxies that are trusted to say a client's address.
    pub proxies: TrustedProxies,
    /// The threads that assess.
    pub workers: Workers,
    /// Whether requests are taken.
    pub readiness: Readiness,
    /// How much requests may take.
    pub limits: Limits,
    /// Whose pages may call.
    pub origins: Origins,
    /// What is counted.
    pub metrics: Metrics,
    /// Largest file that is taken.
    pub upload_limit: UploadLimit,
    /// The open streams of events.
    pub streams: Streams,
}

/// Starts the threads that work in the background: they assess, and one imports files. `business_date` is the fixed setting, if there
/// is one; `history` the full months of history that are kept; `lease` the seconds for which a thread holds a shard without a sign of life.
pub fn start_workers(state: &State, business_date: Option<Date>, history: i16, lease: u32) -> Result<(), db::Error> {
    let State { db, in_force, workers, .. } = state;
    workers.start(db, in_force, business_date, history, lease)?;
    let in_force = in_force.clone();
    let importer = Importer::new(db.clone(), move || in_force.get().map(|active| import_rules(&active)));
    workers.employ("import".to_owned(), move |stop| importer.step(stop))
}

/// Mounts every capability.
fn routes(config: &mut ServiceConfig) {
    config.service(operation::livez).service(operation::readyz);
    identity::api::configure(config);
    releases::api::configure(config);
    employees::api::configure(config);
    customers::api::configure(config);
    transactions::api::configure(config);
    assessments::api::configure(config);
    events::api::configure(config);
    imports::api::configure(config);
    staff::api::configure(config);
}

/// The description of the API.
pub fn description() -> OpenApi {
    let (_, description) = App::new().into_utoipa_app().openapi(openapi::base()).configure(routes).split_for_parts();
    openapi::complete(description)
}

/// The description of the API as it is given out.
pub fn described() -> serde_json::Result<Json> {
    openapi::finished(&description())
}

/// A server on a listener. It answers at once, with 503 until something is in force.
pub fn server(state: &State, listener: TcpListener) -> io::Result<Server> {
    server_with(state, listener, |_| {})
}

/// A server that also has what `more` mounts, behind the same middlewares.
pub fn server_with(
    state: &State,
    listener: TcpListener,
    more: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    let paths = web::Data::new(Paths::of(&description()));
    let descriptions = web::Data::new(Descriptions::new(described()?));
    let state = state.clone();
    let (limits, origins) = (state.limits.clone(), state.origins.clone());
    let (gate, rates) = (Gate::new(&limits), Rates::new(&limits));
    let (active, fields, outcomes, customer_rules, rules, areas) = sources(&state.in_force);
    server::serve(listener, &state.limits.clone(), move || {
        let (app, _) = App::new().into_utoipa_app().openapi(openapi::base()).configure(routes).split_for_parts();
        app.app_data(web::Data::new(limits.clone()))
            .app_data(gate.clone())
            .app_data(rates.clone())
            .app_data(web::Data::new(state.db.clone()))
            .app_data(web::Data::new(state.in_force.clone()))
            .app_data(web::Data::new(state.access.clone()))
            .app_data(web::Data::new(state.proxies.clone()))
            .app_data(web::Data::new(state.workers.clone()))
            .app_data(web::Data::new(state.readiness.clone()))
            .app_data(web::Data::new(state.metrics.clone()))
            .app_data(web::Data::new(OpenImports(imports::store::count_open)))
            .app_data(web::Data::new(state.upload_limit))
            .app_data(web::Data::new(state.streams.clone()))
            .app_data(active.clone())
            .app_data(fields.clone())
            .app_data(outcomes.clone())
            .app_data(customer_rules.clone())
            .app_data(rules.clone())
            .app_data(areas.clone())
            .app_data(paths.clone())
            .app_data(descriptions.clone())
            .service(web::redirect("/docs", "/docs/"))
            // Before the pattern that takes everything below.
            .service(docs::front_ends)
            .service(get_description)
            .service(
                SwaggerUi::new("/docs/{_:.*}")
                    .config(utoipa_swagger_ui::Config::from("/openapi.json").validator_url("none")),
            )
            .default_service(web::to(refuse))
            .configure(pages::configure)
            .configure(more.clone())
            // Each sees requests before those above it and their answers after them. Who has called is known before he is counted
            // and before the gate, where those without a valid token have places of their own: verifying one is cheap. What ends
            // requests is before all of this, but inside of CORS and of what writes answers, so that pages of other origins can read
            // also why they were refused. What logs and counts is outside, and sees the final status.
            .wrap(from_fn(declared::only))
            .wrap(from_fn(identity::api::idempotency::once))
            .wrap(from_fn(rate::limit))
            .wrap(from_fn(guard::admit))
            .wrap(from_fn(identity::api::identify))
            .wrap(from_fn(guard::keep))
            .wrap(origins.cors())
            .wrap(Compress::default())
            .wrap(from_fn(answers::write))
            .wrap(TracingLogger::<RequestSpan>::new())
            .wrap(from_fn(metrics::observe))
            .wrap(from_fn(pace::answering))
    })
}

async fn refuse(request: HttpRequest, paths: web::Data<Paths>) -> actix_web::HttpResponse {
    paths.refuse(&request)
}

type Sources = (
    web::Data<Source<Active>>,
    web::Data<Source<Fields>>,
    web::Data<Source<Outcomes>>,
    web::Data<Source<CustomerRules>>,
    web::Data<Source<Rules>>,
    web::Data<Source<Areas>>,
);

/// What handlers see of what is in force, each as far as it concerns them.
fn sources(in_force: &InForce) -> Sources {
    let of = || in_force.clone();
    let (active, fields, outcomes, customers, rules, areas) = (of(), of(), of(), of(), of(), of());
    (
        Source::new(move || active.get()),
        Source::new(move || fields.get().map(|active| active.release.pack.fields.clone())),
        Source::new(move || outcomes.get().map(|active| Arc::new(outcomes_of(&active)))),
        Source::new(move || customers.get().map(|active| Arc::new(customer_rules(&active)))),
        Source::new(move || rules.get().map(|active| Arc::new(recording_rules(&active)))),
        Source::new(move || {
            areas.get().map(|active| Arc::new(Areas(active.release.pack.areas().map(<[String]>::to_vec))))
        }),
    )
}

fn outcomes_of(active: &Active) -> Outcomes {
    let policies = active.release.pack.customer_policies();
    Outcomes(policies.map(|(id, policy)| (id.clone(), policy.outcomes.clone())).collect())
}

/// The rules by which files are imported under a state.
pub fn import_rules(active: &Active) -> ImportRules {
    ImportRules { customers: customer_rules(active), transactions: recording_rules(active) }
}

/// The rules by which customers are recorded under a state.
pub fn customer_rules(active: &Active) -> CustomerRules {
    let pack = &active.release.pack;
    let mut read = active.release.policies.reads(|facts| &facts.fields);
    read.extend(pack.definitions.opening_field.clone());
    CustomerRules { fields: pack.fields.clone(), read, basis: active.basis.number }
}

/// The rules by which transactions are recorded under a state.
pub fn recording_rules(active: &Active) -> Rules {
    let pack = &active.release.pack;
    Rules {
        definitions: pack.definitions.clone(),
        customer_definitions: pack.customer_definitions.clone(),
        time_zone: pack.time_zone.clone(),
        business_date: active.basis.business_date,
        read: active.release.policies.reads(|facts| &facts.metrics),
        basis: active.basis.number,
    }
}
