//! Reading those entries of a stored JSON object alone that somebody wants: skipping the others is much faster than making something of them.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// Reads the entries of an object, each by the seed that `W` gives for its key; those for which it gives none are skipped.
pub struct Entries<K, W> {
    wanted: W,
    key: PhantomData<K>,
}

impl<K, W> Entries<K, W> {
    /// The entries for which `wanted` gives a seed.
    pub fn new<S>(wanted: W) -> Self
    where
        W: Fn(&K) -> Option<S>,
    {
        Self { wanted, key: PhantomData }
    }
}

/// What `seed` makes of a JSON text.
///
/// # Errors
/// It is no JSON, or something else than the seed reads.
pub fn read<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

impl<'de, K, S, W> DeserializeSeed<'de> for Entries<K, W>
where
    K: Deserialize<'de>,
    S: DeserializeSeed<'de>,
    W: Fn(&K) -> Option<S>,
{
    type Value = Vec<(K, S::Value)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, K, S, W> Visitor<'de> for Entries<K, W>
where
    K: Deserialize<'de>,
    S: DeserializeSeed<'de>,
    W: Fn(&K) -> Option<S>,
{
    type Value = Vec<(K, S::Value)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<K>()? {
            match (self.wanted)(&key) {
                Some(seed) => entries.push((key, map.next_value_seed(seed)?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_or_skipped_by_their_key() {
        let text = r#"{"1": {"a": 1, "b": [2]}, "2": {"a": "x"}, "3": {"b": 3, "a": 4}}"#;
        let of_object =
            |number: &i8| (*number != 2).then(|| Entries::new(|key: &&str| (*key == "a").then_some(PhantomData::<u8>)));
        assert_eq!(read(text, Entries::new(of_object)).unwrap(), [(1, vec![("a", 1)]), (3, vec![("a", 4)])]);
        assert!(read(r#"{"1": {"a": 1}"#, Entries::new(of_object)).is_err(), "it breaks off");
        assert!(read(r#"{"1": {}} 2"#, Entries::new(of_object)).is_err(), "something follows");
        assert!(read(r#"{"1": {"a": 300}}"#, Entries::new(of_object)).is_err(), "no u8");
    }
}
