//! The JSON profile of signed payloads: what outside tools read, without the freedoms of JSON.
//!
//! UTF-8 without byte order mark, no duplicate names, integers below 2^53 without fraction or
//! exponent, at most [`DEPTH_MAX`] levels and [`VALUES_MAX`] values. A payload is parsed into
//! [`Json`], and from there into types; the bytes themselves are what is stored and signed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// How many arrays and objects may stand around a value.
pub const DEPTH_MAX: usize = 8;
/// Most values, arrays and objects among them. A list of 16,384 files has about 200,000; and while
/// an empty object takes two bytes of a payload, one with a field takes 600 of memory.
pub const VALUES_MAX: usize = 262_144;
/// The first integer that JavaScript's numbers cannot hold apart.
pub const INTEGER_END: i64 = 1 << 53;

/// A value of the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    Null,
    Bool(bool),
    /// Above -2^53 and below 2^53.
    Integer(i64),
    Text(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// Why a payload is not of the profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not JSON of the signed profile: {0}")]
pub struct Error(String);

/// Reads one value, all of `payload`.
pub fn parse(payload: &[u8]) -> Result<Json, Error> {
    let mut from = serde_json::Deserializer::from_slice(payload);
    let values = Cell::new(0);
    let outermost = Level {
        around: 0,
        values: &values,
    };
    let value = outermost
        .deserialize(&mut from)
        .map_err(|e| Error(e.to_string()))?;
    from.end().map_err(|e| Error(e.to_string()))?;
    Ok(value)
}

impl Json {
    pub fn as_object(&self) -> Option<&BTreeMap<String, Json>> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer without sign.
    pub fn as_uint(&self) -> Option<u64> {
        match self {
            Self::Integer(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// For types that serde derives: the same value for serde_json.
    pub fn into_serde(self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(b) => b.into(),
            Self::Integer(n) => n.into(),
            Self::Text(text) => text.into(),
            Self::Array(items) => items.into_iter().map(Self::into_serde).collect(),
            Self::Object(fields) => serde_json::Value::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| (name, value.into_serde()))
                    .collect(),
            ),
        }
    }
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Level<'a> {
    /// How many arrays and objects stand around it.
    around: usize,
    /// How many values of the payload were read before it.
    values: &'a Cell<usize>,
}

impl Level<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.around < DEPTH_MAX {
            let around = self.around + 1;
            Ok(Self { around, ..self })
        } else {
            Err(E::custom("nested too deep"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Json, D::Error> {
        if self.values.get() >= VALUES_MAX {
            return Err(serde::de::Error::custom("too many values"));
        }
        self.values.set(self.values.get() + 1);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the JSON profile")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Json, E> {
        if (-INTEGER_END < value) && (value < INTEGER_END) {
            Ok(Json::Integer(value))
        } else {
            Err(E::custom("an integer of 2^53 or more"))
        }
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Json, E> {
        i64::try_from(value)
            .map_err(|_| E::custom("an integer of 2^53 or more"))
            .and_then(|value| self.visit_i64(value))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Json, E> {
        Err(E::custom(
            "a number with a fraction, exponent or minus zero",
        ))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let level = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(level)? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let level = self.deeper()?;
        let mut fields = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(level)?;
            if fields.insert(name, value).is_some() {
                return Err(serde::de::Error::custom("a duplicate name"));
            }
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_refuses_what_json_allows() {
        for bad in [
            "1.0",
            "1e0",
            "-0",
            "9007199254740992",
            "-9007199254740992",
            "{\"a\":1,\"a\":1}",
            "[[[[[[[[[]]]]]]]]]",
            "\u{feff}1",
            "1 2",
            "NaN",
            "",
            "\"\\ud800\"",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn values_are_counted_wherever_they_stand() {
        let check = |item: &str, values_of_item: usize| {
            let array = |items: usize| {
                let payload = format!("[{}]", vec![item; items].join(","));
                parse(payload.as_bytes()).is_ok()
            };
            // The array itself is a value.
            let most = (VALUES_MAX - 1) / values_of_item;
            assert!(array(most) && !array(most + 1), "{item}");
        };
        check("0", 1);
        check("{\"\":0}", 2);
        check("[[]]", 2);
        check("[{},null]", 3);
    }

    #[test]
    fn the_profile_takes_the_rest() {
        assert_eq!(
            parse(b"9007199254740991"),
            Ok(Json::Integer(INTEGER_END - 1))
        );
        assert!(parse(b" [[[[[[[[1]]]]]]]] ").is_ok());
        let object = parse(br#"{"b":null,"a":[true,"x"]}"#).expect("an object");
        assert_eq!(
            object.into_serde(),
            serde_json::json!({"a": [true, "x"], "b": null})
        );
    }
}
