//! What Prometheus reads: counters of this process, and the state of the work and of what is in force at that moment.

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, HttpResponse, get, web};
use futures_util::future::LocalBoxFuture;
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::assessments::store;
use crate::db::{self, Db};
use crate::http::metrics::Metrics;
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::ReadMetrics;
use crate::releases::active::{Active, InForce};

/// Media type of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Proof that the caller may read the metrics: a user with that permission, or the scraper with its own token.
pub struct Scraper;

impl FromRequest for Scraper {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let sent = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = sent.and_then(|value| value.strip_prefix("Bearer "));
        let metrics = request.app_data::<web::Data<Metrics>>();
        if metrics.zip(token).is_some_and(|(metrics, token)| metrics.is_scraper(token)) {
            return Box::pin(async { Ok(Self) });
        }
        let permit = Permit::<ReadMetrics>::from_request(request, payload);
        Box::pin(async { permit.await.map(|_| Self) })
    }
}

/// Numbers of something by its status.
type ByStatus = Vec<(&'static str, i64)>;

/// Counts imports that wait and that are worked on, by status: how, higher capabilities know.
pub struct OpenImports(pub fn(&mut db::Conn) -> db::Result<ByStatus>);

/// How much is to be done.
struct Queue {
    due: i64,
    /// Customers of the open runs and those of them who are assessed.
    runs: Vec<(u64, u64)>,
    /// Open imports by status.
    imports: ByStatus,
}

/// Metrics
///
/// In Prometheus' text format: requests by route pattern, customers assessed, who is due, open runs and imports, the pool, what is in force.
/// Also answers to the token that the setting `metrics_token` gives to a scraper.
#[utoipa::path(tag = "operation", operation_id = "getMetrics", security(("bearer" = ["metrics:read"])), responses(
    (status = 200, body = String, content_type = "text/plain", description = "The metrics",
        example = "# TYPE baremo_due_customers gauge\nbaremo_due_customers 0\n"),
    Problems
))]
#[get("/metrics")]
pub async fn get_metrics(
    _: Scraper,
    metrics: web::Data<Metrics>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    open_imports: web::Data<OpenImports>,
) -> HttpResponse {
    let active = in_force.get();
    let OpenImports(count_imports) = **open_imports;
    let until = active.as_ref().map(|active| active.basis.business_date);
    let queue = db
        .run(move |conn| {
            let due = until.map_or(Ok(0), |until| store::count_due(conn, until))?;
            let open = store::open_runs(conn)?;
            let runs: Result<Vec<_>, _> = open.iter().map(|open| store::run(conn, open.id)).collect();
            let runs = runs?.into_iter().flatten().map(|run| (run.total, run.progress.assessed)).collect();
            Ok::<_, db::Error>(Queue { due, runs, imports: count_imports(conn)? })
        })
        .await;
    // The state has a recorder of its own, made anew each time: labels of a release that is gone are gone too.
    let state = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&state, || {
        gauge!("baremo_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        describe_gauge!("baremo_database_up", "Whether the database answers.");
        gauge!("baremo_database_up").set(u8::from(queue.is_ok()));
        tell_pool(&db);
        if let Some(active) = &active {
            tell_in_force(active, in_force.load_faults().is_some());
        }
        if let Ok(queue) = &queue {
            tell_queue(queue);
        }
    });
    let text = metrics.render() + state.handle().render().as_str();
    HttpResponse::Ok().content_type(TEXT_FORMAT).body(text)
}

fn tell_pool(db: &Db) {
    let (busy, idle, most) = db.connections();
    describe_gauge!("baremo_database_connections", "Connections of this process to the database, by state.");
    gauge!("baremo_database_connections", "state" => "busy").set(busy);
    gauge!("baremo_database_connections", "state" => "idle").set(idle);
    describe_gauge!("baremo_database_connections_max", "Most connections that this process may have.");
    gauge!("baremo_database_connections_max").set(most);
}

fn tell_in_force(active: &Active, stale: bool) {
    describe_gauge!("baremo_in_force_info", "Release, cohort and business date in force.");
    gauge!("baremo_in_force_info", "pack" => active.release.pack.id.clone(), "release" => active.basis.release.to_string(),
        "cohort" => active.basis.cohort.to_string(), "business_date" => active.basis.business_date.to_string())
    .set(1);
    describe_gauge!("baremo_basis_number", "Number of the basis in force.");
    gauge!("baremo_basis_number").set(f64::from(i32::try_from(active.basis.number).unwrap_or(i32::MAX)));
    describe_gauge!(
        "baremo_release_stale",
        "Whether the pack's folder has a newer content that can't come into force."
    );
    gauge!("baremo_release_stale").set(u8::from(stale));
}

fn tell_queue(queue: &Queue) {
    describe_gauge!("baremo_due_customers", "Customers who wait to be assessed because something has changed.");
    gauge!("baremo_due_customers").set(whole(queue.due));
    describe_gauge!("baremo_open_runs", "Runs that are open.");
    gauge!("baremo_open_runs").set(whole(queue.runs.len()));
    describe_gauge!("baremo_run_customers", "Customers of the open runs, by state.");
    let (total, assessed) = queue.runs.iter().fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    gauge!("baremo_run_customers", "state" => "assessed").set(whole(assessed));
    gauge!("baremo_run_customers", "state" => "waiting").set(whole(total.saturating_sub(assessed)));
    describe_gauge!("baremo_open_imports", "Imports that are open, by status.");
    for (status, count) in &queue.imports {
        gauge!("baremo_open_imports", "status" => *status).set(whole(*count));
    }
}

/// A count as Prometheus has numbers.
fn whole(count: impl TryInto<u32>) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}
