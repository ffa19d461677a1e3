//! Evaluations of employees and bonus pools over HTTP.

mod evaluations;
mod pools;

use jiff::civil::Date;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::customers::texts::date;
use crate::faults::{Fault, excerpt};

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.configure(evaluations::configure).configure(pools::configure);
}

/// Reads a month, `2018-01`, as its first day.
fn month(pointer: &str, text: &str) -> Result<Date, Fault> {
    let detail = || format!("'{}' is no month such as 2018-01", excerpt(text));
    date(&format!("{text}-01")).map_err(|_| Fault::new(pointer, "date", detail()))
}

/// A month as it is sent.
fn shown(period: Date) -> String {
    period.strftime("%Y-%m").to_string()
}
