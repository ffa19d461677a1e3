//! The whole service on a free port, with a pack and a database of its own: what a front end meets.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use baremo::app::{self, State};
use baremo::assessments::activation::{Closes, activate};
use baremo::assessments::model::DEFAULT_LEASE;
use baremo::assessments::retention::DEFAULT_MONTHS;
use baremo::assessments::worker::{STACK, Workers};
use baremo::config::Secret;
use baremo::db::Db;
use baremo::http::client::TrustedProxies;
use baremo::http::limits::Limits;
use baremo::http::metrics::Metrics;
use baremo::http::operation::Readiness;
use baremo::http::streams::Streams;
use baremo::identity::access::Access;
use baremo::identity::keys::Cipher;
use baremo::identity::sign_in::ensure_administrator;
use baremo::imports::api::UploadLimit;
use baremo::policy::release::load;
use baremo::policy::source::Source;
use baremo::releases::active::InForce;
use baremo::releases::store;
use jiff::civil::Date;
use serde_json::{Value as Json, json};
use tokio::runtime::{Builder, Runtime};

use crate::base::{Answer, Base};

/// Streams that a service of the tests has room for.
pub const STREAMS: usize = 10;
/// The administrator's password in every test.
pub const PASSWORD: &str = "correct horse";

/// The secret under which signing keys are encrypted in every test.
pub const KEY_SECRET: &str = "the secret of the processes of a test";

/// A running service.
pub struct TestApp {
    pub state: State,
    pub address: String,
    pub token: String,
    agent: ureq::Agent,
    handle: actix_web::dev::ServerHandle,
    runtime: Option<Runtime>,
    pub base: Arc<Base>,
}

/// The files of a pack of the repository.
pub fn pack(name: &str) -> Source {
    Source::from_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules").join(name)).unwrap()
}

/// A pack from its files.
pub fn files(files: &[(&str, &str)]) -> Source {
    Source::from_files(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()).unwrap()
}

/// A pack of which only the fields matter: `key = { section = "basic", type = "text" }` and so on. Its one metric is `monthly_volume`.
pub fn with_fields(declared: &str) -> Source {
    let manifest = format!(
        "[pack]\nid = \"fields\"\ntitle = {{ en = \"Fields\" }}\ncontract = 1\ntime_zone = \"Europe/Madrid\"\ncurrency = \"EUR\"\n\
         unit = \"piece\"\nlanguages = [\"en\"]\ncloses_after = 0\n[kinds.order]\nmeasures = [\"quantity\"]\n\
         [metrics.monthly_volume]\nfunction = \"sum\"\nkind = \"order\"\nmeasure = \"quantity\"\nwindow = {{ full_months = 3 }}\n\
         [policies.size]\nsubject = \"customer\"\noutcomes = [\"one\"]\ncadence = \"continuous\"\n[fields]\n{declared}"
    );
    let parsed: toml::Table = toml::from_str(&manifest).unwrap();
    let mut texts = String::from(
        "kinds.order = \"o\"\nmeasures.quantity = \"q\"\nmetrics.monthly_volume = \"m\"\npolicies.size = \"s\"\noutcomes.size.one = \"1\"\n",
    );
    for (key, field) in parsed["fields"].as_table().unwrap() {
        texts += &format!("fields.{key} = \"{key}\"\n");
        for choice in field.get("choices").and_then(toml::Value::as_array).into_iter().flatten() {
            texts += &format!("choices.{key}.{choice} = \"x\"\n");
        }
    }
    let script = "//! One.\nfn decide(customer, context) { decision(\"one\") }";
    files(&[("pack.toml", &manifest), ("texts/en.toml", &texts), ("policies/size.rhai", script)])
}

/// The limits of tests that aren't about the rate: a test is faster than any user.
pub fn unlimited() -> Limits {
    Limits { rate: None, ..Limits::default() }
}

