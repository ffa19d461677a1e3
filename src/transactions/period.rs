//! Months, windows and the periods that they are as of a date.

use jiff::Span;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The time over which a metric is computed, relative to the as-of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"full_months": 3}))]
pub enum Window {
    /// The n calendar months before the month of the as-of date, 1 to 60.
    FullMonths(u8),
    /// From the first of the as-of date's month to the as-of date; must be `true`.
    MonthToDate(bool),
    /// The n days that end with the as-of date, 1 to 1830.
    Days(u16),
}

/// First and last day of a window, both inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Period {
    /// First day.
    #[schema(value_type = String, format = Date, example = "2017-10-01")]
    pub from: Date,
    /// Last day.
    #[schema(value_type = String, format = Date, example = "2017-12-31")]
    pub to: Date,
}

/// A calendar month, counted from year 0: its order is the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(i32);

impl Month {
    /// The month in which a date lies.
    pub fn of(date: Date) -> Self {
        Self(i32::from(date.year()) * 12 + i32::from(date.month()) - 1)
    }

    /// The months from the beginning of our era to this one, as the database keeps it; at most 32767, in the year 2730.
    pub fn number(self) -> i16 {
        i16::try_from(self.0).unwrap_or(i16::MAX)
    }

    /// The month so many months later, or earlier when negative.
    #[must_use]
    pub fn plus(self, months: i32) -> Self {
        Self(self.0 + months)
    }

    /// How many months later this one is, negative when it is earlier.
    pub fn since(self, earlier: Self) -> i32 {
        self.0 - earlier.0
    }

    /// The year, and the month within it from 1 to 12.
    pub fn parts(self) -> (i16, i8) {
        let year = i16::try_from(self.0.div_euclid(12)).unwrap_or(i16::MAX);
        (year, i8::try_from(self.0.rem_euclid(12)).unwrap_or_default() + 1)
    }

    /// First and last day.
    pub fn period(self) -> Period {
        let (year, month) = self.parts();
        let first = Date::new(year, month, 1).unwrap_or(Date::MIN);
        Period { from: first, to: first.last_of_month() }
    }
}

impl Window {
    /// First and last day of the window as of a date. Days before year 1 are cut off.
    pub fn period(self, as_of: Date) -> Period {
        let month = Month::of(as_of);
        match self {
            Self::FullMonths(months) => {
                Period { from: month.plus(-i32::from(months)).period().from, to: month.plus(-1).period().to }
            }
            Self::MonthToDate(_) => Period { from: month.period().from, to: as_of },
            Self::Days(days) => Period { from: days_before(as_of, i64::from(days) - 1), to: as_of },
        }
    }

    /// The window of the same length just before.
    pub(super) fn previous(self, as_of: Date) -> Period {
        let period = self.period(as_of);
        match self {
            Self::FullMonths(months) => {
                let first = Month::of(period.from);
                Period { from: first.plus(-i32::from(months)).period().from, to: first.plus(-1).period().to }
            }
            Self::MonthToDate(_) => {
                let before = as_of.checked_sub(Span::new().months(1)).unwrap_or(Date::MIN);
                Period { from: before.first_of_month(), to: before }
            }
            Self::Days(days) => {
                let to = days_before(period.from, 1);
                Period { from: days_before(to, i64::from(days) - 1), to }
            }
        }
    }
}

fn days_before(date: Date, days: i64) -> Date {
    date.checked_sub(Span::new().days(days)).unwrap_or(Date::MIN)
}

impl Period {
    /// The period cut at month ends: each piece lies within one month.
    pub fn pieces(self) -> impl Iterator<Item = Period> {
        let last = Month::of(self.to);
        std::iter::successors(Some(Month::of(self.from)), |month| Some(month.plus(1)))
            .take_while(move |month| *month <= last)
            .map(move |month| {
                let whole = month.period();
                Period { from: whole.from.max(self.from), to: whole.to.min(self.to) }
            })
    }

    /// Whether it is one whole calendar month.
    pub fn is_whole_month(self) -> bool {
        Month::of(self.from).period() == self
    }
}

/// The whole month, where a piece that begins with it ends no earlier than the last day with data.
pub(super) fn complete(piece: Period, known_until: Date) -> Period {
    let whole = Month::of(piece.from).period();
    if piece.from == whole.from && piece.to >= known_until { whole } else { piece }
}
