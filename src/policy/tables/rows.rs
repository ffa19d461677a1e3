//! Decision tables: the first row whose conditions all hold decides.

use rust_decimal::Decimal;

/// What a table is asked about, one for each column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// No value: only `*` holds.
    Absent,
    /// A number.
    Number(Decimal),
    /// A text.
    Text(String),
    /// Yes or no.
    Boolean(bool),
}

/// Rows of conditions, each with what it gives.
#[derive(Debug)]
pub(crate) struct Rows<V> {
    rows: Vec<(Vec<Condition>, V)>,
    width: usize,
}

/// What one cell of a row wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Any,
    Is(Given),
    Less(Decimal),
    AtMost(Decimal),
    More(Decimal),
    AtLeast(Decimal),
    Within(Decimal, Decimal),
}

type Comparison = fn(Decimal) -> Condition;

impl Condition {
    /// A condition as authors write it.
    pub(crate) fn read(cell: Given) -> Result<Self, String> {
        let Given::Text(text) = &cell else { return Ok(Self::Is(cell)) };
        let text = text.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let comparisons: [(&str, Comparison); 4] =
            [("<=", Self::AtMost), (">=", Self::AtLeast), ("<", Self::Less), (">", Self::More)];
        for (sign, condition) in comparisons {
            if let Some(number) = text.strip_prefix(sign) {
                return Ok(condition(number_in(number, text)?));
            }
        }
        if text.starts_with(['=', '!']) {
            return Err(format!(
                "'{text}' is no condition: a text or number itself is equal, * is anything, < <= > >= compare, and 1..10 \
                 is from 1 and below 10"
            ));
        }
        match text.split_once("..") {
            Some((from, below)) => {
                let (from, below) = (number_in(from, text)?, number_in(below, text)?);
                if from >= below {
                    return Err(format!("the condition '{text}' can never hold: {from} isn't below {below}"));
                }
                Ok(Self::Within(from, below))
            }
            None => Ok(Self::Is(cell)),
        }
    }

    /// The numbers at which it begins or ceases to hold.
    pub(crate) fn numbers(&self) -> Vec<Decimal> {
        match self {
            Self::Is(Given::Number(number)) => vec![*number],
            Self::Less(limit) | Self::AtMost(limit) | Self::More(limit) | Self::AtLeast(limit) => vec![*limit],
            Self::Within(from, below) => vec![*from, *below],
            Self::Any | Self::Is(_) => Vec::new(),
        }
    }

    /// The text that it wants.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Is(Given::Text(text)) = self { Some(text) } else { None }
    }

    /// Whether it holds for a value.
    pub(crate) fn holds(&self, given: &Given) -> bool {
        match (self, given) {
            (Self::Any, _) => true,
            (_, Given::Absent) => false,
            (Self::Is(wanted), given) => wanted == given,
            (Self::Less(limit), Given::Number(number)) => number < limit,
            (Self::AtMost(limit), Given::Number(number)) => number <= limit,
            (Self::More(limit), Given::Number(number)) => number > limit,
            (Self::AtLeast(limit), Given::Number(number)) => number >= limit,
            (Self::Within(from, below), Given::Number(number)) => from <= number && number < below,
            _ => false,
        }
    }
}

fn number_in(text: &str, condition: &str) -> Result<Decimal, String> {
    let text = text.trim();
    Decimal::from_str_exact(text).map_err(|_| format!("'{text}' in the condition '{condition}' isn't a number"))
}