impl TestApp {
    /// Serves a pack with an empty base, as of a business date.
    pub fn new(source: &Source, business_date: &str) -> Self {
        Self::limited(source, business_date, unlimited())
    }

    /// Serves with limits of its own.
    pub fn limited(source: &Source, business_date: &str, limits: Limits) -> Self {
        Self::on(Arc::new(Base::new()), source, business_date, limits)
    }

    /// A second process of the same deployment: it shares the base of the first.
    pub fn beside(other: &Self, source: &Source, business_date: &str) -> Self {
        Self::on(other.base.clone(), source, business_date, unlimited())
    }

    fn on(base: Arc<Base>, source: &Source, business_date: &str, limits: Limits) -> Self {
        let runtime = Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build().unwrap();
        let db = Db::new(&base.url(), 8, runtime.handle().clone());
        let date: Date = business_date.parse().unwrap();
        let in_force = InForce::default();
        let release = Arc::new(load(source).map_err(|faults| format!("{}", faults[0])).unwrap());
        db.run_here(|conn| activate(conn, &in_force, (source, &release), Closes::Now, Some(date))).unwrap();
        db.run_here(|conn| store::fix_business_date(conn, date)).unwrap();
        db.run_here(|conn| ensure_administrator(conn, Some(&Secret::new(PASSWORD)))).unwrap();
        let access = Access::new(Cipher::new(&Secret::new(KEY_SECRET)).unwrap());
        db.run_here(|conn| access.begin(conn)).unwrap();
        let metrics = Metrics::begin(None).unwrap();
        let origins = "https://crm.example".parse().unwrap();
        let (workers, readiness, proxies) = (Workers::default(), Readiness::default(), TrustedProxies::default());
        let state = State {
            db,
            in_force,
            access,
            proxies,
            workers,
            readiness,
            metrics,
            upload_limit: UploadLimit::megabytes(2),
            streams: Streams::new(STREAMS),
            limits,
            origins,
        };
        app::start_workers(&state, None, DEFAULT_MONTHS, DEFAULT_LEASE).unwrap();
        state.readiness.set(true);
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let handle = runtime.block_on(async {
            let server = app::server(&state, listener).unwrap();
            let handle = server.handle();
            tokio::spawn(server);
            handle
        });
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let mut app = Self { state, address, token: String::new(), agent, handle, runtime: Some(runtime), base };
        let credentials = json!({"username": "admin", "password": PASSWORD});
        let signed_in = app.send("POST", "/v1/auth/token", &[], &credentials).with(200);
        app.token = signed_in.json["access_token"].as_str().unwrap().to_owned();
        app
    }

    /// Creates a user, whose password is that of the administrator, and gives his id.
    #[track_caller]
    pub fn user(&self, username: &str, roles: &[&str]) -> String {
        let body = json!({"username": username, "roles": roles, "password": PASSWORD});
        self.post("/v1/users", &body).with(201).json["id"].as_str().unwrap().to_owned()
    }

    /// Signs a user in, and gives his tokens.
    #[track_caller]
    pub fn sign_in(&self, username: &str) -> Json {
        let body = json!({"username": username, "password": PASSWORD});
        self.post("/v1/auth/token", &body).with(200).json
    }

    /// Creates a user of a role, and gives his access token.
    #[track_caller]
    pub fn as_role(&self, role: &str) -> String {
        let username = format!("a.{role}");
        self.user(&username, &[role]);
        self.sign_in(&username)["access_token"].as_str().unwrap().to_owned()
    }

