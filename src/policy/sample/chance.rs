//! Chance that is the same on every machine: a generator whose numbers are fixed, exact arithmetic, and functions of a library
//! that leave nothing to the processor; what they give is rounded to 9 places.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};
use rust_decimal::{Decimal, RoundingStrategy};

/// Largest number that is made, in both directions: what a measure can hold.
const LIMIT: Decimal = Decimal::from_parts(2_764_472_319, 232_830, 0, false, 0);
/// Places of numbers that aren't exact.
const PLACES: u32 = 9;
/// Above this mean, a Poisson number is drawn by the bell curve.
const MANY: f64 = 30.0;
/// Most that a Poisson number can be.
const MOST: u32 = 10_000;

/// A source of chance.
pub(super) struct Chance(ChaCha8Rng);

impl Chance {
    /// The source of this seed and stream: streams of a seed have nothing to do with each other.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut bytes = [0; 32];
        for (byte, of_seed) in bytes.iter_mut().zip(seed.to_le_bytes()) {
            *byte = of_seed;
        }
        let mut source = ChaCha8Rng::from_seed(bytes);
        source.set_stream(stream);
        Self(source)
    }

    /// A whole number from 0 to below `n`; 0 of nothing.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        u32::try_from((u64::from(self.0.next_u32()) * u64::from(n)) >> 32).unwrap_or_default()
    }

    /// The place of one of so many; 0 of nothing.
    pub(super) fn place(&mut self, count: usize) -> usize {
        let place = self.below(u32::try_from(count).unwrap_or(u32::MAX));
        usize::try_from(place).unwrap_or_default()
    }

    /// From 0 to below 1, with 9 places.
    pub(super) fn unit(&mut self) -> Decimal {
        Decimal::new(i64::from(self.below(1_000_000_000)), PLACES)
    }

    /// Whether something of this probability happens.
    pub(super) fn happens(&mut self, probability: Decimal) -> bool {
        self.unit() < probability
    }

    /// One by weight: its place. Nothing when no weight is above 0.
    pub(super) fn pick(&mut self, weights: &[Decimal]) -> Option<usize> {
        let positive = |weight: &Decimal| (*weight).max(Decimal::ZERO);
        let mut left = times(weights.iter().map(positive).sum(), self.unit());
        let mut last = None;
        for (place, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > Decimal::ZERO) {
            if left < *weight {
                return Some(place);
            }
            left -= *weight;
            last = Some(place);
        }
        last
    }

    fn fraction(&mut self) -> f64 {
        (f64::from(self.0.next_u32()) + 1.0) / 4_294_967_296.0
    }

    /// A number of the bell curve with mean 0 and deviation 1.
    fn bell(&mut self) -> f64 {
        let (radius, angle) = (self.fraction(), self.fraction());
        libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(std::f64::consts::TAU * angle)
    }

    /// The same with 9 places.
    pub(super) fn normal(&mut self) -> Decimal {
        rounded(self.bell())
    }

    /// A number of which two of three lie between median ÷ spread and median × spread.
    pub(super) fn lognormal(&mut self, median: Decimal, spread: Decimal) -> Decimal {
        let factor = libm::pow(float(spread.max(Decimal::ONE)), self.bell());
        times(median, rounded(factor))
    }

    /// How often something happens that happens so often on average.
    pub(super) fn poisson(&mut self, mean: Decimal) -> u32 {
        let mean = float(mean);
        if mean <= 0.0 {
            return 0;
        }
        if mean > MANY {
            return rounded(mean + libm::sqrt(mean) * self.bell()).round().to_u32().unwrap_or_default().min(MOST);
        }
        let (limit, mut product, mut count) = (libm::exp(-mean), self.fraction(), 0);
        while product > limit && count < MOST {
            product *= self.fraction();
            count += 1;
        }
        count
    }
}

/// `x` to the power `y`; 0 unless `x` is positive.
pub(super) fn power(x: Decimal, y: Decimal) -> Decimal {
    if x > Decimal::ZERO { rounded(libm::pow(float(x), float(y))) } else { Decimal::ZERO }
}

/// A product, kept within what can be written.
pub(super) fn times(a: Decimal, b: Decimal) -> Decimal {
    let beyond = if a.is_sign_negative() == b.is_sign_negative() { LIMIT } else { -LIMIT };
    a.checked_mul(b).unwrap_or(beyond).clamp(-LIMIT, LIMIT)
}

/// A quotient, kept within what can be written; 0 where there is none.
pub(super) fn divided(a: Decimal, b: Decimal) -> Decimal {
    a.checked_div(b).unwrap_or_default().clamp(-LIMIT, LIMIT)
}

/// Rounded half up, away from zero for negative numbers.
pub(super) fn round(number: Decimal, places: u32) -> Decimal {
    number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
}

/// By way of text, which is read alike everywhere; `to_f64` leaves a power to the processor.
fn float(number: Decimal) -> f64 {
    number.to_string().parse().unwrap_or_default()
}

fn rounded(number: f64) -> Decimal {
    let limit = float(LIMIT);
    round(Decimal::from_f64(number.clamp(-limit, limit)).unwrap_or_default(), PLACES)
}
