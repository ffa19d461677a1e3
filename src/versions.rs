//! Which versions of something a change may rest on: what a client says by `If-Match`.

/// The versions that a caller accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// Whatever is there.
    Any,
    /// One of these.
    These(Vec<i64>),
}

impl Versions {
    /// Whether the caller accepts a version.
    pub fn accept(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::These(versions) => versions.contains(&version),
        }
    }
}

impl From<i64> for Versions {
    fn from(version: i64) -> Self {
        Self::These(vec![version])
    }
}