    /// Sends a request as the administrator; the body may be nothing.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Json) -> Answer {
        self.send_as(&self.token, method, path, headers, body)
    }

    /// Sends a request with a token; the body may be nothing.
    pub fn send_as(&self, token: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &Json) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let authorization = format!("Bearer {token}");
        let mut all = vec![("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        all.extend(headers);
        self.send_raw(method, path, &all, text)
    }

    /// Sends a request as it is.
    pub fn send_raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl ureq::AsSendBody) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(self.agent.run(request.body(body).unwrap()).unwrap())
    }

    /// Follows something with a token: what comes, as it comes, until it ends or a minute is over.
    pub fn follow(&self, token: &str, path: &str) -> ureq::http::Response<ureq::Body> {
        let request = self.agent.get(format!("{}{path}", self.address));
        let request = request.config().timeout_global(Some(Duration::from_secs(60))).build();
        request.header("Authorization", format!("Bearer {token}")).call().unwrap()
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], &Json::Null)
    }

    pub fn post(&self, path: &str, body: &Json) -> Answer {
        self.send("POST", path, &[], body)
    }

    pub fn patch(&self, path: &str, tag: &str, body: &Json) -> Answer {
        self.send("PATCH", path, &[("If-Match", tag)], body)
    }

    /// Creates a customer and gives his id.
    #[track_caller]
    pub fn customer(&self, code: &str, profile: Json) -> String {
        let body = json!({"code": code, "name": format!("Customer {code}"), "profile": profile});
        self.post("/v1/customers", &body).with(201).json["id"].as_str().unwrap().to_owned()
    }

    /// Creates a product whose unit is the pack's.
    #[track_caller]
    pub fn product(&self, code: &str, category: &str) {
        let body = json!({"name": code, "category": category, "unit": "unit", "factor": "1"});
        self.send("PUT", &format!("/v1/products/{code}"), &[], &body).with(200);
    }

    /// Sends transactions and gives the status of each.
    #[track_caller]
    pub fn record(&self, items: &[Json]) -> Vec<String> {
        let answer = self.post("/v1/transactions/batches", &json!({"items": items})).with(207);
        let status = |item: &Json| item["status"].as_str().unwrap().to_owned();
        answer.json["items"].as_array().unwrap().iter().map(status).collect()
    }

    /// The value of a metric; empty where there is none.
    #[track_caller]
    pub fn metric(&self, id: &str, key: &str, as_of: &str) -> String {
        let answer = self.get(&format!("/v1/customers/{id}/metrics?as_of={as_of}")).with(200);
        let items = answer.json["items"].as_array().unwrap();
        let metric = items.iter().find(|item| item["key"] == key).unwrap();
        metric["value"].as_str().unwrap_or_default().to_owned()
    }

    /// Lets another business date come.
    pub fn go_to(&self, date: &str) {
        let basis = self.get("/v1/basis").with(200);
        let moved = self.patch("/v1/basis", basis.header("ETag"), &json!({"business_date": date}));
        assert!(moved.status < 300, "{}", moved.json);
    }

    /// Runs over all customers with a new cohort and waits for the end.
    #[track_caller]
    pub fn run(&self) -> Json {
        let id =
            self.post("/v1/runs", &json!({"renew_cohort": true})).with(202).json["id"].as_str().unwrap().to_owned();
        self.run_ended(&id)
    }

    /// Waits for the end of a run: a bounded number of looks, each as the server answers.
    #[track_caller]
    pub fn run_ended(&self, id: &str) -> Json {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let run = self.get(&format!("/v1/runs/{id}")).with(200).json;
            if ["finished", "cancelled"].contains(&run["status"].as_str().unwrap()) {
                return run;
            }
            assert!(Instant::now() < deadline, "the run doesn't end: {run}");
        }
    }

    /// Outcomes in force by policy.
    #[track_caller]
    pub fn outcomes(&self, id: &str) -> BTreeMap<String, String> {
        let answer = self.get(&format!("/v1/customers/{id}/decisions")).with(200);
        let text = |json: &Json| json.as_str().unwrap().to_owned();
        let items = answer.json["items"].as_array().unwrap();
        items.iter().map(|item| (text(&item["policy"]), text(&item["outcome"]))).collect()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.state.workers.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.block_on(self.handle.stop(false));
            runtime.shutdown_timeout(Duration::from_secs(10));
        }
    }
}
