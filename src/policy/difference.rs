//! What differs from one release to another, as its author would say it: policies, cells of tables and numbers, fields, metrics, cohorts.

use std::collections::BTreeMap;

use rhai::{AST, Engine, Expr, OptimizationLevel, Stmt};

use super::changes::changed_policies;
use super::release::LoadedPack;
use super::sandbox;
use super::source::Source;

/// A release with its files.
type Release<'a> = (&'a Source, &'a LoadedPack);

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another one.
    Changed,
}

impl Change {
    fn of<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> Option<Self> {
        match (before, after) {
            (None, Some(_)) => Some(Self::Added),
            (Some(_), None) => Some(Self::Removed),
            (Some(before), Some(after)) if before != after => Some(Self::Changed),
            _ => None,
        }
    }
}

/// A number, a text or a row of a constant that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The policy.
    pub policy: String,
    /// The constant, and where in it, counted from 1: `GRADES, row 2, cell 1`.
    pub place: String,
    /// What stood there; absent where there was nothing.
    pub before: Option<String>,
    /// What stands there; absent where there is nothing.
    pub after: Option<String>,
}

/// What differs, each by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Policies, also those that are decided otherwise because another one is.
    pub policies: BTreeMap<String, Change>,
    /// Cells of constants of policies that both have.
    pub cells: Vec<Cell>,
    /// Fields.
    pub fields: BTreeMap<String, Change>,
    /// Metrics.
    pub metrics: BTreeMap<String, Change>,
    /// Cohorts.
    pub cohorts: BTreeMap<String, Change>,
    /// Paths of the files.
    pub files: BTreeMap<String, Change>,
}

/// What differs from an old release to a new one.
pub fn difference(old: Release<'_>, new: Release<'_>) -> Difference {
    let (before, after) = (&old.1.pack, &new.1.pack);
    let changed = changed_policies(old.1, new.1);
    let policy = |id: &String| {
        let change = match (before.policies.contains_key(id), after.policies.contains_key(id)) {
            (true, false) => Change::Removed,
            (false, _) => Change::Added,
            (true, true) => Change::Changed,
        };
        (id.clone(), change)
    };
    let gone = before.policies.keys().filter(|id| !after.policies.contains_key(*id));
    let (scripts_before, scripts_after) = (old.0.scripts(), new.0.scripts());
    let mut cells = Vec::new();
    for id in after.policies.keys() {
        if let (Some(before), Some(after)) = (scripts_before.get(id), scripts_after.get(id))
            && before != after
        {
            let (before, after) = (constants(before), constants(after));
            for name in names(before.keys(), after.keys()) {
                compare(id, &name, before.get(&name), after.get(&name), &mut cells);
            }
        }
    }
    let fields = [before, after].map(|pack| shown(pack.fields.iter()));
    let metrics = [before, after].map(|pack| shown(pack.definitions.metrics.iter().map(|(key, one)| (&**key, one))));
    let cohorts = [before, after].map(|pack| shown(pack.cohorts.iter().map(|(key, one)| (&**key, one))));
    let files =
        [old, new].map(|(source, _)| source.files().map(|(path, text)| (path.to_owned(), text.to_owned())).collect());
    Difference {
        policies: changed.iter().chain(gone).map(policy).collect(),
        cells,
        fields: changes(&fields),
        metrics: changes(&metrics),
        cohorts: changes(&cohorts),
        files: changes(&files),
    }
}

fn shown<'a, T: std::fmt::Debug>(all: impl Iterator<Item = (&'a str, T)>) -> BTreeMap<String, String> {
    all.map(|(key, one)| (key.to_owned(), format!("{one:?}"))).collect()
}

fn changes([before, after]: &[BTreeMap<String, String>; 2]) -> BTreeMap<String, Change> {
    let change = |key: String| Some((key.clone(), Change::of(before.get(&key), after.get(&key))?));
    names(before.keys(), after.keys()).into_iter().filter_map(change).collect()
}

/// The names of both, those of the second first.
fn names<'a>(before: impl Iterator<Item = &'a String>, after: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = after.cloned().collect();
    let gone: Vec<String> = before.filter(|name| !names.contains(name)).cloned().collect();
    names.extend(gone);
    names
}

/// A constant as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    /// A number, a text, a truth value.
    Value(String),
    /// A list, or what a function that makes a table is given.
    List(Vec<Self>),
    /// A map by key.
    Map(BTreeMap<String, Self>),
    /// What is computed: it isn't looked into.
    Computed,
}

