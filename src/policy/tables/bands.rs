//! Bands: the first band whose number a value reaches decides.

use rust_decimal::Decimal;

/// Bands from the best to the last, which has no number.
#[derive(Debug)]
pub(crate) struct Bands {
    rows: Vec<(Decimal, String)>,
    last: String,
}

/// The band in which a value lies, and the one above it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Band<'a> {
    /// What the band decides.
    pub(crate) outcome: &'a str,
    /// The number from which the band begins; the last has none.
    pub(crate) from: Option<Decimal>,
    /// Number and outcome of the band above; the first has none.
    pub(crate) next: Option<(Decimal, &'a str)>,
}

impl Bands {
    /// Bands by falling numbers, and the outcome below them all.
    pub(crate) fn new(rows: Vec<(Decimal, String)>, last: String) -> Result<Self, String> {
        if rows.is_empty() {
            return Err("bands want at least one row [number, outcome]".to_owned());
        }
        for ((above, _), (below, outcome)) in rows.iter().zip(rows.iter().skip(1)) {
            if below >= above {
                return Err(format!(
                    "bands fall from row to row, but {} of '{outcome}' isn't below {}",
                    below.normalize(),
                    above.normalize()
                ));
            }
        }
        Ok(Self { rows, last })
    }

    /// Its bands as they are written.
    pub(crate) fn rows(&self) -> Vec<String> {
        let rows = self.rows.iter().map(|(from, outcome)| format!("[{}, {outcome}]", from.normalize()));
        rows.chain([format!("the rest, {}", self.last)]).collect()
    }

    /// The place of the band that `value` reaches, from 0.
    pub(crate) fn place(&self, value: Decimal) -> usize {
        self.rows.iter().position(|(from, _)| value >= *from).unwrap_or(self.rows.len())
    }

    /// The band that `value` reaches: a band begins with its number.
    pub(crate) fn of(&self, value: Decimal) -> Band<'_> {
        let mut next = None;
        for (from, outcome) in &self.rows {
            if value >= *from {
                return Band { outcome, from: Some(*from), next };
            }
            next = Some((*from, outcome.as_str()));
        }
        Band { outcome: &self.last, from: None, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grades() -> Bands {
        Bands::new(vec![(dec!(20), "1".into()), (dec!(15), "2".into()), (dec!(10.5), "3".into())], "4".into()).unwrap()
    }

    #[test]
    fn a_band_begins_with_its_number() {
        assert_eq!(grades().of(dec!(20)), Band { outcome: "1", from: Some(dec!(20)), next: None });
        assert_eq!(grades().of(dec!(19.999)).outcome, "2");
        let third = Band { outcome: "3", from: Some(dec!(10.5)), next: Some((dec!(15), "2")) };
        assert_eq!(grades().of(dec!(10.50)), third);
        assert_eq!(grades().of(dec!(-3)), Band { outcome: "4", from: None, next: Some((dec!(10.5), "3")) });
    }

    #[test]
    fn bands_that_do_not_fall_are_refused() {
        let rising = Bands::new(vec![(dec!(1), "1".into()), (dec!(2), "2".into())], "3".into());
        assert!(rising.unwrap_err().contains("2 of '2' isn't below 1"));
        assert!(Bands::new(vec![(dec!(1), "1".into()), (dec!(1.0), "2".into())], "3".into()).is_err());
        assert!(Bands::new(vec![], "3".into()).is_err());
    }

    proptest! {
        #[test]
        fn more_is_never_worse(a in -3000i64..3000, b in -3000i64..3000) {
            let (low, high) = (Decimal::new(a.min(b), 2), Decimal::new(a.max(b), 2));
            let grades = grades();
            let rank = |value| grades.of(value).outcome.parse::<u8>().unwrap();
            prop_assert!(rank(high) <= rank(low));
        }
    }
}
