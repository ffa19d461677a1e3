//! `baremo import`: customers, products, transactions and observations from CSV files into the base of a pack.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Failure;
use super::base::{self, FailingCases};
use crate::app::import_rules;
use crate::config::Config;
use crate::csv_rows::{self, Encoding, Input, Progress, Report};
use crate::db::Db;
use crate::imports::import::{self, ImportFile};
use crate::imports::model::ImportKind;
use crate::releases::active::{Active, InForce};
use crate::transactions;

/// What is imported.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Customers: columns `code`, `name` and the pack's fields; known codes are changed where the file says something else
    Customers(Options),
    /// Products: columns `code`, `name`, `category`, `unit`, `factor`; known codes are replaced
    Products(Options),
    /// Transactions: columns `customer`, `on`, `order`, measures, and as needed `kind`, `product`; an item is known by order and product
    Transactions(TransactionOptions),
    /// Observations: columns `kind`, `on`, `id`, `customer` or `employee`, and as needed `value`, `evidence`, `reported_by`; one is known by its id
    Observations(ObservationOptions),
}

/// Options of every import.
#[derive(Debug, Args)]
pub struct Options {
    /// The CSV file: separated by comma, semicolon or tab, with a header
    file: PathBuf,
    /// Folder of the pack to whose base it belongs
    #[arg(long, value_name = "FOLDER")]
    pack: PathBuf,
    /// A column under another name than its own: `--map customer=shop_no`; may stand several times
    #[arg(long = "map", value_name = "TARGET=COLUMN", value_parser = mapping)]
    mapping: Vec<(String, String)>,
    /// In which encoding the file is, such as gb18030 or windows-1252; a byte order mark wins
    #[arg(long, value_name = "LABEL", default_value = "utf-8", value_parser = str::parse::<Encoding>)]
    encoding: Encoding,
    /// Say what would happen, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write one line for every faulty row to this CSV file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Options of importing transactions.
#[derive(Debug, Args)]
pub struct TransactionOptions {
    #[command(flatten)]
    options: Options,
    /// Kind of all rows, where the file has no column `kind`
    #[arg(long)]
    kind: Option<String>,
    /// The system that the rows come from: rows are known by source, order and product
    #[arg(long, default_value = transactions::import::DEFAULT_SOURCE)]
    source: String,
}

/// Options of importing observations.
#[derive(Debug, Args)]
pub struct ObservationOptions {
    #[command(flatten)]
    options: Options,
    /// The system that the rows come from: rows are known by source and id
    #[arg(long, default_value = transactions::import::DEFAULT_SOURCE)]
    source: String,
}

/// Reads `TARGET=COLUMN`.
pub(super) fn mapping(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(target, column)| (target.trim().to_owned(), column.trim().to_owned()))
        .filter(|(target, column)| !target.is_empty() && !column.is_empty())
        .ok_or_else(|| format!("'{text}' isn't of the form TARGET=COLUMN"))
}

impl ImportCommand {
    /// Imports, says what happened to the rows, and fails when some were faulty.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        let (Self::Customers(options)
        | Self::Products(options)
        | Self::Transactions(TransactionOptions { options, .. })
        | Self::Observations(ObservationOptions { options, .. })) = &self;
        let folder =
            base::load(&options.pack, FailingCases::Refuse).map_err(|faults| base::told(&options.pack, &faults))?;
        let report = base::beside(config, &folder.release.pack.id, |db| {
            let in_force = InForce::default();
            db.run_here(|conn| base::follow(conn, &in_force, &folder, config.business_date))?;
            let active = in_force.get().ok_or("nothing is in force")?;
            self.import(db, &active)
        })?;
        writeln!(std::io::stdout(), "{report}")?;
        Ok(if report.counts.faulty == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn import(self, db: &Db, active: &Active) -> Result<Report, Failure> {
        let (kind, options, transaction_kind, source) = match self {
            Self::Customers(options) => (ImportKind::Customers, options, None, None),
            Self::Products(options) => (ImportKind::Products, options, None, None),
            Self::Transactions(TransactionOptions { options, kind, source }) => {
                (ImportKind::Transactions, options, kind, Some(source))
            }
            Self::Observations(ObservationOptions { options, source }) => {
                (ImportKind::Observations, options, None, Some(source))
            }
        };
        let Options { file, mapping, encoding, dry_run, report, .. } = options;
        let mapping =
            csv_rows::mapping(mapping).map_err(|target| format!("--map names the column of '{target}' twice"))?;
        let input = Input { file, mapping, encoding, dry_run, report };
        let file = ImportFile { kind, input, transaction_kind, source, user_id: None };
        Ok(import::import(db, &import_rules(active), file, &mut Progress::shown("importing"))?)
    }
}
