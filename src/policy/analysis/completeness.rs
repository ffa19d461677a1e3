//! Whether decision tables decide for everything that can come: gaps, rows that are never reached, and rows that hold for the same but give
//! something else. Each is shown by the smallest values of which it is true.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rust_decimal::Decimal;

use super::Walk;
use super::natives::NativeCall;
use super::types::{Conditions, FromField, Place, Texts, Type};
use crate::policy::tables::{Condition, Given, shown};

/// Combinations of values up to which a table is looked at.
const MOST_COMBINATIONS: usize = 20_000;

/// What a column can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    Numbers,
    Booleans,
    /// These texts, or also any other.
    Texts {
        known: BTreeSet<String>,
        others: bool,
    },
}

/// A table with all that its columns are asked about; nothing where that isn't known.
pub(super) type Asked = Option<(Rc<Conditions>, Vec<Domain>)>;

impl Domain {
    fn of(given: &Type) -> Option<Self> {
        match given {
            Type::Number => Some(Self::Numbers),
            Type::Boolean => Some(Self::Booleans),
            Type::Text(Texts { known: Some(known), from_field: FromField::Wholly, .. })
            | Type::Text(Texts { known: Some(known), outcome: true, .. }) => {
                Some(Self::Texts { known: known.as_ref().clone(), others: false })
            }
            Type::Text(_) => Some(Self::Texts { known: BTreeSet::new(), others: true }),
            _ => None,
        }
    }

    fn or(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Texts { mut known, others }, Self::Texts { known: more, others: also }) => {
                known.extend(more);
                Some(Self::Texts { known, others: others || also })
            }
            (one, other) => (one == other).then_some(one),
        }
    }

    /// A value for each way in which the conditions of the column can hold or not, rising.
    fn values<'c>(&self, conditions: impl Iterator<Item = &'c Condition>) -> Vec<Given> {
        match self {
            Self::Booleans => vec![Given::Boolean(false), Given::Boolean(true)],
            Self::Numbers => {
                let edges: BTreeSet<Decimal> = conditions.flat_map(Condition::numbers).collect();
                let (Some(first), Some(last)) = (edges.first(), edges.last()) else {
                    return vec![Given::Number(Decimal::ZERO)];
                };
                let mut values = vec![first.saturating_sub(Decimal::ONE)];
                for (edge, next) in edges.iter().zip(edges.iter().skip(1)) {
                    values.extend([*edge, edge.saturating_add(*next) / Decimal::TWO]);
                }
                values.extend([*last, last.saturating_add(Decimal::ONE)]);
                values.into_iter().map(|number| Given::Number(number.normalize())).collect()
            }
            Self::Texts { known, others } => {
                let mut texts = known.clone();
                if *others {
                    texts.extend(conditions.filter_map(Condition::text).map(str::to_owned));
                    texts.insert("any other text".to_owned());
                }
                texts.into_iter().map(Given::Text).collect()
            }
        }
    }
}

impl Walk<'_> {
    /// Notes what a table is asked about, to judge it when all calls are known.
    pub(super) fn asks_table(&mut self, call: &NativeCall<'_>, table: &Rc<Conditions>) {
        let domains: Option<Vec<Domain>> = call.items.iter().map(Domain::of).collect();
        let asked = domains.map(|domains| (Rc::clone(table), domains));
        let known = match self.tables.remove(&table.place) {
            None => asked,
            Some(before) => before.zip(asked).and_then(|((_, before), (table, now))| {
                let both = before.into_iter().zip(now).map(|(before, now)| before.or(now));
                Some((table, both.collect::<Option<Vec<_>>>()?))
            }),
        };
        self.tables.insert(table.place.clone(), known);
    }

    /// Judges every table whose values are known.
    pub(super) fn judge_tables(&mut self) {
        for (place, asked) in std::mem::take(&mut self.tables) {
            if let Some(judged) = asked.and_then(|(table, domains)| judge(&table, &domains)) {
                self.tell(&place, judged);
            }
        }
    }

    fn tell(&mut self, place: &Place, Judged { gap, rows, overlaps }: Judged) {
        if let Some(gap) = gap {
            let message = format!("no row of the table holds for [{gap}]; a last row of * takes whatever is left");
            self.warn(place, "table_gap", message);
        }
        for Unreached { row, place, taken } in rows {
            let why = match taken {
                Some((earlier, values)) => {
                    format!("the rows before it take everything, such as row {earlier} [{values}]")
                }
                None => "it holds for nothing that can come".to_owned(),
            };
            self.warn(&place, "unreached_row", format!("row {row} of the table is never reached: {why}"));
        }
        let more = overlaps.len().saturating_sub(1);
        if let Some((earlier, later, place, values)) = overlaps.into_iter().next() {
            let more = match more {
                0 => String::new(),
                1 => "; so do 2 more rows".to_owned(),
                more => format!("; so do {more} more pairs of rows"),
            };
            let message = format!(
                "rows {earlier} and {later} of the table both hold for [{values}] and give something else, row {earlier} decides{more}"
            );
            self.warn(&place, "table_overlap", message);
        }
    }
}

