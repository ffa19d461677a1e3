//! How scripts declare tables and ask them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map};
use rust_decimal::Decimal;

use super::decision::Draft;
use super::{Fallible, canonical, charge, expect_number, fault, is_plain, number, shown, weight};
use crate::policy::model::{Cuts, Indicator};
use crate::policy::tables::{Bands, Given, Lookup, Matrix, Part, Rows, Scale, Score, Weights};

/// A score as scripts hold it.
#[derive(Clone)]
pub(crate) struct ScoreView(pub(crate) Arc<Score>);

/// A cohort in the customer's group.
#[derive(Clone)]
pub(crate) struct CohortView {
    /// The cohort's id.
    pub(crate) id: Arc<str>,
    /// The cuts of the group.
    pub(crate) cuts: Arc<Cuts>,
}

#[derive(Clone)]
struct BandsView(Arc<Bands>);
#[derive(Clone)]
struct LookupView(Arc<Lookup<Dynamic>>);
#[derive(Clone)]
struct MatrixView(Arc<Matrix<Dynamic>>);
#[derive(Clone)]
struct RowsView(Arc<Rows<Dynamic>>);
#[derive(Clone)]
struct ScaleView(Arc<Scale>);
#[derive(Clone)]
struct WeightsView(Arc<Weights>);

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<BandsView>("bands")
        .register_fn("bands", bands)
        .register_fn("of", |table: &mut BandsView, value: Dynamic| band_of(table, &value));
    engine.register_type_with_name::<LookupView>("lookup").register_fn("lookup", lookup).register_fn(
        "of",
        |table: &mut LookupView, key: Dynamic| {
            with_key(&key, |key| {
                let value = table.0.of(key).cloned().map_err(fault)?;
                asked(&table.0, || key.to_owned());
                Ok(value)
            })
        },
    );
    engine.register_type_with_name::<MatrixView>("matrix").register_fn("matrix", matrix).register_fn(
        "of",
        |table: &mut MatrixView, row: Dynamic, column: Dynamic| {
            with_key(&row, |row| {
                with_key(&column, |column| {
                    let value = table.0.of(row, column).cloned().map_err(fault)?;
                    asked(&table.0, || format!("{row}, {column}"));
                    Ok(value)
                })
            })
        },
    );
    engine.register_type_with_name::<RowsView>("table").register_fn("table", rows).register_fn(
        "of",
        |table: &mut RowsView, values: Array| {
            let given: Vec<Given> = values.iter().map(cell).collect::<Fallible<_>>()?;
            let (place, value) = table.0.of(&given).map_err(fault)?;
            asked(&table.0, || format!("row {}", place + 1));
            Ok::<Dynamic, Box<EvalAltResult>>(value.clone())
        },
    );
    engine
        .register_type_with_name::<ScaleView>("scale")
        .register_fn("scale", scale)
        .register_fn("of", |table: &mut ScaleView, value: Dynamic| scale_of(table, &value));
    engine
        .register_type_with_name::<WeightsView>("weights")
        .register_fn("weights", weights)
        .register_fn("score", |weights: &mut WeightsView, parts: Map| score(weights, parts));
    engine
        .register_type_with_name::<ScoreView>("score")
        .register_get("value", |score: &mut ScoreView| score.0.value.map_or(Dynamic::UNIT, Dynamic::from));
    engine
        .register_type_with_name::<CohortView>("cohort")
        .register_fn("band_of", |cohort: &mut CohortView, value: Decimal| {
            cohort.reached(value).map(|cuts| Decimal::from(cuts + 1))
        })
        .register_fn("rank_of", |cohort: &mut CohortView, value: Decimal| {
            cohort.reached(value).map(|cuts| Decimal::from(cuts) / Decimal::ONE_HUNDRED)
        })
        .register_fn("class_of", class_of);
}

impl CohortView {
    /// How many cuts `value` reaches.
    fn reached(&self, value: Decimal) -> Fallible<usize> {
        if self.cuts.cuts().is_empty() {
            return Err(fault(format!("the cohort '{}' has no cuts: nobody was counted", self.id)));
        }
        Ok(self.cuts.reached(value))
    }
}

fn class_of(cohort: &mut CohortView, value: Decimal, names: Array) -> Fallible<Dynamic> {
    let reached = cohort.reached(value)?;
    if names.len() != cohort.cuts.cuts().len() + 1 {
        let (names, classes) = (names.len(), cohort.cuts.cuts().len() + 1);
        return Err(fault(format!("the cohort '{}' has {classes} classes, but {names} names were given", cohort.id)));
    }
    names.into_iter().nth(reached).ok_or_else(|| fault("a class without a name"))
}

