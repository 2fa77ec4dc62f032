//! The names by which a refusal is known to programs, and the status that each is answered with.

use std::borrow::Cow;
use std::fmt;

use super::response::Status;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:ident;)+) => {
        /// The `error` member of a problem document: a contract with programs, see [`super::Problem`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)+
        }

        impl ErrorCode {
            /// Every code, in the order of the declaration: counters are indexed by it (`code as usize`).
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name as programs read it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The status that goes with it.
            pub const fn status(self) -> Status {
                match self { $(Self::$variant => Status::$status,)+ }
            }
        }
    };
}

error_codes! {
    /// The message does not follow RFC 9112, or two readers could understand it differently.
    BadRequest = "bad_request", BAD_REQUEST;
    /// The peer's address is on no list.
    AddressNotAllowed = "address_not_allowed", FORBIDDEN;
    /// One of the three signature fields is absent.
    SignatureMissing = "signature_missing", UNAUTHORIZED;
    /// No entry of the signature list can be read, or a signature field is not what it has to be.
    SignatureMalformed = "signature_malformed", UNAUTHORIZED;
    /// No secret in force gives this signature.
    SignatureMismatch = "signature_mismatch", UNAUTHORIZED;
    /// Signed longer ago than the tolerance.
    TimestampTooOld = "timestamp_too_old", UNAUTHORIZED;
    /// Signed further ahead than the tolerance.
    TimestampTooNew = "timestamp_too_new", UNAUTHORIZED;
    /// The static token is missing or wrong.
    TokenMismatch = "token_mismatch", UNAUTHORIZED;
    /// Wrong credentials too often from this address.
    TooManyFailures = "too_many_failures", TOO_MANY_REQUESTS;
    /// Nothing is at this path.
    NotFound = "not_found", NOT_FOUND;
    /// The path is known, but not with this method; the answer has `Allow`.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED;
    /// The request did not arrive in time.
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT;
    /// A method with content, and no word of its length.
    LengthRequired = "length_required", LENGTH_REQUIRED;
    /// The content is over its limit.
    BodyTooLarge = "body_too_large", CONTENT_TOO_LARGE;
    /// The content is encoded in a way that is not read here.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE;
    /// The request target is over its limit.
    UriTooLong = "uri_too_long", URI_TOO_LONG;
    /// The head is over its limit in bytes or fields.
    HeadTooLarge = "head_too_large", HEADER_FIELDS_TOO_LARGE;
    /// An `Expect` that is not `100-continue`.
    ExpectationFailed = "expectation_failed", EXPECTATION_FAILED;
    /// A method or a transfer coding that is not known here.
    NotImplemented = "not_implemented", NOT_IMPLEMENTED;
    /// A version of HTTP that is neither 1.0 nor 1.1.
    VersionNotSupported = "version_not_supported", VERSION_NOT_SUPPORTED;
    /// More connections or waiting answers than allowed.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE;
    /// The disk is full: nothing can be recorded.
    StorageFull = "storage_full", SERVICE_UNAVAILABLE;
    /// The database cannot be written.
    StorageUnavailable = "storage_unavailable", SERVICE_UNAVAILABLE;
    /// The wall clock has never been set: a signed time cannot be judged.
    ClockNotSet = "clock_not_set", SERVICE_UNAVAILABLE;
    /// The daemon is ending.
    ShuttingDown = "shutting_down", SERVICE_UNAVAILABLE;
    /// The `Host` is not one that this listener answers for.
    MisdirectedRequest = "misdirected_request", MISDIRECTED_REQUEST;
    /// A fault of ours.
    Internal = "internal", INTERNAL_SERVER_ERROR;
    /// Control socket: the state of things forbids it.
    Conflict = "conflict", CONFLICT;
    /// Control socket: the flow's definition has faults.
    InvalidFlow = "invalid_flow", UNPROCESSABLE_CONTENT;
    /// Control socket: the request's content or query has faults.
    InvalidRequest = "invalid_request", BAD_REQUEST;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that is not served, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The name for programs; it decides the status.
    pub code: ErrorCode,
    /// A sentence for people. Never holds a secret or what the peer sent.
    pub detail: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a fixed or a made-up sentence.
    pub fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// The most frequent one: the message itself is wrong.
    pub(super) fn bad(detail: &'static str) -> Self {
        Self::new(ErrorCode::BadRequest, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own_and_an_error_status() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index);
            assert!((400..600).contains(&code.status().code()), "{code}");
            assert_ne!(code.status().reason(), "", "{code}");
            let same = ErrorCode::ALL.iter().filter(|other| other.as_str() == code.as_str());
            assert_eq!(same.count(), 1, "{code}");
        }
    }
}
