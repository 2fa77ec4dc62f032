//! The content of an operator's request.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

use super::render::{Rendered, problem};
use crate::http::ErrorCode;

/// Reads a request's content; `right` is how it looks.
pub(super) fn json<T: DeserializeOwned>(body: &[u8], right: &str) -> Result<T, Rendered> {
    serde_json::from_slice(body)
        .map(|Object(content)| content)
        .map_err(|error| invalid(&format!("the content is not JSON as in {right}: {error}")))
}

pub(super) fn invalid(detail: &str) -> Rendered {
    problem(ErrorCode::InvalidRequest, detail)
}

/// What is written with the names of its members: serde takes a list of their values as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfMembers(PhantomData))
    }
}

struct OfMembers<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMembers<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, members: M) -> Result<Self::Value, M::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}
