//! Scales: straight lines between points, the end values outside.

use rust_decimal::Decimal;

use super::rounded;

/// Points in rising order.
#[derive(Debug)]
pub(crate) struct Scale {
    points: Vec<(Decimal, Decimal)>,
}

impl Scale {
    /// A scale of at least two points, rising in their first number.
    pub(crate) fn new(points: Vec<(Decimal, Decimal)>) -> Result<Self, String> {
        if points.len() < 2 {
            return Err("a scale wants at least two points [number, value]".to_owned());
        }
        for ((before, _), (after, _)) in points.iter().zip(points.iter().skip(1)) {
            if after <= before {
                return Err(format!(
                    "the points of a scale rise, but {} isn't above {}",
                    after.normalize(),
                    before.normalize()
                ));
            }
        }
        Ok(Self { points })
    }

    /// The value at `x`, rounded half up to 6 places; an error where the numbers become too large.
    pub(crate) fn of(&self, x: Decimal) -> Result<Decimal, String> {
        let mut below: Option<(Decimal, Decimal)> = None;
        for (at, value) in &self.points {
            if x <= *at {
                let Some((from, start)) = below else { return Ok(*value) };
                return between(x, (from, start), (*at, *value))
                    .ok_or_else(|| format!("{x} is too large for the scale"));
            }
            below = Some((*at, *value));
        }
        Ok(below.map_or(Decimal::ZERO, |(_, value)| value))
    }
}

fn between(x: Decimal, (x0, y0): (Decimal, Decimal), (x1, y1): (Decimal, Decimal)) -> Option<Decimal> {
    let rise = y1.checked_sub(y0)?.checked_mul(x.checked_sub(x0)?)?;
    let value = y0.checked_add(rise.checked_div(x1.checked_sub(x0)?)?)?;
    // The quotient's last digit is rounded, which must not carry the value past the ends.
    Some(rounded(value).clamp(y0.min(y1), y0.max(y1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_linear_between_points_and_flat_outside() {
        let scale = Scale::new(vec![(dec!(0), dec!(0)), (dec!(5), dec!(100))]).unwrap();
        assert_eq!(scale.of(dec!(2.5)), Ok(dec!(50)));
        assert_eq!(scale.of(dec!(5)), Ok(dec!(100)));
        assert_eq!(scale.of(dec!(-1)), Ok(dec!(0)));
        assert_eq!(scale.of(dec!(7)), Ok(dec!(100)));
        let thirds = Scale::new(vec![(dec!(0), dec!(0)), (dec!(3), dec!(2))]).unwrap();
        assert_eq!(thirds.of(dec!(1)), Ok(dec!(0.666667)));
    }

    #[test]
    fn points_must_rise() {
        assert!(Scale::new(vec![(dec!(5), dec!(1)), (dec!(5.0), dec!(2))]).unwrap_err().contains("5 isn't above 5"));
        assert!(Scale::new(vec![(dec!(5), dec!(1)), (dec!(4), dec!(2))]).unwrap_err().contains("4 isn't above 5"));
        assert!(Scale::new(vec![(dec!(5), dec!(1))]).is_err());
    }

    #[test]
    fn numbers_that_overflow_are_an_error() {
        let scale = Scale::new(vec![(dec!(0), dec!(0)), (Decimal::MAX, Decimal::MAX)]).unwrap();
        assert!(scale.of(dec!(10)).is_err());
    }

    proptest! {
        #[test]
        fn a_rising_scale_never_falls_and_stays_between_its_ends(a in -500i64..1500, b in -500i64..1500) {
            let scale = Scale::new(vec![(dec!(0), dec!(10)), (dec!(3), dec!(11)), (dec!(10), dec!(90))]).unwrap();
            let (low, high) = (Decimal::new(a.min(b), 2), Decimal::new(a.max(b), 2));
            let (low, high) = (scale.of(low).unwrap(), scale.of(high).unwrap());
            prop_assert!(low <= high);
            prop_assert!(dec!(10) <= low && high <= dec!(90));
        }
    }
}
