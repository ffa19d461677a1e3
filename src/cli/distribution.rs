//! The table of how a run's customers are distributed over every policy's outcomes.

use comfy_table::{Cell, CellAlignment, Table};

use crate::assessments::api::runs::{PolicySummary, summary};
use crate::assessments::model::Run;
use crate::assessments::view::Renderer;
use crate::releases::active::Active;

/// A line below the header, and blanks between columns.
pub const STYLE: &str = "     ──            ";
/// Width of the longest bar, in characters.
const BAR: u64 = 24;

/// The table, in the pack's first language. Outcomes that nobody has are left out where a policy has many.
pub fn table(run: &Run, active: &Active) -> String {
    let renderer = Renderer::new(&active.release.pack, &[]);
    let mut table = Table::new();
    table.load_preset(STYLE).set_header(["Policy", "Outcome", "Customers", "Share", ""]);
    for policy in summary(run, &renderer, active) {
        add(&mut table, &policy);
    }
    let failed = match run.progress.failed {
        0 => String::new(),
        failed => format!("\n{failed} of them failed: GET /v1/runs/{}/failures says who and why", run.id),
    };
    format!("\n{} customers assessed as of {}\n{table}{failed}", run.progress.assessed, active.basis.business_date)
}

fn add(table: &mut Table, policy: &PolicySummary) {
    const MANY: usize = 12;
    let all: u64 = policy.outcomes.iter().map(|outcome| outcome.customers).sum();
    let shown = policy.outcomes.iter().filter(|outcome| outcome.customers > 0 || policy.outcomes.len() <= MANY);
    for (index, outcome) in shown.enumerate() {
        let title = if index == 0 { policy.title.as_str() } else { "" };
        let per_mille = (outcome.customers * 1000 + all / 2).checked_div(all).unwrap_or_default();
        let bar = usize::try_from((outcome.customers * BAR).div_ceil(all.max(1))).unwrap_or_default();
        table.add_row([
            Cell::new(title),
            Cell::new(&outcome.label),
            Cell::new(outcome.customers).set_alignment(CellAlignment::Right),
            Cell::new(format!("{}.{} %", per_mille / 10, per_mille % 10)).set_alignment(CellAlignment::Right),
            Cell::new("█".repeat(bar)),
        ]);
    }
}
