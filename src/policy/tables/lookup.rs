//! Lookups and matrices: values by one key, or by row and column.

use std::collections::BTreeMap;

use crate::faults::did_you_mean;

/// Values by key.
#[derive(Debug)]
pub(crate) struct Lookup<V> {
    rows: BTreeMap<String, V>,
}

impl<V> Lookup<V> {
    /// A lookup with at least one row.
    pub(crate) fn new(rows: BTreeMap<String, V>) -> Result<Self, String> {
        if rows.is_empty() {
            return Err("a lookup wants at least one row".to_owned());
        }
        Ok(Self { rows })
    }

    /// Its keys.
    pub(crate) fn rows(&self) -> Vec<String> {
        self.rows.keys().cloned().collect()
    }

    /// The value of `key`; an error names a missing key and those that there are.
    pub(crate) fn of(&self, key: &str) -> Result<&V, String> {
        self.rows.get(key).ok_or_else(|| missing("the lookup", "row", key, self.rows.keys()))
    }
}

/// Values by row and column.
#[derive(Debug)]
pub(crate) struct Matrix<V> {
    rows: BTreeMap<String, BTreeMap<String, V>>,
}

impl<V> Matrix<V> {
    /// A matrix whose rows all have the same columns.
    pub(crate) fn new(rows: BTreeMap<String, BTreeMap<String, V>>) -> Result<Self, String> {
        let Some((first, columns)) = rows.first_key_value() else {
            return Err("a matrix wants at least one row".to_owned());
        };
        if columns.is_empty() {
            return Err(format!("the row '{first}' of the matrix is empty"));
        }
        for (row, cells) in &rows {
            if let Some(column) = columns.keys().find(|column| !cells.contains_key(*column)) {
                return Err(format!("the row '{row}' of the matrix lacks the column '{column}'"));
            }
            if let Some(column) = cells.keys().find(|column| !columns.contains_key(*column)) {
                return Err(format!("the row '{first}' of the matrix lacks the column '{column}'"));
            }
        }
        Ok(Self { rows })
    }

    /// Its cells, each as row and column.
    pub(crate) fn cells(&self) -> Vec<String> {
        let cells =
            self.rows.iter().flat_map(|(row, cells)| cells.keys().map(move |column| format!("{row}, {column}")));
        cells.collect()
    }

    /// The value at a row and column; an error names what is missing.
    pub(crate) fn of(&self, row: &str, column: &str) -> Result<&V, String> {
        let cells = self.rows.get(row).ok_or_else(|| missing("the matrix", "row", row, self.rows.keys()))?;
        cells.get(column).ok_or_else(|| missing("the matrix", "column", column, cells.keys()))
    }
}

fn missing<'a>(table: &str, part: &str, key: &str, keys: impl Iterator<Item = &'a String> + Clone) -> String {
    let hint = did_you_mean(key, keys.clone().map(String::as_str));
    let all: Vec<&str> = keys.map(String::as_str).collect();
    format!("{table} has no {part} '{key}', only {}{hint}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[(&str, i32)]) -> BTreeMap<String, i32> {
        cells.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
    }

    #[test]
    fn a_missing_key_is_named_with_the_nearest() {
        let lookup = Lookup::new(row(&[("urban", 1), ("rural", 2)])).unwrap();
        assert_eq!(lookup.of("rural"), Ok(&2));
        let error = lookup.of("urbam").unwrap_err();
        assert!(error.contains("'urbam'") && error.contains("did you mean 'urban'"), "{error}");
    }

    #[test]
    fn all_rows_of_a_matrix_have_the_same_columns() {
        let ragged = [("a".to_owned(), row(&[("x", 1), ("y", 2)])), ("b".to_owned(), row(&[("x", 3)]))];
        assert!(Matrix::new(ragged.into()).unwrap_err().contains("'b' of the matrix lacks the column 'y'"));
        let matrix = Matrix::new([("a".to_owned(), row(&[("x", 1), ("y", 2)]))].into()).unwrap();
        assert_eq!(matrix.of("a", "y"), Ok(&2));
        assert!(matrix.of("a", "z").unwrap_err().contains("no column 'z'"));
        assert!(matrix.of("c", "x").unwrap_err().contains("no row 'c'"));
    }
}
