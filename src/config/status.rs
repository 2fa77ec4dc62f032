//! `[status]`: where people and Prometheus look on, and who may.

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

use super::document::Raw;
use super::fault::shown;
use super::kind::{Wrong, address, text};
use crate::limits;

/// Who may look on, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Where it is listened for them; port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// Whether `listen` was set. If not, a daemon goes without where its default is taken.
    pub listen_given: bool,
    /// Who may connect.
    pub whitelisted_ips: Vec<IpNet>,
    /// Names that `Host` may hold beside `localhost` and addresses; in lower case.
    pub hosts: Vec<String>,
    /// Whether the status page shows the ends of runs' outputs.
    pub output: bool,
    /// Whether there are badges beside it.
    pub badges: bool,
}

/// An address, or none.
pub(super) fn listen(value: &Raw) -> Result<Option<SocketAddr>, Wrong> {
    match value {
        Raw::Boolean(false) => Ok(None),
        // From the environment.
        Raw::Text(text) if text == "false" => Ok(None),
        Raw::Text(_) => address(value).map(Some),
        other => Err(format!("{} is neither an address nor false", other.described()).into()),
    }
}

/// A host's name as `Host` has it, without its port.
pub(super) fn host(value: &Raw) -> Result<String, Wrong> {
    let text = text(value, limits::HOST_NAME_BYTES_MAX)?;
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.parse::<IpAddr>().is_ok() {
        let help = "leave it out: every IP address is right".to_owned();
        return Err(Wrong::with_help(format!("{} is an IP address", shown(&text)), help));
    }
    if text.is_empty() || !text.bytes().all(is_of_a_name) {
        let help = "write the name alone, such as \"box.example\": no scheme, no port, no *".to_owned();
        return Err(Wrong::with_help(format!("{} is not the name of a host", shown(&text)), help));
    }
    Ok(text.to_ascii_lowercase())
}
