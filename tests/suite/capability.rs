//! One capability on a database of its own: for tests that need no pack and no other capability.

use std::env;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use baremo::Id;
use baremo::customers::{self, model::Fields};
use baremo::db::{Db, migrate};
use baremo::http::current::Source;
use baremo::identity::tokens::{Principal, Tokens};
use diesel::connection::{Connection, SimpleConnection};
use diesel::mysql::MysqlConnection;
use serde_json::Value as Json;
use utoipa_actix_web::AppExt;

/// A migrated database that goes with its value.
pub struct Base {
    pub db: Db,
    server: String,
    name: String,
    _threads: tokio::runtime::Runtime,
}

impl Base {
    pub fn new() -> Self {
        let server = env::var("BAREMO_TEST_DATABASE_URL")
            .expect("run this by scripts/with-database, or set BAREMO_TEST_DATABASE_URL");
        let name = format!("test_{}", Id::new().uuid().simple());
        let mut conn = MysqlConnection::establish(&server).unwrap();
        conn.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let url = server.replacen("/?", &format!("/{name}?"), 1);
        let db = Db::new(&url, 8, threads.handle().clone());
        db.run_here(migrate::migrate).unwrap();
        Self { db, server, name, _threads: threads }
    }

    /// URL of the database.
    pub fn url(&self) -> String {
        self.server.replacen("/?", &format!("/{}?", self.name), 1)
    }

    /// Runs statements on the database.
    pub fn execute(&self, sql: &str) {
        self.db.run_here(|conn| conn.batch_execute(sql).map_err(baremo::db::Error::from)).unwrap();
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let mut conn = MysqlConnection::establish(&self.server).unwrap();
        conn.batch_execute(&format!("DROP DATABASE {}", self.name)).unwrap();
    }
}

/// The customers, served.
pub struct Service {
    pub base: Base,
    pub fields: Arc<Fields>,
    address: String,
    token: String,
    agent: ureq::Agent,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// What the service answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub json: Json,
    headers: ureq::http::HeaderMap,
}

impl Answer {
    /// Reads an answer to its end.
    pub fn read(mut response: ureq::http::Response<ureq::Body>) -> Self {
        let headers = response.headers().clone();
        let text = response.body_mut().read_to_string().unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Json::Null);
        Self { status: response.status().as_u16(), json, headers }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.json);
        self
    }

    /// Pointers and codes of the faults of a refused request.
    pub fn faults(&self) -> Vec<(&str, &str)> {
        let faults = self.json["errors"].as_array().into_iter().flatten();
        faults.map(|fault| (fault["pointer"].as_str().unwrap(), fault["code"].as_str().unwrap())).collect()
    }
}

/// Fields as a pack's manifest writes them.
pub fn fields(toml: &str) -> Arc<Fields> {
    Arc::new(Fields::new(toml::from_str(toml).unwrap(), vec!["monthly_volume".to_owned()]))
}

impl Service {
    pub fn new(fields: Arc<Fields>) -> Self {
        let base = Base::new();
        let keys = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(&keys.path().join("key.pem")).unwrap();
        let principal = Principal { user_id: Id::new(), username: "admin".to_owned() };
        let token = format!("Bearer {}", tokens.sign(&principal).unwrap());
        let (started, start) = mpsc::channel();
        let (db, current) = (base.db.clone(), Arc::clone(&fields));
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    let current = Arc::clone(&current);
                    App::new()
                        .into_utoipa_app()
                        .app_data(web::Data::new(db.clone()))
                        .app_data(web::Data::new(tokens.clone()))
                        .app_data(Source::new(move || Some(Arc::clone(&current))))
                        .configure(customers::api::configure)
                        .into_app()
                })
                .workers(2)
                .disable_signals()
                .bind(("127.0.0.1", 0))
                .unwrap();
                let address = format!("http://{}", server.addrs()[0]);
                let server = server.run();
                started.send((address, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, handle) = start.recv().unwrap();
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        Self { base, fields, address, token, agent, handle, thread: Some(thread) }
    }

    /// Sends a request; the body may be nothing.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Json) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header("Authorization", &self.token)
            .header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let mut response = self.agent.run(request.body(text).unwrap()).unwrap();
        let headers = response.headers().clone();
        let text = response.body_mut().read_to_string().unwrap();
        let json = if text.is_empty() { Json::Null } else { serde_json::from_str(&text).unwrap() };
        Answer { status: response.status().as_u16(), json, headers }
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

    /// A request without a token.
    pub fn anonymous(&self, method: &str, path: &str) -> u16 {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.address));
        self.agent.run(request.body(String::new()).unwrap()).unwrap().status().as_u16()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