impl<V> Rows<V> {
    /// Rows of conditions as authors write them: a value, `*`, `<`, `<=`, `>`, `>=` with a number, or `1..10`.
    pub(crate) fn new(rows: Vec<(Vec<Given>, V)>) -> Result<Self, String> {
        let Some(width) = rows.first().map(|(cells, _)| cells.len()) else {
            return Err("a table wants at least one row".to_owned());
        };
        if width == 0 {
            return Err("row 1 of the table has no condition".to_owned());
        }
        let mut read: Vec<(Vec<Condition>, V)> = Vec::with_capacity(rows.len());
        for (number, (cells, value)) in (1..).zip(rows) {
            if cells.len() != width {
                return Err(format!("row {number} of the table has {} conditions, row 1 has {width}", cells.len()));
            }
            let conditions: Vec<Condition> = cells
                .into_iter()
                .map(Condition::read)
                .collect::<Result<_, _>>()
                .map_err(|e| format!("row {number}: {e}"))?;
            let hides = |(earlier, _): &(Vec<Condition>, V)| {
                earlier.iter().zip(&conditions).all(|(wide, narrow)| *wide == Condition::Any || wide == narrow)
            };
            if let Some(hidden_by) = read.iter().position(hides) {
                return Err(format!("row {number} of the table is never reached: row {} holds first", hidden_by + 1));
            }
            read.push((conditions, value));
        }
        Ok(Self { rows: read, width })
    }

    /// How many rows it has.
    pub(crate) fn count(&self) -> usize {
        self.rows.len()
    }

    /// What the first row gives whose conditions hold, and its place, from 0.
    pub(crate) fn of(&self, given: &[Given]) -> Result<(usize, &V), String> {
        if given.len() != self.width {
            let noun = if given.len() == 1 { "value" } else { "values" };
            return Err(format!("the table has {} conditions but was given {} {noun}", self.width, given.len()));
        }
        self.rows
            .iter()
            .enumerate()
            .find(|(_, (conditions, _))| conditions.iter().zip(given).all(|(condition, given)| condition.holds(given)))
            .map(|(place, (_, value))| (place, value))
            .ok_or_else(|| format!("no row of the table holds for [{}]", shown(given)))
    }
}

/// Values as messages mention them.
pub(crate) fn shown(given: &[Given]) -> String {
    let texts: Vec<String> = given
        .iter()
        .map(|given| match given {
            Given::Absent => "absent".to_owned(),
            Given::Number(number) => number.normalize().to_string(),
            Given::Text(text) => text.clone(),
            Given::Boolean(yes) => yes.to_string(),
        })
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Given {
        Given::Text(text.to_owned())
    }

    fn formats() -> Rows<&'static str> {
        Rows::new(vec![
            (vec![text("grocery"), text(">= 10")], "A"),
            (vec![text("*"), text("1..10")], "B"),
            (vec![text("*"), text("*")], "C"),
        ])
        .unwrap()
    }

    #[test]
    fn the_first_row_that_holds_decides() {
        let of = |format: &str, number| *formats().of(&[text(format), Given::Number(number)]).unwrap().1;
        assert_eq!(of("grocery", dec!(10)), "A");
        assert_eq!(of("grocery", dec!(9.99)), "B");
        assert_eq!(of("hotel", dec!(1)), "B");
        assert_eq!(of("hotel", dec!(10)), "C");
        assert_eq!(*formats().of(&[text("grocery"), Given::Absent]).unwrap().1, "C");
    }

    #[test]
    fn numbers_and_booleans_are_equal_by_value() {
        let rows = Rows::new(vec![(vec![Given::Number(dec!(1)), Given::Boolean(true)], 7)]).unwrap();
        assert_eq!(rows.of(&[Given::Number(dec!(1.0)), Given::Boolean(true)]), Ok((0, &7)));
        let error = rows.of(&[Given::Number(dec!(2)), Given::Boolean(true)]).unwrap_err();
        assert!(error.contains("[2, true]"), "{error}");
        assert!(rows.of(&[Given::Number(dec!(2))]).unwrap_err().contains("given 1 value"));
    }

    #[test]
    fn faulty_rows_are_named() {
        let of = |rows: Vec<(Vec<Given>, i32)>| Rows::new(rows).unwrap_err();
        assert!(of(vec![(vec![text(">= ten")], 1)]).contains("row 1: 'ten'"));
        assert!(of(vec![(vec![text("10..1")], 1)]).contains("never hold"));
        assert!(of(vec![(vec![text("a")], 1), (vec![text("a"), text("b")], 2)]).contains("row 2"));
        assert!(of(vec![(vec![text("*")], 1), (vec![text("b")], 2)]).contains("row 2 of the table is never reached"));
        assert!(of(vec![]).contains("at least one row"));
    }
}
