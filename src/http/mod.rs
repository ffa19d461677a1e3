//! The edge that all capabilities share: problems, extractors, paging, the API description and operation.

pub mod client;
pub mod current;
pub mod docs;
pub mod etag;
pub mod examples;
pub mod extract;
pub mod json;
pub mod limits;
pub mod list;
pub mod metrics;
pub mod middleware;
pub mod openapi;
pub mod operation;
pub mod pace;
pub mod paging;
pub mod paths;
pub mod problem;
pub mod request_log;
pub mod server;
pub mod streams;
#[cfg(feature = "otel")]
pub mod traces;
