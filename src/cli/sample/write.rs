//! Writing what a sample makes as CSV files for imports, customer by customer, so that memory doesn't grow with their number.

use std::fs;
use std::path::Path;

use csv::Writer;
use rust_decimal::Decimal;

use crate::csv_rows::Progress;
use crate::policy::pack::Pack;
use crate::policy::sample::Import;
use crate::policy::sample::making::{GeneratedCustomer, GeneratedTransaction, Making};
use crate::policy::sample::model::{Generate, KindPlan};

/// Customers after which the progress is shown.
const STEP: u32 = 1_000;

/// A file that was written.
pub struct Written {
    /// Its name in the folder.
    pub name: String,
    /// What stands in it.
    pub import: Import,
    /// Its rows, without the header.
    pub rows: u64,
}

/// Writes `customers.csv`, `products.csv` where there are any, and `transactions_<kind>.csv` or `observations_<kind>.csv` for each kind, in the order in
/// which they are imported.
pub fn write(
    generate: &Generate,
    pack: &Pack,
    customers: u32,
    seed: u64,
    folder: &Path,
    progress: &mut Progress,
) -> Result<Vec<Written>, csv::Error> {
    fs::create_dir_all(folder)?;
    let making = Making::new(generate, seed);
    let mut of_customers = Table::new(folder, "customers", Import::Customers, customer_header(generate, pack))?;
    let mut of_kinds = Vec::new();
    for plan in &generate.kinds {
        let (what, import, header) = match plan.observed {
            true => ("observations", Import::Observations, own(&["customer", "kind", "on", "id", "value"])),
            false => ("transactions", Import::Transactions, transaction_header(plan)),
        };
        of_kinds.push(Table::new(folder, &format!("{what}_{}", plan.kind), import, header)?);
    }
    progress.begin(u64::from(customers));
    for customer in (1..=customers).map(|number| making.customer(number)) {
        of_customers.row(customer_row(generate, &customer))?;
        let made = making.transactions(&customer);
        for ((table, plan), transactions) in of_kinds.iter_mut().zip(&generate.kinds).zip(&made) {
            match plan.observed {
                true => write_observations(table, plan, &customer, transactions)?,
                false => write_transactions(table, generate, plan, &customer, transactions)?,
            }
        }
        if customer.number % STEP == 0 {
            progress.at(u64::from(customer.number), u64::from(customer.number));
        }
    }
    progress.end();
    let mut written = vec![of_customers.end()?];
    if !generate.products.is_empty() {
        written.push(write_products(generate, folder)?);
    }
    for table in of_kinds {
        written.push(table.end()?);
    }
    Ok(written)
}

/// A file that is being written.
struct Table {
    writer: Writer<fs::File>,
    written: Written,
}

impl Table {
    fn new(
        folder: &Path,
        name: &str,
        import: Import,
        header: impl IntoIterator<Item = String>,
    ) -> Result<Self, csv::Error> {
        let name = format!("{name}.csv");
        let mut writer = Writer::from_path(folder.join(&name))?;
        writer.write_record(header.into_iter().collect::<Vec<_>>())?;
        Ok(Self { writer, written: Written { name, import, rows: 0 } })
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) -> Result<(), csv::Error> {
        for cell in cells {
            self.writer.write_field(cell)?;
        }
        self.writer.write_record(None::<&[u8]>)?;
        self.written.rows += 1;
        Ok(())
    }

    fn end(mut self) -> Result<Written, csv::Error> {
        self.writer.flush()?;
        Ok(self.written)
    }
}

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn customer_header(generate: &Generate, pack: &Pack) -> Vec<String> {
    let seen = generate.values.iter().filter(|value| !value.hidden);
    let fields = seen.filter_map(|value| Some(format!("{}.{}", pack.fields.get(&value.key)?.section.key(), value.key)));
    own(&["code", "name", "status"]).into_iter().chain(fields).collect()
}

fn customer_row(generate: &Generate, customer: &GeneratedCustomer) -> Vec<String> {
    let status = if customer.active { "active" } else { "inactive" };
    let values = generate.values.iter().zip(&customer.values).filter(|(plan, _)| !plan.hidden);
    let cells = values.map(|(_, value)| value.as_ref().map(ToString::to_string).unwrap_or_default());
    [customer.code.clone(), customer.name.clone(), status.to_owned()].into_iter().chain(cells).collect()
}

fn write_products(generate: &Generate, folder: &Path) -> Result<Written, csv::Error> {
    let header = own(&["code", "name", "category", "unit", "factor"]);
    let mut table = Table::new(folder, "products", Import::Products, header)?;
    for product in &generate.products {
        let factor = number(product.factor);
        let texts = [&product.code, &product.name, &product.category, &product.unit, &factor];
        table.row(texts.map(String::clone))?;
    }
    table.end()
}

/// With all that says what a product is, so that the file can be graded by `baremo rules run` alone.
fn transaction_header(plan: &KindPlan) -> Vec<String> {
    let product: &[&str] = match plan.with_products {
        true => &["product", "product_name", "product_category", "product_unit", "product_factor"],
        false => &[],
    };
    [own(&["customer", "kind", "on", "order"]), own(product), plan.names.clone()].concat()
}

fn write_transactions(
    table: &mut Table,
    generate: &Generate,
    plan: &KindPlan,
    customer: &GeneratedCustomer,
    transactions: &[GeneratedTransaction],
) -> Result<(), csv::Error> {
    for (number_of, transaction) in (1_u32..).zip(transactions) {
        let order = format!("{}-{}-{number_of}", customer.code, plan.kind);
        for line in &transaction.lines {
            let mut cells = vec![customer.code.clone(), plan.kind.clone(), transaction.on.to_string(), order.clone()];
            if let Some(product) = line.product.and_then(|place| generate.products.get(place)) {
                let texts = [&product.code, &product.name, &product.category, &product.unit];
                cells.extend(texts.into_iter().cloned().chain([number(product.factor)]));
            }
            cells.extend(line.measures.iter().map(|measure| measure.map(number).unwrap_or_default()));
            table.row(cells)?;
        }
    }
    Ok(())
}

fn write_observations(
    table: &mut Table,
    plan: &KindPlan,
    customer: &GeneratedCustomer,
    observed: &[GeneratedTransaction],
) -> Result<(), csv::Error> {
    for (number_of, one) in (1_u32..).zip(observed) {
        let id = format!("{}-{}-{number_of}", customer.code, plan.kind);
        let value = one.lines.first().and_then(|line| line.measures.first().copied().flatten());
        let value = value.map(number).unwrap_or_default();
        table.row([customer.code.clone(), plan.kind.clone(), one.on.to_string(), id, value])?;
    }
    Ok(())
}

fn number(number: Decimal) -> String {
    number.normalize().to_string()
}
