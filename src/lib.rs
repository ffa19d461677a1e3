//! Baremo keeps an industry's customer file and grades every customer by policies that the industry writes itself.

pub mod app;
pub mod assessments;
pub mod cli;
pub mod config;
pub mod csv_rows;
pub mod customers;
pub mod db;
pub mod digest;
pub mod employees;
pub mod entries;
pub mod events;
pub mod faults;
pub mod http;
pub mod identity;
pub mod imports;
pub mod markdown;
pub mod policy;
pub mod releases;
pub mod schemas;
pub mod staff;
pub mod transactions;
pub mod versions;

pub use db::id::Id;
