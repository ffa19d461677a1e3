//! When policies close by the calendar: a period that has ended closes some days after its end.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Span;
use jiff::civil::Date;

use crate::policy::pack::{Cadence, Pack};

/// What closes on a day: the last day of the period, by cadence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosingDay {
    /// The business date of the closing.
    pub day: Date,
    /// The last day of the period that it closes, by cadence.
    pub periods: BTreeMap<Cadence, Date>,
}

/// The cadences of a pack's policies that close.
pub fn cadences(pack: &Pack) -> BTreeSet<Cadence> {
    pack.closed_policies().map(|(_, cadence)| cadence).collect()
}

/// The first day after `date` on which something closes; nothing where all policies are continuous.
pub fn next(cadences: &BTreeSet<Cadence>, closes_after: u16, date: Date) -> Option<ClosingDay> {
    let days = cadences.iter().map(|cadence| (next_of(*cadence, closes_after, date), *cadence));
    let (first, _) = days.clone().min()?;
    let periods = days.filter(|(closing, _)| closing.0 == first.0).map(|((_, end), cadence)| (cadence, end)).collect();
    Some(ClosingDay { day: first.0, periods })
}

/// The first closing of a cadence after `date`: its day, and the last day of the period that it closes.
pub fn next_of(cadence: Cadence, closes_after: u16, date: Date) -> (Date, Date) {
    let grace = Span::new().days(i64::from(closes_after));
    // The period in which `date` lay before the days of grace.
    let end = period_end(cadence, date.checked_sub(grace).unwrap_or(Date::MIN));
    let day = end.tomorrow().and_then(|day| day.checked_add(grace)).unwrap_or(Date::MAX);
    (day, end)
}

/// The last day of the last period that has ended before a date.
pub fn last_ended(cadence: Cadence, date: Date) -> Date {
    let first = match cadence {
        Cadence::Continuous => date,
        Cadence::Month => date.first_of_month(),
        Cadence::Quarter => first_of_quarter(date),
        Cadence::Year => date.first_of_year(),
    };
    first.yesterday().unwrap_or(Date::MIN)
}

/// The last day of the period in which a date lies.
fn period_end(cadence: Cadence, date: Date) -> Date {
    match cadence {
        Cadence::Continuous => date,
        Cadence::Month => date.last_of_month(),
        Cadence::Quarter => {
            let third = first_of_quarter(date).checked_add(Span::new().months(2));
            third.map_or(Date::MAX, Date::last_of_month)
        }
        Cadence::Year => date.last_of_year(),
    }
}

fn first_of_quarter(date: Date) -> Date {
    let back = i64::from((date.month() - 1) % 3);
    date.first_of_month().checked_sub(Span::new().months(back)).unwrap_or(Date::MIN)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_month_closes_on_the_first_after_it_unless_it_has_days_of_grace() {
        assert_eq!(next_of(Cadence::Month, 0, date(2017, 12, 31)), (date(2018, 1, 1), date(2017, 12, 31)));
        assert_eq!(next_of(Cadence::Month, 0, date(2018, 1, 1)), (date(2018, 2, 1), date(2018, 1, 31)));
        assert_eq!(next_of(Cadence::Month, 5, date(2018, 1, 5)), (date(2018, 1, 6), date(2017, 12, 31)));
        assert_eq!(next_of(Cadence::Month, 5, date(2018, 1, 6)), (date(2018, 2, 6), date(2018, 1, 31)));
        assert_eq!(next_of(Cadence::Month, 0, date(2024, 2, 10)), (date(2024, 3, 1), date(2024, 2, 29)));
    }

    #[test]
    fn quarters_and_years_end_with_the_calendar() {
        assert_eq!(next_of(Cadence::Quarter, 0, date(2018, 1, 1)), (date(2018, 4, 1), date(2018, 3, 31)));
        assert_eq!(next_of(Cadence::Quarter, 10, date(2018, 4, 10)), (date(2018, 4, 11), date(2018, 3, 31)));
        assert_eq!(next_of(Cadence::Year, 0, date(2018, 1, 1)), (date(2019, 1, 1), date(2018, 12, 31)));
        assert_eq!(last_ended(Cadence::Quarter, date(2018, 6, 30)), date(2018, 3, 31));
        assert_eq!(last_ended(Cadence::Month, date(2018, 3, 1)), date(2018, 2, 28));
        assert_eq!(last_ended(Cadence::Year, date(2018, 3, 1)), date(2017, 12, 31));
    }

    #[test]
    fn cadences_that_close_on_one_day_close_together() {
        let all = BTreeSet::from([Cadence::Month, Cadence::Quarter, Cadence::Year]);
        let closing = next(&all, 0, date(2017, 12, 15)).unwrap();
        assert_eq!((closing.day, closing.periods.len()), (date(2018, 1, 1), 3));
        let closing = next(&all, 0, date(2018, 1, 1)).unwrap();
        assert_eq!((closing.day, closing.periods.len()), (date(2018, 2, 1), 1));
        assert_eq!(next(&BTreeSet::new(), 0, date(2018, 1, 1)), None);
    }

    proptest! {
        #[test]
        fn every_period_closes_once(start in 0_i64..4000, closes_after in 0_u16..40, quarter: bool) {
            let cadence = if quarter { Cadence::Quarter } else { Cadence::Month };
            let from = date(2016, 1, 1).checked_add(Span::new().days(start)).unwrap();
            let (day, end) = next_of(cadence, closes_after, from);
            prop_assert!(day > from);
            let (next_day, next_end) = next_of(cadence, closes_after, day);
            prop_assert_eq!(period_end(cadence, end.tomorrow().unwrap()), next_end);
            prop_assert!(next_day > day);
            // From any day between, the same closing comes next.
            prop_assert_eq!(next_of(cadence, closes_after, day.yesterday().unwrap()), (day, end));
        }
    }
}
