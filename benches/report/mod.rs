//! What every benchmark prints: a table for people, and under it the same figures as one line of JSON. And the allocator of the service,
//! with which all of them run.

use std::thread::available_parallelism;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value as Json, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The figures of one benchmark.
pub struct Report {
    name: &'static str,
    about: String,
    rows: Vec<Row>,
}

struct Row {
    measure: String,
    value: f64,
    unit: &'static str,
    reference: Option<(String, f64)>,
}

impl Report {
    /// An empty report; `about` says what is measured, on how much data.
    pub fn new(name: &'static str, about: impl Into<String>) -> Self {
        Self { name, about: about.into(), rows: Vec::new() }
    }

    /// Adds a figure.
    pub fn figure(&mut self, measure: impl Into<String>, value: f64, unit: &'static str) {
        self.rows.push(Row { measure: measure.into(), value, unit, reference: None });
    }

    /// Adds a figure beside its reference, which was measured in the same run and in the same unit.
    pub fn against(
        &mut self,
        measure: impl Into<String>,
        value: f64,
        unit: &'static str,
        reference: impl Into<String>,
        reference_value: f64,
    ) {
        let reference = Some((reference.into(), reference_value));
        self.rows.push(Row { measure: measure.into(), value, unit, reference });
    }

    /// Prints the table and the JSON.
    pub fn print(&self) {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN).set_header([
            "measure",
            "value",
            "unit",
            "reference",
            "its value",
            "ratio",
        ]);
        for row in &self.rows {
            let (reference, value, ratio) = match &row.reference {
                Some((name, value)) => (name.clone(), shown(*value), format!("{:.2}", row.value / value)),
                None => Default::default(),
            };
            table.add_row([row.measure.clone(), shown(row.value), row.unit.to_owned(), reference, value, ratio]);
        }
        for column in [1, 4, 5] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        println!("\n{}: {}\n{table}\n{}\n", self.name, self.about, self.json());
    }

    fn json(&self) -> Json {
        let rows = self.rows.iter().map(|row| {
            let reference = row
                .reference
                .as_ref()
                .map(|(name, value)| json!({"name": name, "value": value, "ratio": row.value / value}));
            json!({"measure": row.measure, "value": row.value, "unit": row.unit, "reference": reference})
        });
        let cores = available_parallelism().map_or(1, usize::from);
        json!({"benchmark": self.name, "about": self.about, "cores": cores, "figures": rows.collect::<Vec<_>>()})
    }
}

/// A figure with about three digits that say something.
fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// The value in the middle; not a number where there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
