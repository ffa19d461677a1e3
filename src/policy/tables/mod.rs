//! The tables that policies declare: `bands`, `lookup`, `matrix`, `table`, `scale` and `weights`, as plain data that know
//! nothing of the script language.

mod bands;
mod lookup;
mod rows;
mod scale;
mod weights;

pub(super) use bands::Bands;
pub(super) use lookup::{Lookup, Matrix};
pub(super) use rows::{Condition, Given, Rows, shown};
use rust_decimal::{Decimal, RoundingStrategy};
pub(super) use scale::Scale;
pub(super) use weights::{Part, Score, Weights};

/// Digits after the point of scores and of what lies between the points of a scale.
const PLACES: u32 = 6;

/// Half up to 6 places, without trailing zeros.
fn rounded(number: Decimal) -> Decimal {
    number.round_dp_with_strategy(PLACES, RoundingStrategy::MidpointAwayFromZero).normalize()
}
