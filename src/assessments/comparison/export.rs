//! A finished comparison as tables: one part as CSV, or all as a workbook.

use rust_decimal::prelude::ToPrimitive;
use rust_xlsxwriter::{Format, Workbook, XlsxError};
use utoipa::ToSchema;

use super::Comparison;
use crate::assessments::tally::Side;
use crate::csv_rows::safe_cell;

/// Media type of a workbook.
pub const XLSX_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The workbook.
    #[error(transparent)]
    Workbook(#[from] XlsxError),
    /// The CSV.
    #[error("the CSV can't be written: {0}")]
    Csv(String),
}

/// A part of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(as = ComparisonPart, rename_all = "lowercase")]
pub enum Part {
    /// A row for each policy.
    Policies,
    /// Customers by policy and outcomes.
    Matrix,
    /// Sums of entitlements.
    Entitlements,
    /// Who moves, by field and value.
    Groups,
    /// The customers whose outcome differs most.
    Movers,
    /// What was said where the release fails.
    Failures,
}

impl Part {
    /// All parts, in the order of the workbook's sheets.
    pub const ALL: [Self; 6] =
        [Self::Policies, Self::Matrix, Self::Entitlements, Self::Groups, Self::Movers, Self::Failures];

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Policies => "policies",
            Self::Matrix => "matrix",
            Self::Entitlements => "entitlements",
            Self::Groups => "groups",
            Self::Movers => "movers",
            Self::Failures => "failures",
        }
    }

    /// The part of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.key() == key)
    }

    fn header(self) -> &'static [&'static str] {
        match self {
            Self::Policies => &["policy", "decided", "moved", "share_moved", "newly_failed"],
            Self::Matrix => &["policy", "from", "to", "customers"],
            Self::Entitlements => &["policy", "entitlement", "before", "after"],
            Self::Groups => &["policy", "field", "value", "customers", "moved"],
            Self::Movers => &["policy", "customer", "from", "to", "steps"],
            Self::Failures => &["policy", "message", "customer_id"],
        }
    }

    fn rows(self, comparison: &Comparison) -> Vec<Vec<Cell>> {
        let side = |side: &Side| {
            Cell::Text(side.outcome().map_or_else(|| format!("({})", String::from(side.clone())), str::to_owned))
        };
        let mut rows = Vec::new();
        for (policy, tally) in &comparison.tally.policies {
            let named = || Cell::Text(policy.clone());
            match self {
                Self::Policies => rows.push(vec![
                    named(),
                    Cell::of(tally.matrix.decided()),
                    Cell::of(tally.matrix.moved()),
                    Cell::of(tally.matrix.share_moved().normalize()),
                    Cell::of(tally.matrix.newly_failed()),
                ]),
                Self::Matrix => rows.extend(
                    tally
                        .matrix
                        .cells()
                        .map(|(from, to, number)| vec![named(), side(from), side(to), Cell::of(number)]),
                ),
                Self::Entitlements => rows.extend(tally.sums.iter().map(|(key, sums)| {
                    let (before, after) = (sums.before.normalize(), sums.after.normalize());
                    vec![named(), Cell::Text(key.clone()), Cell::of(before), Cell::of(after)]
                })),
                Self::Groups => {
                    for (field, counts) in &comparison.tally.fields {
                        let moved = tally.moved_by.get(field);
                        for (value, number) in counts.iter().flatten() {
                            let moved = moved.and_then(|moved| moved.get(value)).copied().unwrap_or_default();
                            let texts = [field, value].map(|text| Cell::Text(text.clone()));
                            rows.push([vec![named()], texts.into(), vec![Cell::of(*number), Cell::of(moved)]].concat());
                        }
                    }
                }
                Self::Movers => {
                    rows.extend(comparison.movers.get(policy).into_iter().flatten().map(|mover| {
                        let outcome = |result: &crate::policy::model::PolicyResult| {
                            Cell::Text(result.outcome().map(|(_, outcome)| outcome).unwrap_or_default())
                        };
                        let code = Cell::Text(mover.customer_code.clone());
                        vec![named(), code, outcome(&mover.before), outcome(&mover.after), Cell::of(mover.steps)]
                    }));
                }
                Self::Failures => rows.extend(tally.failures.iter().map(|(message, customer)| {
                    vec![named(), Cell::Text(message.clone()), Cell::Text(customer.to_string())]
                })),
            }
        }
        rows
    }
}

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Text(String),
    Number(rust_decimal::Decimal),
}

impl Cell {
    fn of(number: impl Into<rust_decimal::Decimal>) -> Self {
        Self::Number(number.into())
    }
}

/// One part as CSV. A text that a spreadsheet would take for a formula has an apostrophe before it.
pub fn csv(comparison: &Comparison, part: Part) -> Result<Vec<u8>, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Csv(error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(part.header()).map_err(|error| failed(&error))?;
    for row in part.rows(comparison) {
        let text = |cell: Cell| match cell {
            Cell::Text(text) => safe_cell(&text).into_owned(),
            Cell::Number(number) => number.to_string(),
        };
        writer.write_record(row.into_iter().map(text)).map_err(|error| failed(&error))?;
    }
    writer.into_inner().map_err(|error| failed(&error))
}

/// All parts as a workbook, a sheet each.
pub fn xlsx(comparison: &Comparison) -> Result<Vec<u8>, Error> {
    let mut workbook = Workbook::new();
    let bold = Format::new().set_bold();
    for part in Part::ALL {
        let sheet = workbook.add_worksheet();
        sheet.set_name(part.key())?;
        sheet.set_freeze_panes(1, 0)?;
        for (column, name) in (0..).zip(part.header()) {
            sheet.write_with_format(0, column, *name, &bold)?;
        }
        for (line, row) in (1..).zip(part.rows(comparison)) {
            for (column, cell) in (0..).zip(row) {
                match cell {
                    Cell::Text(text) => sheet.write_string(line, column, text)?,
                    Cell::Number(number) => sheet.write_number(line, column, number.to_f64().unwrap_or_default())?,
                };
            }
        }
        sheet.autofit();
    }
    Ok(workbook.save_to_buffer()?)
}