impl Written {
    fn of(expression: &Expr) -> Self {
        match expression {
            Expr::Array(items, _) => Self::List(items.iter().map(Self::of).collect()),
            Expr::Map(parts, _) => {
                Self::Map(parts.0.iter().map(|(key, value)| (key.name.to_string(), Self::of(value))).collect())
            }
            Expr::FnCall(call, _) if call.args.len() == 1 => call.args.first().map_or(Self::Computed, Self::of),
            Expr::FnCall(call, _) => Self::List(call.args.iter().map(Self::of).collect()),
            Expr::IntegerConstant(..)
            | Expr::DynamicConstant(..)
            | Expr::StringConstant(..)
            | Expr::CharConstant(..)
            | Expr::BoolConstant(..) => {
                let value = expression.get_literal_value(None).map(|value| value.to_string());
                value.map_or(Self::Computed, Self::Value)
            }
            _ => Self::Computed,
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Value(value) => value.clone(),
            Self::List(items) => format!("[{}]", items.iter().map(Self::told).collect::<Vec<_>>().join(", ")),
            Self::Map(parts) => {
                let parts: Vec<String> = parts.iter().map(|(key, value)| format!("{key}: {}", value.told())).collect();
                format!("#{{{}}}", parts.join(", "))
            }
            Self::Computed => "…".to_owned(),
        }
    }
}

/// The constants of a script, as they are written.
fn constants(script: &str) -> BTreeMap<String, Written> {
    let mut engine: Engine = sandbox::engine();
    engine.set_strict_variables(false);
    engine.set_optimization_level(OptimizationLevel::None);
    let ast = engine.compile(script).unwrap_or_else(|_| AST::empty());
    let constant = |statement: &Stmt| match statement {
        Stmt::Var(variable, ..) => Some((variable.0.name.to_string(), Written::of(&variable.1))),
        _ => None,
    };
    ast.statements().iter().filter_map(constant).collect()
}

fn compare(policy: &str, place: &str, before: Option<&Written>, after: Option<&Written>, cells: &mut Vec<Cell>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Written::Map(old)), Some(Written::Map(new))) => {
            for key in names(old.keys(), new.keys()) {
                compare(policy, &format!("{place}, {key}"), old.get(&key), new.get(&key), cells);
            }
        }
        (Some(Written::List(old)), Some(Written::List(new))) if old.len() == new.len() => {
            let is_rows = |list: &[Written]| list.iter().all(|item| matches!(item, Written::List(_)));
            let what = if is_rows(old) && is_rows(new) { "row" } else { "cell" };
            for (number, (old, new)) in (1..).zip(old.iter().zip(new)) {
                compare(policy, &format!("{place}, {what} {number}"), Some(old), Some(new), cells);
            }
        }
        (Some(Written::List(old)), Some(Written::List(new))) => {
            let mut told = |number: usize, before: Option<&Written>, after: Option<&Written>| {
                let place = format!("{place}, row {number}");
                cells.push(Cell {
                    policy: policy.to_owned(),
                    place,
                    before: before.map(Written::told),
                    after: after.map(Written::told),
                });
            };
            (1..)
                .zip(old)
                .filter(|(_, row)| !new.contains(row))
                .for_each(|(number, row)| told(number, Some(row), None));
            (1..)
                .zip(new)
                .filter(|(_, row)| !old.contains(row))
                .for_each(|(number, row)| told(number, None, Some(row)));
        }
        _ => cells.push(Cell {
            policy: policy.to_owned(),
            place: place.to_owned(),
            before: before.map(Written::told),
            after: after.map(Written::told),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(before: &str, after: &str) -> Vec<(String, Option<String>, Option<String>)> {
        let (before, after) = (constants(before), constants(after));
        let mut cells = Vec::new();
        for name in names(before.keys(), after.keys()) {
            compare("grade", &name, before.get(&name), after.get(&name), &mut cells);
        }
        cells.into_iter().map(|cell| (cell.place, cell.before, cell.after)).collect()
    }

    fn cell(place: &str, before: &str, after: &str) -> (String, Option<String>, Option<String>) {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        (place.to_owned(), some(before), some(after))
    }

    #[test]
    fn tables_are_compared_cell_by_cell() {
        let before = r#"const GRADES = bands([[20, "1"], [15.5, "2"]], "3"); const SUPPLY = lookup(#{ "1": 30, "2": 20 }); const LIMIT = 7;"#;
        let after = r#"const GRADES = bands([[20, "1"], [16, "2"]], "4"); const SUPPLY = lookup(#{ "1": 30, "2": 25, "4": 1 }); const LIMIT = 8;"#;
        let expected = [
            cell("GRADES, cell 1, row 2, cell 1", "15.5", "16"),
            cell("GRADES, cell 2", "3", "4"),
            cell("LIMIT", "7", "8"),
            cell("SUPPLY, 2", "20", "25"),
            cell("SUPPLY, 4", "", "1"),
        ];
        assert_eq!(cells(before, after), expected);
        assert!(cells(before, before).is_empty());
    }

    #[test]
    fn rows_that_come_and_go_are_told_whole() {
        let before = r#"const T = [[1, "a"], [2, "b"]]; const GONE = 1;"#;
        let after = r#"const T = [[1, "a"], [3, "c"], [2, "b"]]; const NEW = f(x, 2);"#;
        let expected = [cell("NEW", "", "[…, 2]"), cell("T, row 2", "", "[3, c]"), cell("GONE", "1", "")];
        assert_eq!(cells(before, after), expected);
    }
}
