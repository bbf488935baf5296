//! One field of a JSON line, without building the rest of it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::place::Place;
use crate::Error;

/// The string in `field` of the object on `line`. `place` is asked for only on an error.
pub(crate) fn json_field<'l>(
    line: &'l [u8],
    field: &str,
    place: impl Fn() -> Place,
) -> Result<Cow<'l, str>, Error> {
    let text = std::str::from_utf8(line)
        .map_err(|error| Error::InvalidUtf8 { place: place(), byte: error.valid_up_to() })?;
    let broken = |error: serde_json::Error| Error::BrokenJson {
        place: place(),
        reason: describe(text, &error),
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let found = FieldOf { field }.deserialize(&mut json).map_err(broken)?;
    json.end().map_err(broken)?;
    match found {
        Some(Value::Text(text)) => Ok(text),
        Some(Value::Other(found)) => {
            Err(Error::NotText { place: place(), field: field.to_owned(), found })
        }
        None => Err(Error::MissingField {
            place: place(),
            field: field.to_owned(),
            found: field_names(text),
        }),
    }
}

/// The parser's message, with a hint where the file is one large array.
fn describe(text: &str, error: &serde_json::Error) -> String {
    let message = error.to_string();
    // Every line is parsed alone, so the parser's own line number says nothing.
    let message = message.split(" at line ").next().unwrap_or_default();
    if text.trim_start().starts_with('[') {
        format!("it begins an array: write one object a line instead ({message})")
    } else {
        format!("{message} (column {})", error.column())
    }
}

/// At most a handful of names, enough to see which one was meant.
fn field_names(text: &str) -> String {
    const MOST: usize = 12;
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).unwrap_or_default();
    let mut names: Vec<String> = object.keys().take(MOST).map(|name| format!("{name:?}")).collect();
    if names.is_empty() {
        return "no field".to_owned();
    }
    if object.len() > MOST {
        names.push("others".to_owned());
    }
    names.join(", ")
}

enum Value<'de> {
    Text(Cow<'de, str>),
    Other(&'static str),
}

struct FieldOf<'f> {
    field: &'f str,
}

impl<'de> DeserializeSeed<'de> for FieldOf<'_> {
    type Value = Option<Value<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldOf<'_> {
    type Value = Option<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(IsField { field: self.field })? {
            if wanted {
                found = Some(map.next_value_seed(ValueSeed)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a key without keeping it.
struct IsField<'f> {
    field: &'f str,
}

impl<'de> DeserializeSeed<'de> for IsField<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for IsField<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.field)
    }
}

/// Takes a string as it is and anything else as its kind.
struct ValueSeed;

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Other("true or false"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Other("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other("an object"))
    }
}
