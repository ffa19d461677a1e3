//! The logic of the measured pack in plain Rust: what a programmer would write who needs no scripts.

use baremo::customers::model::{Value, Values};
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value as Json, json};

const fn whole(number: u32) -> Decimal {
    Decimal::from_parts(number, 0, 0, false, 0)
}

const fn tenths(number: u32) -> Decimal {
    Decimal::from_parts(number, 0, 0, false, 1)
}

/// What the policies of the measured pack read.
pub struct Shop {
    format: String,
    market: String,
    /// Cases a month.
    pub monthly_volume: Decimal,
    yearly_quantity: Decimal,
    half_year_growth: Decimal,
    ordering_months: Decimal,
    on_time_share: Decimal,
}

impl Shop {
    /// The shop with these values; nothing where one is absent.
    pub fn of(values: &Values) -> Option<Self> {
        let text = |key: &str| values.get(key).map(ToString::to_string);
        let number = |key: &str| if let Some(Value::Number(number)) = values.get(key) { Some(*number) } else { None };
        Some(Self {
            format: text("format")?,
            market: text("market")?,
            monthly_volume: number("monthly_volume")?,
            yearly_quantity: number("yearly_quantity")?,
            half_year_growth: number("half_year_growth")?,
            ordering_months: number("ordering_months")?,
            on_time_share: number("on_time_share")?,
        })
    }

    /// The shop as other engines are given it: numbers as JSON has them.
    pub fn to_json(&self) -> Json {
        json!({
            "format": self.format,
            "market": self.market,
            "yearly_quantity": self.yearly_quantity.to_f64(),
            "half_year_growth": self.half_year_growth.to_f64(),
            "ordering_months": self.ordering_months.to_f64(),
            "on_time_share": self.on_time_share.to_f64(),
        })
    }
}

/// What the composite policy decides, with its reasons.
pub struct Composite {
    /// The grade.
    pub band: Band,
    /// The score and what each indicator adds to it.
    pub score: Decimal,
    pub contributions: [Decimal; 5],
    pub size: &'static str,
    pub pays_late: bool,
    pub supply: Decimal,
}

/// A band, the number that it begins with, and the one above it.
pub struct Band {
    pub outcome: &'static str,
    pub from: Option<Decimal>,
    pub next: Option<(Decimal, &'static str)>,
}

const VOLUMES: [(Decimal, &str); 7] = [
    (whole(20), "1"),
    (whole(15), "2"),
    (whole(10), "3"),
    (whole(8), "4"),
    (whole(5), "5"),
    (whole(3), "6"),
    (whole(1), "7"),
];
const SCORES: [(Decimal, &str); 7] = [
    (whole(90), "1"),
    (whole(80), "2"),
    (whole(70), "3"),
    (whole(60), "4"),
    (whole(50), "5"),
    (whole(40), "6"),
    (whole(20), "7"),
];
const WEIGHTS: [Decimal; 5] = [whole(35), whole(20), whole(20), whole(15), whole(10)];

fn band_in(rows: &[(Decimal, &'static str)], value: Decimal) -> Band {
    let mut next = None;
    for row in rows {
        if value >= row.0 {
            return Band { outcome: row.1, from: Some(row.0), next };
        }
        next = Some(*row);
    }
    Band { outcome: "8", from: None, next }
}

fn supply(grade: &str) -> Decimal {
    match grade {
        "1" => whole(30),
        "2" => whole(20),
        "3" => whole(15),
        "4" => whole(10),
        "5" => whole(8),
        "6" => whole(5),
        "7" => whole(3),
        _ => whole(1),
    }
}

fn rounded(number: Decimal) -> Decimal {
    number.round_dp_with_strategy(6, RoundingStrategy::MidpointAwayFromZero)
}

/// From 0 at `low` to 100 at `high`.
fn scaled(x: Decimal, low: Decimal, high: Decimal) -> Decimal {
    rounded(whole(100) * (x.clamp(low, high) - low) / (high - low))
}

fn influence(format: &str, market: &str, size: &str) -> Decimal {
    let of_format = match format {
        "grocery" => whole(40),
        "convenience" => whole(70),
        "supermarket" => whole(100),
        "department_store" => whole(90),
        "tobacco_liquor" => whole(80),
        "entertainment" => whole(60),
        _ => whole(20),
    };
    let less = match (market, size) {
        ("urban", "large") => whole(0),
        ("urban", "medium") => whole(3),
        ("urban", _) => whole(7),
        (_, "large") => whole(10),
        (_, "medium") => whole(13),
        _ => whole(17),
    };
    of_format - less
}

/// The policy `band`.
pub fn band(shop: &Shop) -> Band {
    band_in(&VOLUMES, shop.monthly_volume)
}

/// The policy `band_entitled`.
pub fn band_entitled(shop: &Shop) -> (Band, Decimal) {
    let band = band(shop);
    let supply = supply(band.outcome);
    (band, supply)
}

/// The policy `composite`.
pub fn composite(shop: &Shop) -> Composite {
    let size = match shop.yearly_quantity {
        large if large >= whole(480) => "large",
        medium if medium >= whole(120) => "medium",
        _ => "small",
    };
    let values = [
        scaled(shop.yearly_quantity, whole(0), whole(600)),
        scaled(shop.ordering_months, tenths(5), whole(1)),
        scaled(shop.on_time_share, tenths(8), whole(1)),
        scaled(shop.half_year_growth, -tenths(2), tenths(2)),
        influence(&shop.format, &shop.market, size),
    ];
    let mut products = [Decimal::ZERO; 5];
    for ((product, value), weight) in products.iter_mut().zip(values).zip(WEIGHTS) {
        *product = value * weight;
    }
    let score = rounded(products.iter().sum::<Decimal>() / whole(100));
    let band = band_in(&SCORES, score);
    let supply = supply(band.outcome);
    let contributions = products.map(|product| rounded(product / whole(100)));
    Composite { band, score, contributions, size, pays_late: shop.on_time_share < tenths(9), supply }
}
