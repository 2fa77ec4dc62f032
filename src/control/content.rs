//! The content of an operator's request.

use serde::de::DeserializeOwned;

use super::render::{Rendered, problem};
use crate::http::ErrorCode;

/// Reads a request's content; `right` is how it looks.
pub(super) fn json<T: DeserializeOwned>(body: &[u8], right: &str) -> Result<T, Rendered> {
    serde_json::from_slice(body)
        .map_err(|error| invalid(&format!("the content is not JSON as in {right}: {error}")))
}

pub(super) fn invalid(detail: &str) -> Rendered {
    problem(ErrorCode::InvalidRequest, detail)
}
