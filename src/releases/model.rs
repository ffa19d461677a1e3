//! The deployment and the basis on which its grades rest.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::digest::Digest;

/// What a base is bound to, once and for all.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Id of the pack it belongs to.
    pub pack_id: String,
    /// Time zone of its business dates.
    pub time_zone: String,
    /// Currency of its amounts.
    pub currency: String,
    /// The business date, where the sample fixed it: loading it has begun.
    pub fixed_business_date: Option<Date>,
    /// When the last file of the sample had been loaded, if it was.
    pub sample_loaded_at: Option<Timestamp>,
}

/// What grades rest on: a rising number with release, cohort and business date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Its number; the highest is current.
    pub number: i64,
    /// Digest of the release.
    pub release: Digest,
    /// Digest of the cohort.
    pub cohort: Digest,
    /// The business date.
    pub business_date: Date,
}
