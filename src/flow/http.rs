//! The settings of sources and sinks that speak HTTP.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::limits;

/// Whom a request goes to, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpTarget {
    /// An absolute `http` URL.
    pub url: String,
    /// Fields of each request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Fields whose values are read, at each request, from files that only we can read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header_files: BTreeMap<String, PathBuf>,
    /// Milliseconds from the begin of a request to its whole answer.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// Whether an answer may send us elsewhere.
    #[serde(default)]
    pub follow_redirects: bool,
}

const fn timeout_ms() -> u64 {
    limits::EXCHANGE_TIMEOUT_DEFAULT.as_secs() * 1000
}

/// What is asked for records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSource {
    /// Whom.
    #[serde(flatten)]
    pub target: HttpTarget,
    /// What an answer is.
    #[serde(default)]
    pub format: HttpFormat,
    /// Where in an answer the records stand (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// How an answer names the next page, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextPage>,
    /// The method that is called, if that is how records are asked for (JSON-RPC 2.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_rpc: Option<JsonRpcCall>,
}

/// What an answer is, or a batch that is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpFormat {
    /// A JSON document: an array of records, one record, or a document that holds an array.
    #[default]
    Json,
    /// A JSON object a line.
    Jsonl,
    /// A call of JSON-RPC 2.0. Of sinks only.
    JsonRpc,
}

/// How an answer names the page after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextPage {
    /// By a `Link` field with `rel="next"` (RFC 8288).
    Link,
    /// By a value in the document, which becomes a parameter of the query; or by a URL there.
    Value {
        /// Where the value stands (RFC 6901).
        pointer: String,
        /// The parameter; none: the value is a URL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parameter: Option<String>,
    },
}

/// A call (JSON-RPC 2.0).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonRpcCall {
    /// The method.
    pub method: String,
    /// Its parameters: an array or an object.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub params: serde_json::Value,
}

/// Whom batches are sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSink {
    /// Whom.
    #[serde(flatten)]
    pub target: HttpTarget,
    /// What a batch is.
    #[serde(default)]
    pub format: HttpFormat,
    /// The method of JSON-RPC that takes a batch, as its only parameter `records`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The file with the secret that batches are signed with (Standard Webhooks).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// What becomes of a batch that is refused for good.
    #[serde(default)]
    pub on_rejection: OnRejection,
}

/// What becomes of a batch that is refused for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRejection {
    /// Its records go to the dead letters.
    #[default]
    DeadLetter,
    /// The run fails, and the next one sends it again.
    Fail,
}
