//! Texts that stand for something exact: decimals, dates, telephone numbers and e-mail addresses.

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::faults::excerpt;

/// Most digits after the point of a decimal.
pub const MAX_SCALE: u32 = 6;
/// Most digits before the point of a decimal.
pub const MAX_WHOLE_DIGITS: usize = 15;

/// Reads an exact decimal with at most 15 digits before and 6 after the point; no exponent, no blanks, no `+`.
pub fn decimal(text: &str) -> Result<Decimal, (&'static str, String)> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !numeric(whole) || !numeric(fraction) {
        return Err(("wrong_type", format!("'{}' is not a decimal number such as 12.5", excerpt(text))));
    }
    let scale = u32::try_from(fraction.trim_end_matches('0').len()).unwrap_or(u32::MAX);
    if whole.trim_start_matches('0').len() > MAX_WHOLE_DIGITS || scale > MAX_SCALE {
        let detail = format!(
            "'{}' has more than {MAX_WHOLE_DIGITS} digits before or {MAX_SCALE} after the point",
            excerpt(text)
        );
        return Err(("too_many_digits", detail));
    }
    let kept = text.get(..text.len().min(40)).unwrap_or(text);
    Decimal::from_str_exact(kept)
        .map(|number| number.normalize())
        .map_err(|_| ("wrong_type", format!("'{}' is not a decimal number such as 12.5", excerpt(text))))
}

/// Reads a calendar date, `2018-01-31`, between the years 1900 and 9998.
pub fn date(text: &str) -> Result<Date, (&'static str, String)> {
    let refused = || ("date", format!("'{}' is not a date such as 2018-01-31 (years 1900 to 9998)", excerpt(text)));
    let date: Date = if text.len() == 10 { text.parse().map_err(|_| refused())? } else { return Err(refused()) };
    if (1900..=9998).contains(&date.year()) { Ok(date) } else { Err(refused()) }
}

/// Whether a text can be a telephone number: 3 to 20 digits, and what is written between them.
pub(super) fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    (3..=20).contains(&digits) && text.chars().all(|c| c.is_ascii_digit() || " +-()/.".contains(c))
}

/// The useful part of RFC 5321: one `@`, a dot inside the domain, no blanks. Delivery alone proves an address.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || "@<>,;\"".contains(c));
    let dotted = domain.split('.').count() > 1 && domain.split('.').all(|label| !label.is_empty());
    text.len() <= 254 && plain(local) && plain(domain) && dotted
}
