//! Products: what lines name, with a category and a factor to the pack's unit.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::customers::texts::decimal;
use crate::faults::Fault;

/// Longest code of a product, customer, order or source, in characters.
pub const MAX_CODE: usize = 64;
const MAX_NAME: usize = 200;

/// A product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// The category that metrics can be limited to.
    pub category: String,
    /// The unit of the quantities that lines state.
    pub unit: String,
    /// How many of the pack's units one of them is.
    pub factor: Decimal,
}

/// A product without its code, as it is written and read.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Box of twenty", "category": "standard", "unit": "box", "factor": "0.02"}))]
pub struct ProductBody {
    /// Its name.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// The category that metrics can be limited to.
    #[schema(min_length = 1, max_length = 64)]
    pub category: String,
    /// The unit of the quantities that lines state.
    #[schema(min_length = 1, max_length = 32)]
    pub unit: String,
    /// How many of the pack's units one of them is, a positive decimal: it holds for transactions that come in after it was set.
    #[schema(pattern = "^0*[0-9]{1,15}(\\.[0-9]{1,6}0*)?$", example = "0.02")]
    pub factor: String,
}

impl ProductBody {
    /// Checks it, and gives the product or every fault.
    pub fn check(&self, code: &str) -> Result<Product, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut text = |pointer: &str, text: &str, max: usize| {
            faults.extend(check_text(pointer, text, max).err());
            text.trim().to_owned()
        };
        let code = text("/code", code, MAX_CODE);
        let name = text("/name", &self.name, MAX_NAME);
        let category = text("/category", &self.category, MAX_CODE);
        let unit = text("/unit", &self.unit, 32);
        let factor = match decimal(&self.factor) {
            Ok(factor) if factor > Decimal::ZERO => factor,
            Ok(_) => {
                faults.push(Fault::new("/factor", "out_of_range", "the factor must be above 0"));
                Decimal::ONE
            }
            Err((code, detail)) => {
                faults.push(Fault::new("/factor", code, detail));
                Decimal::ONE
            }
        };
        if faults.is_empty() { Ok(Product { code, name, category, unit, factor }) } else { Err(faults) }
    }
}

/// A text that is neither empty nor too long and has no control characters.
pub fn check_text(pointer: &str, text: &str, max: usize) -> Result<(), Fault> {
    let length = text.trim().chars().count();
    if length == 0 {
        return Err(Fault::new(pointer, "required", "must not be empty"));
    }
    if length > max {
        return Err(Fault::new(pointer, "too_long", format!("{length} characters are more than the {max} allowed")));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::new(pointer, "control_character", "control characters are not allowed"));
    }
    Ok(())
}