/// What was found of a table; rows are numbered from 1, values as texts.
#[derive(Default)]
struct Judged {
    /// The smallest values for which no row holds.
    gap: Option<String>,
    /// Rows that are never reached.
    rows: Vec<Unreached>,
    /// Two rows, with the smallest values for which both hold.
    overlaps: Vec<(usize, usize, Place, String)>,
}

/// A row that is never reached.
struct Unreached {
    row: usize,
    place: Place,
    /// An earlier row that takes the smallest values for which it would hold.
    taken: Option<(usize, String)>,
}

/// One row: its conditions, what it gives where that is written out, and its place.
struct Row {
    conditions: Vec<Condition>,
    gives: Option<Given>,
    place: Place,
}

fn judge(table: &Conditions, domains: &[Domain]) -> Option<Judged> {
    let rows = table.rows.iter().map(|row| {
        let conditions = row.cells.iter().map(|cell| Condition::read(cell.given.clone()?).ok());
        let conditions: Vec<Condition> = conditions.collect::<Option<_>>()?;
        let place = row.cells.first()?.place.clone();
        (conditions.len() == domains.len()).then(|| Row { conditions, gives: row.gives.clone(), place })
    });
    let rows: Vec<Row> = rows.collect::<Option<_>>()?;
    let column = |column: usize| rows.iter().filter_map(move |row| row.conditions.get(column));
    let values: Vec<Vec<Given>> =
        domains.iter().enumerate().map(|(place, domain)| domain.values(column(place))).collect();
    let combinations = values.iter().try_fold(1_usize, |all, column| all.checked_mul(column.len()))?;
    if combinations > MOST_COMBINATIONS {
        return None;
    }
    let mut judged = Judged::default();
    let mut first_taken: Vec<Option<(usize, String)>> = vec![None; rows.len()];
    let mut reached = vec![false; rows.len()];
    let mut overlaps: BTreeMap<(usize, usize), String> = BTreeMap::new();
    for number in 0..combinations {
        let given = combination(&values, number);
        let holds = |row: &Row| row.conditions.iter().zip(&given).all(|(condition, given)| condition.holds(given));
        let mut holding = rows.iter().enumerate().filter(|(_, row)| holds(row));
        let Some((first, deciding)) = holding.next() else {
            judged.gap.get_or_insert_with(|| shown(&given));
            continue;
        };
        if let Some(reached) = reached.get_mut(first) {
            *reached = true;
        }
        for (later, row) in holding {
            if let Some(taken) = first_taken.get_mut(later) {
                taken.get_or_insert_with(|| (first + 1, shown(&given)));
            }
            let differ = deciding.gives.is_some() && row.gives.is_some() && deciding.gives != row.gives;
            if differ && !is_within(deciding, row, &values) {
                overlaps.entry((first, later)).or_insert_with(|| shown(&given));
            }
        }
    }
    for (place, taken) in first_taken.into_iter().enumerate().filter(|(place, _)| reached.get(*place) == Some(&false)) {
        let unreached = |row: &Row| Unreached { row: place + 1, place: row.place.clone(), taken };
        judged.rows.extend(rows.get(place).map(unreached));
    }
    for ((earlier, later), values) in overlaps {
        if reached.get(later) == Some(&true) {
            judged.overlaps.extend(rows.get(later).map(|row| (earlier + 1, later + 1, row.place.clone(), values)));
        }
    }
    Some(judged)
}

/// The values of a combination; the first column changes slowest.
fn combination(values: &[Vec<Given>], number: usize) -> Vec<Given> {
    let mut rest = number;
    let mut given: Vec<Given> = values
        .iter()
        .rev()
        .filter_map(|column| {
            let value = column.get(rest.checked_rem(column.len())?);
            rest /= column.len();
            value.cloned()
        })
        .collect();
    given.reverse();
    given
}

/// Whether a row holds only where another does: then it is the exception to that one, as it is meant to be.
fn is_within(row: &Row, other: &Row, values: &[Vec<Given>]) -> bool {
    let conditions = row.conditions.iter().zip(&other.conditions).zip(values);
    conditions
        .into_iter()
        .all(|((narrow, wide), values)| values.iter().all(|value| !narrow.holds(value) || wide.holds(value)))
}
