//! The configuration: defaults, then a file, then the environment. Every fault is reported at once, and secrets are never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::assessments::model::DEFAULT_LEASE;
use crate::assessments::retention::{DEFAULT_MONTHS, MAX_MONTHS};
use crate::db::nodes::Url;
use crate::faults::did_you_mean;
use crate::http::client::TrustedProxies;
use crate::http::limits::Limits;
use crate::http::middleware::origins::Origins;
use crate::identity::model::{ADMINISTRATOR, check_password};
use crate::identity::secret::MIN_LENGTH;

/// Names the configuration file; `baremo.toml` in the working folder when it isn't set.
pub const CONFIG_FILE: &str = "BAREMO_CONFIG";
const PREFIX: &str = "BAREMO_";
/// Characters that the scraper's token has at least.
const SHORTEST_TOKEN: usize = 16;

/// A text that no log and no error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Pretty,
    /// One JSON object a line.
    Json,
    /// Pretty on a terminal, JSON otherwise.
    Auto,
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Database to use, of one node or several; a private one is started when there is none.
    pub database_url: Option<Secret>,
    /// Most connections to the database.
    pub database_connections: u32,
    /// Address to serve on.
    pub listen: SocketAddr,
    /// Folder for what Baremo makes itself: private databases and keys.
    pub data_folder: PathBuf,
    /// Secret under which signing keys are encrypted; a file of `data_folder` holds one when there is none.
    pub key_secret: Option<Secret>,
    /// Proxies that are trusted to say a client's address.
    pub trusted_proxies: TrustedProxies,
    /// First password of the administrator; one is made up when there is none.
    pub admin_password: Option<Secret>,
    /// Business date, when it is not today in the pack's time zone.
    pub business_date: Option<Date>,
    /// Full months of history that are kept before the one of the business date.
    pub history_months: i16,
    /// Seconds for which a worker holds its part of a run without a sign of life.
    pub lease_seconds: u32,
    /// Largest file that can be uploaded, in megabytes of 1,048,576 bytes.
    pub upload_megabytes: u32,
    /// Whether the pack's sample is loaded into an empty database of one's own.
    pub load_sample: bool,
    /// Bearer token with which a scraper reads the metrics without being a user.
    pub metrics_token: Option<Secret>,
    /// How much requests may take.
    pub limits: Limits,
    /// Origins whose pages may call the API.
    pub allowed_origins: Origins,
    /// How long the service answers on when it stops, and says that it isn't ready.
    pub drain: Duration,
    /// Whether customers depend on it: then no folder is watched.
    pub production: bool,
    /// How logs are written.
    pub log_format: LogFormat,
    /// What is logged, in the syntax of `tracing`'s filters.
    pub log: String,
}

/// The settings as texts, before they are checked.
#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    database_url: Option<String>,
    database_connections: String,
    listen: String,
    data_folder: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_secret: Option<String>,
    trusted_proxies: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    admin_password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    business_date: Option<String>,
    history_months: String,
    lease_seconds: String,
    upload_megabytes: String,
    load_sample: String,
    production: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metrics_token: Option<String>,
    rate_limit: String,
    requests_at_once: String,
    allowed_origins: String,
    drain_seconds: String,
    log_format: String,
    log: String,
}

const KEYS: &[&str] = &[
    "database_url",
    "database_connections",
    "listen",
    "data_folder",
    "key_secret",
    "trusted_proxies",
    "admin_password",
    "business_date",
    "history_months",
    "lease_seconds",
    "upload_megabytes",
    "load_sample",
    "production",
    "metrics_token",
    "rate_limit",
    "requests_at_once",
    "allowed_origins",
    "drain_seconds",
    "log_format",
    "log",
];

impl Default for Settings {
    fn default() -> Self {
        Self {
            database_url: None,
            database_connections: "16".to_owned(),
            listen: "127.0.0.1:8080".to_owned(),
            data_folder: "var".to_owned(),
            key_secret: None,
            trusted_proxies: String::new(),
            admin_password: None,
            business_date: None,
            history_months: DEFAULT_MONTHS.to_string(),
            lease_seconds: DEFAULT_LEASE.to_string(),
            upload_megabytes: "200".to_owned(),
            load_sample: "false".to_owned(),
            production: "false".to_owned(),
            metrics_token: None,
            rate_limit: "100".to_owned(),
            requests_at_once: "256".to_owned(),
            allowed_origins: String::new(),
            drain_seconds: "0".to_owned(),
            log_format: "auto".to_owned(),
            log: "info".to_owned(),
        }
    }
}

