//! A migrated database of its own for each test, and what a server answers.

use std::env;
use std::sync::Arc;

use baremo::Id;
use baremo::customers::model::Fields;
use baremo::customers::record::Rules;
use baremo::db::{Db, migrate};
use diesel::connection::{Connection, SimpleConnection};
use diesel::mysql::MysqlConnection;
use serde_json::Value as Json;

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
        let db = Db::new(&url(&server, &name), 8, threads.handle().clone());
        db.run_here(migrate::migrate).unwrap();
        Self { db, server, name, _threads: threads }
    }

    /// URL of the database.
    pub fn url(&self) -> String {
        url(&self.server, &self.name)
    }

    /// Runs statements on the database.
    pub fn execute(&self, sql: &str) {
        self.db.run_here(|conn| conn.batch_execute(sql).map_err(baremo::db::Error::from)).unwrap();
    }
}

fn url(server: &str, database: &str) -> String {
    server.replacen("/?", &format!("/{database}?"), 1)
}

impl Drop for Base {
    fn drop(&mut self) {
        let mut conn = MysqlConnection::establish(&self.server).unwrap();
        conn.batch_execute(&format!("DROP DATABASE {}", self.name)).unwrap();
    }
}

/// What the service answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub json: Json,
    pub text: String,
    headers: ureq::http::HeaderMap,
}

impl Answer {
    /// Reads an answer to its end.
    pub fn read(response: ureq::http::Response<ureq::Body>) -> Self {
        Self::try_read(response).expect("an answer breaks off")
    }

    /// Reads an answer to its end, unless it breaks off.
    pub fn try_read(mut response: ureq::http::Response<ureq::Body>) -> Option<Self> {
        let headers = response.headers().clone();
        let text = response.body_mut().read_to_string().ok()?;
        let json = serde_json::from_str(&text).unwrap_or(Json::Null);
        Some(Self { status: response.status().as_u16(), json, text, headers })
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Whether one of the headers of this name has this value.
    pub fn says(&self, name: &str, value: &str) -> bool {
        self.headers.get_all(name).iter().any(|said| said == value)
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

/// The rules by which customers with these fields are recorded, under no basis.
pub fn rules(fields: &Arc<Fields>) -> Rules {
    Rules { fields: fields.clone(), read: std::collections::BTreeSet::new(), basis: 0 }
}