fn bands(rows: Array, last: ImmutableString) -> Fallible<BandsView> {
    charge(weight_of(&rows))?;
    let rows = (1..)
        .zip(&rows)
        .map(|(index, row)| {
            let (from, outcome) = pair(row, || format!("row {index} of bands"))?;
            let from = expect_number(&from, &format!("the number in row {index} of bands")).map_err(fault)?;
            let outcome = outcome.read_lock::<ImmutableString>().map(|text| text.to_string()).ok_or_else(|| {
                fault(format!("the outcome in row {index} of bands is {}, not a text", shown(&outcome)))
            })?;
            Ok((from, outcome))
        })
        .collect::<Fallible<_>>()?;
    Bands::new(rows, last.to_string()).map(|bands| BandsView(Arc::new(bands))).map_err(fault)
}

fn band_of(table: &BandsView, value: &Dynamic) -> Fallible<Draft> {
    let answer = |number: Decimal| {
        asked(&table.0, || table.0.rows().swap_remove(table.0.place(number)));
        Draft::of_band(&table.0, number)
    };
    if let Some(number) = number(value) {
        return answer(number);
    }
    let Some(score) = value.read_lock::<ScoreView>().map(|score| score.0.clone()) else {
        return Err(fault(format!("bands want a number or a score, not {}", shown(value))));
    };
    let number = score.value.ok_or_else(|| fault("the score has no value: all its parts are absent"))?;
    answer(number)?.scored(score)
}

fn lookup(rows: Map) -> Fallible<LookupView> {
    let rows: BTreeMap<String, Dynamic> = rows.into_iter().map(|(key, value)| (key.to_string(), value)).collect();
    charge(rows.iter().map(|(key, value)| key.len() + weight(value)).sum())?;
    if let Some((key, value)) = rows.iter().find(|(_, value)| canonical(value).is_none()) {
        return Err(fault(format!("the value of '{key}' in the lookup is {}", shown(value))));
    }
    Lookup::new(rows).map(|lookup| LookupView(Arc::new(lookup))).map_err(fault)
}

fn matrix(rows: Map) -> Fallible<MatrixView> {
    charge(rows.iter().map(|(row, cells)| row.len() + weight(cells)).sum())?;
    let rows = rows
        .into_iter()
        .map(|(row, cells)| {
            let type_of_cells = shown(&cells);
            let cells = cells
                .try_cast::<Map>()
                .ok_or_else(|| fault(format!("the row '{row}' of the matrix is {type_of_cells}, not #{{…}}")))?;
            if let Some((column, cell)) = cells.iter().find(|(_, cell)| !is_plain(cell)) {
                return Err(fault(format!("the cell '{column}' in row '{row}' of the matrix is {}", shown(cell))));
            }
            let cells: BTreeMap<String, Dynamic> =
                cells.into_iter().map(|(column, value)| (column.to_string(), value)).collect();
            Ok((row.to_string(), cells))
        })
        .collect::<Fallible<_>>()?;
    Matrix::new(rows).map(|matrix| MatrixView(Arc::new(matrix))).map_err(fault)
}

fn rows(rows: Array) -> Fallible<RowsView> {
    charge(weight_of(&rows))?;
    let rows = (1..)
        .zip(rows)
        .map(|(index, row)| {
            let list = row.try_cast::<Array>();
            let mut cells = list.ok_or_else(|| fault(format!("row {index} of the table isn't a list")))?;
            let value = cells.pop().ok_or_else(|| fault(format!("row {index} of the table is empty")))?;
            if !is_plain(&value) {
                return Err(fault(format!("row {index} of the table gives {}", shown(&value))));
            }
            let cells: Vec<Given> = cells.iter().map(cell).collect::<Fallible<_>>()?;
            Ok((cells, value))
        })
        .collect::<Fallible<_>>()?;
    Rows::new(rows).map(|rows| RowsView(Arc::new(rows))).map_err(fault)
}

fn cell(value: &Dynamic) -> Fallible<Given> {
    if value.is_unit() {
        return Ok(Given::Absent);
    }
    if let Some(number) = number(value) {
        return Ok(Given::Number(number));
    }
    if let Ok(yes) = value.as_bool() {
        return Ok(Given::Boolean(yes));
    }
    let text = value.read_lock::<ImmutableString>().map(|text| Given::Text(text.to_string()));
    text.ok_or_else(|| fault(format!("a table compares numbers, texts and booleans, not {}", shown(value))))
}

fn scale(points: Array) -> Fallible<ScaleView> {
    charge(weight_of(&points))?;
    let points = (1..)
        .zip(&points)
        .map(|(index, point)| {
            let (at, value) = pair(point, || format!("point {index} of the scale"))?;
            let of = |value: &Dynamic| expect_number(value, &format!("a number of point {index} of the scale"));
            Ok((of(&at).map_err(fault)?, of(&value).map_err(fault)?))
        })
        .collect::<Fallible<_>>()?;
    Scale::new(points).map(|scale| ScaleView(Arc::new(scale))).map_err(fault)
}