/// Every fault of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration has faults:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the configuration of this process.
    pub fn read() -> Result<Self, ConfigError> {
        let file = std::env::var_os(CONFIG_FILE);
        if let Some(file) = &file
            && let Err(error) = std::fs::metadata(file)
        {
            return Err(ConfigError(vec![format!("{CONFIG_FILE}: {}: {error}", PathBuf::from(file).display())]));
        }
        let file = file.map_or_else(|| PathBuf::from("baremo.toml"), PathBuf::from);
        Self::from(
            Figment::from(Serialized::defaults(Settings::default()))
                .merge(Toml::file(file))
                .merge(Serialized::defaults(environment())),
        )
    }

    /// Checks what the providers say.
    pub fn from(figment: Figment) -> Result<Self, ConfigError> {
        let values: figment::value::Dict = figment.extract().map_err(|error| ConfigError(vec![error.to_string()]))?;
        let mut faults: Vec<String> = values
            .keys()
            .filter(|key| !KEYS.contains(&key.as_str()))
            .map(|key| format!("'{key}' is not a setting{}", did_you_mean(key, KEYS.iter().copied())))
            .collect();
        let unreadable = |(key, value): (&String, _)| as_text(value).is_none().then(|| format!("{key} must be a text"));
        faults.extend(values.iter().filter_map(unreadable));
        let text = |key: &str| values.get(key).and_then(as_text);
        let number = parse(&text, &mut faults, "database_connections", "a number from 2 to 500", |text| {
            text.parse().ok().filter(|n| (2..=500).contains(n))
        });
        let listen = parse(&text, &mut faults, "listen", "an address such as 127.0.0.1:8080", |text| text.parse().ok());
        let wanted = format!("a number of months from 1 to {MAX_MONTHS}");
        let history_months = parse(&text, &mut faults, "history_months", &wanted, |text| {
            text.parse().ok().filter(|months| (1..=MAX_MONTHS).contains(months))
        });
        let lease_seconds = parse(&text, &mut faults, "lease_seconds", "a number of seconds from 2 to 600", |text| {
            text.parse().ok().filter(|seconds| (2..=600).contains(seconds))
        });
        let wanted = "addresses and networks such as 10.0.0.0/8, separated by commas";
        let trusted_proxies = parse(&text, &mut faults, "trusted_proxies", wanted, |text| text.parse().ok());
        let upload_megabytes = parse(&text, &mut faults, "upload_megabytes", "a number from 1 to 10000", |text| {
            text.parse().ok().filter(|megabytes| (1..=10_000).contains(megabytes))
        });
        let load_sample = parse(&text, &mut faults, "load_sample", "true or false", |text| text.parse().ok());
        let production = parse(&text, &mut faults, "production", "true or false", |text| text.parse().ok());
        let limits = limits(&text, &mut faults);
        let wanted = "origins such as https://crm.example, separated by commas";
        let allowed_origins = parse(&text, &mut faults, "allowed_origins", wanted, |text| text.parse().ok());
        let drain = parse(&text, &mut faults, "drain_seconds", "a number of seconds from 0 to 300", |text| {
            text.parse().ok().filter(|seconds| (0..=300).contains(seconds)).map(Duration::from_secs)
        });
        let log_format = parse(&text, &mut faults, "log_format", "auto, pretty or json", |text| match text {
            "auto" => Some(LogFormat::Auto),
            "pretty" => Some(LogFormat::Pretty),
            "json" => Some(LogFormat::Json),
            _ => None,
        });
        let business_date = text("business_date").and_then(|_| {
            parse(&text, &mut faults, "business_date", "a date such as 2018-01-01", |text| text.parse().ok())
        });
        let secret = |key: &str| text(key).filter(|text| !text.is_empty()).map(Secret::new);
        let admin_password = secret("admin_password");
        let refused = admin_password.as_ref().map(|password| check_password(password.reveal(), ADMINISTRATOR));
        if let Some(Err(rule)) = refused {
            faults.push(format!("{PREFIX}ADMIN_PASSWORD (admin_password): {rule}"));
        }
        let key_secret = secret("key_secret");
        if key_secret.as_ref().is_some_and(|secret| secret.reveal().chars().count() < MIN_LENGTH) {
            faults.push(format!("{PREFIX}KEY_SECRET (key_secret) must have at least {MIN_LENGTH} characters"));
        }
        let metrics_token = secret("metrics_token");
        if metrics_token.as_ref().is_some_and(|token| token.reveal().chars().count() < SHORTEST_TOKEN) {
            faults
                .push(format!("{PREFIX}METRICS_TOKEN (metrics_token) must have at least {SHORTEST_TOKEN} characters"));
        }
        if let Some(Err(wanted)) = secret("database_url").as_ref().map(|url| Url::parse(url.reveal())) {
            faults.push(format!("{PREFIX}DATABASE_URL (database_url) {wanted}"));
        }
        let edge = limits.zip(allowed_origins).zip(drain);
        match (
            number,
            listen,
            history_months.zip(lease_seconds),
            upload_megabytes,
            trusted_proxies,
            load_sample.zip(production),
            edge,
            log_format,
        ) {
            (
                Some(database_connections),
                Some(listen),
                Some((history_months, lease_seconds)),
                Some(upload_megabytes),
                Some(trusted_proxies),
                Some((load_sample, production)),
                Some(((limits, allowed_origins), drain)),
                Some(log_format),
            ) if faults.is_empty() => Ok(Self {
                database_url: secret("database_url"),
                database_connections,
                listen,
                data_folder: text("data_folder").unwrap_or_default().into(),
                key_secret,
                trusted_proxies,
                admin_password,
                business_date,
                history_months,
                lease_seconds,
                upload_megabytes,
                load_sample,
                production,
                metrics_token,
                limits,
                allowed_origins,
                drain,
                log_format,
                log: text("log").unwrap_or_default(),
            }),
            _ => Err(ConfigError(faults)),
        }
    }
}

/// What the environment sets, as it is written: a password of digits is no number.
fn environment() -> BTreeMap<&'static str, String> {
    let variable = |key: &str| format!("{PREFIX}{}", key.to_uppercase());
    KEYS.iter().filter_map(|key| Some((*key, std::env::var(variable(key)).ok()?))).collect()
}

/// Settings may be written as numbers or truth values in files.
fn as_text(value: &figment::value::Value) -> Option<String> {
    use figment::value::Value;
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, yes) => Some(yes.to_string()),
        Value::Num(_, number) => number
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| number.to_u128().map(|number| number.to_string())),
        _ => None,
    }
}

fn limits(text: &impl Fn(&str) -> Option<String>, faults: &mut Vec<String>) -> Option<Limits> {
    let wanted = "a number of requests a second up to 100000, 0 for no limit";
    let rate: Option<u32> =
        parse(text, faults, "rate_limit", wanted, |text| text.parse().ok().filter(|n| *n <= 100_000));
    let requests_at_once = parse(text, faults, "requests_at_once", "a number from 1 to 100000", |text| {
        text.parse().ok().filter(|n| (1..=100_000).contains(n))
    })?;
    Some(Limits { rate: NonZeroU32::new(rate?), requests_at_once, ..Limits::default() })
}

fn parse<T>(
    text: &impl Fn(&str) -> Option<String>,
    faults: &mut Vec<String>,
    key: &str,
    wanted: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let written = text(key).unwrap_or_default();
    let value = read(&written);
    if value.is_none() {
        faults.push(format!("{PREFIX}{} ({key}) is '{written}', but must be {wanted}", key.to_uppercase()));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Config, ConfigError> {
        Config::from(Figment::from(Serialized::defaults(Settings::default())).merge(Toml::string(toml)))
    }

    #[test]
    fn defaults_are_complete() {
        let config = read("").unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.database_url, None);
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let error =
            read("listen = 'here'\nlog_format = 'xml'\nhistory_months = 61\nlease_seconds = 1\nlisten_to = 1\ndatabase_connections = 1\ntrusted_proxies = 'all'\nkey_secret = 'short'")
                .unwrap_err();
        let text = error.to_string();
        for part in [
            "LISTEN (listen) is 'here'",
            "LOG_FORMAT",
            "'listen_to' is not a setting",
            "DATABASE_CONNECTIONS",
            "from 1 to 60",
            "LEASE_SECONDS",
            "TRUSTED_PROXIES",
            "KEY_SECRET",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn a_secret_that_is_no_text_is_not_dropped() {
        let error = read("admin_password = 12345678.50").unwrap_err().to_string();
        assert!(error.contains("admin_password must be a text") && !error.contains("1234"), "{error}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = read("database_url = 'mysql://u:hidden@h/d'\nadmin_password = 'hidden-as-well'\nkey_secret = 'hidden-hidden-hidden-hidden-hidden'").unwrap();
        assert!(!format!("{config:?}").contains("hidden"));
        let error = read("database_url = 'postgres://u:hidden@h/d'\nadmin_password = 'hid'").unwrap_err();
        assert!(!error.to_string().contains("hid"), "{error}");
    }
}