fn scale_of(scale: &ScaleView, value: &Dynamic) -> Fallible<Dynamic> {
    if value.is_unit() {
        return Ok(Dynamic::UNIT);
    }
    let number = expect_number(value, "the value for the scale").map_err(fault)?;
    scale.0.of(number).map(Dynamic::from).map_err(fault)
}

fn weights(parts: Map) -> Fallible<WeightsView> {
    charge(parts.iter().map(|(key, value)| key.len() + weight(value)).sum())?;
    let parts = parts
        .iter()
        .map(|(key, weight)| Ok((key.to_string(), expect_number(weight, &format!("the weight of '{key}'"))?)))
        .collect::<Result<_, String>>()
        .map_err(fault)?;
    Weights::new(parts).map(|weights| WeightsView(Arc::new(weights))).map_err(fault)
}

/// Scores have parts that are scores: this deep at most, and so many parts altogether.
const SCORE_LEVELS: usize = 8;
const SCORE_PARTS: usize = 500;

fn score(weights: &WeightsView, parts: Map) -> Fallible<ScoreView> {
    let extents = parts.values().filter_map(|value| value.read_lock::<ScoreView>().map(|score| score.0.extent()));
    let (levels, inner) = extents.fold((0, 0), |(deepest, all), (levels, parts)| (levels.max(deepest), all + parts));
    let all = inner + parts.len();
    if levels >= SCORE_LEVELS || all > SCORE_PARTS {
        let message = format!("scores nest at most {SCORE_LEVELS} deep and have at most {SCORE_PARTS} parts");
        return Err(fault(message));
    }
    charge(all * size_of::<Indicator>())?;
    let parts = parts
        .iter()
        .map(|(key, value)| {
            let score = value.read_lock::<ScoreView>().map(|score| Score::clone(&score.0));
            let part = match (score, value.is_unit()) {
                (Some(score), _) => Part::Score(score),
                (None, true) => Part::Absent,
                (None, false) => Part::Number(expect_number(value, &format!("the part '{key}'"))?),
            };
            Ok((key.as_str(), part))
        })
        .collect::<Result<_, String>>()
        .map_err(fault)?;
    weights.0.score(parts).map(|score| ScoreView(Arc::new(score))).map_err(fault)
}

thread_local! {
    /// Which rows of which tables were asked for on this thread, while that is wanted.
    static ASKED: RefCell<Option<BTreeSet<Row>>> = const { RefCell::new(None) };
}

/// A row of a table: the table's address, and how the row is called.
pub(crate) type Row = (usize, String);

/// Notes that a row was asked for, where that is wanted.
fn asked<T>(table: &Arc<T>, row: impl FnOnce() -> String) {
    ASKED.with_borrow_mut(|asked| {
        if let Some(asked) = asked {
            asked.insert((Arc::as_ptr(table).addr(), row()));
        }
    });
}

/// Does `work`, and gives the rows of tables that scripts asked for meanwhile on this thread.
pub(crate) fn watched<T>(work: impl FnOnce() -> T) -> (T, BTreeSet<Row>) {
    ASKED.set(Some(BTreeSet::new()));
    let result = work();
    (result, ASKED.take().unwrap_or_default())
}

/// All rows of a table; nothing where a value is none, or one that has no rows to ask for.
pub(crate) fn rows_of(value: &Dynamic) -> Vec<Row> {
    let rows = |address: usize, names: Vec<String>| names.into_iter().map(|name| (address, name)).collect();
    if let Some(BandsView(table)) = value.clone().try_cast() {
        return rows(Arc::as_ptr(&table).addr(), table.rows());
    }
    if let Some(LookupView(table)) = value.clone().try_cast() {
        return rows(Arc::as_ptr(&table).addr(), table.rows());
    }
    if let Some(MatrixView(table)) = value.clone().try_cast() {
        return rows(Arc::as_ptr(&table).addr(), table.cells());
    }
    if let Some(RowsView(table)) = value.clone().try_cast() {
        return rows(Arc::as_ptr(&table).addr(), (1..=table.count()).map(|number| format!("row {number}")).collect());
    }
    Vec::new()
}

fn weight_of(list: &Array) -> usize {
    list.iter().map(weight).sum()
}

/// The two elements of a list.
fn pair(value: &Dynamic, what: impl Fn() -> String) -> Fallible<(Dynamic, Dynamic)> {
    let list =
        value.read_lock::<Array>().ok_or_else(|| fault(format!("{} is {}, not a list", what(), shown(value))))?;
    match list.as_slice() {
        [first, second] => Ok((first.clone(), second.clone())),
        other => Err(fault(format!("{} has {} elements instead of two", what(), other.len()))),
    }
}

/// Does `work` with the text by which a value is looked up.
fn with_key<T>(value: &Dynamic, work: impl FnOnce(&str) -> Fallible<T>) -> Fallible<T> {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return work(&text);
    }
    match canonical(value) {
        Some(text) => work(&text),
        None => Err(fault(format!("a key is a text, not {}", shown(value)))),
    }
}
