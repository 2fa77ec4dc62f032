//! The URLs that can be asked: `http` and `https`, with a host, and no more than goes into a request.
//!
//! No message repeats a URL, as a query may hold a token.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::join;
use crate::http::host::{self, is_unreserved};
use crate::http::target::{is_path_byte, is_query_byte};
use crate::limits::URL_BYTES_MAX;

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is named.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme.as_str()))
    }
}

/// A URL that can be asked (RFC 3986, RFC 9110 section 4.2). The host is in lower case, an IPv6 address as RFC 5952
/// has it; path and query are as they were written, but for bytes that no request line may have: those are `%XX`.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    host: String,
    port: u16,
    authority: String,
    target: String,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        check_text(text)?;
        if text.contains('#') {
            return Err(
                "a URL has no fragment here, as none is sent: leave out `#` and what follows".to_owned()
            );
        }
        let no_scheme = || "a URL begins with http:// or https:// here".to_owned();
        let (name, rest) = text.split_once("://").ok_or_else(no_scheme)?;
        let scheme = Scheme::from_name(name).ok_or_else(no_scheme)?;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a URL has no user information here: give credentials in header_files".to_owned());
        }
        let (host, port, authority) = read_authority(scheme, authority)?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        let target = as_sent(&format!("{slash}{target}"));
        Self { scheme, host, port, authority, target }.within_bounds()
    }

    /// How the server is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// A name to look up, or an address: one of IPv6 without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the `Host` field says: the port is left out where it is the scheme's own.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// For people: without the query, which may hold a secret.
    pub fn without_query(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.scheme.as_str(), self.authority)
    }

    /// Path and query, as the request line has them.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Where a reference found at this URL leads, such as that of `Location` or of a link (RFC 3986 section 5). Its
    /// fragment is dropped: it is for whoever shows a page.
    ///
    /// # Errors
    /// A sentence, if it leads to what is no URL here.
    pub fn join(&self, reference: &str) -> Result<Self, String> {
        let reference = reference.split('#').next().unwrap_or_default();
        check_text(reference)?;
        let target = match join::kind(reference) {
            join::Kind::Absolute => return Self::parse(reference).and_then(Self::without_dots),
            join::Kind::Authority => {
                let absolute = format!("{}:{reference}", self.scheme.as_str());
                return Self::parse(&absolute).and_then(Self::without_dots);
            }
            join::Kind::Target => join::resolve(&self.target, reference),
        };
        self.with_target(as_sent(&target))
    }

    /// Whether both are served by one and the same server as far as a URL tells: what is secret goes no further.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }

    /// The same with this parameter in its query: in the place of the first one of that name, of which no other is
    /// left, or at the end.
    ///
    /// # Errors
    /// A sentence, if that is too long for a URL.
    pub fn with_query_parameter(&self, name: &str, value: &str) -> Result<Self, String> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let mut new = Some(format!("{}={}", encoded(name), encoded(value)));
        let mut parameters = Vec::new();
        for parameter in query.split('&').filter(|_| !query.is_empty()) {
            let its_name = parameter.split('=').next().unwrap_or_default();
            if decoded(its_name) == name.as_bytes() {
                parameters.extend(new.take());
            } else {
                parameters.push(parameter.to_owned());
            }
        }
        parameters.extend(new);
        self.with_target(format!("{path}?{}", parameters.join("&")))
    }

    fn without_dots(self) -> Result<Self, String> {
        let target = join::without_dots(&self.target);
        self.with_target(target)
    }

    fn with_target(&self, target: String) -> Result<Self, String> {
        Self { target, ..self.clone() }.within_bounds()
    }

    fn within_bounds(self) -> Result<Self, String> {
        let bytes = self.scheme.as_str().len() + "://".len() + self.authority.len() + self.target.len();
        if bytes > URL_BYTES_MAX { Err(too_long()) } else { Ok(self) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.authority, self.target)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({})", self.without_query())
    }
}

fn too_long() -> String {
    format!("a URL has at most {URL_BYTES_MAX} bytes here")
}

fn check_text(text: &str) -> Result<(), String> {
    if text.len() > URL_BYTES_MAX {
        return Err(too_long());
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "a URL is visible ASCII without spaces: write other characters as %XX, and a host's name in its \
                    `xn--` form, as international names are not translated here"
                .to_owned(),
        );
    }
    Ok(())
}

/// Host, port and what the `Host` field says.
fn read_authority(scheme: Scheme, authority: &str) -> Result<(String, u16, String), String> {
    let parts = host::parse(authority.as_bytes()).ok_or_else(|| {
        "a URL's host is a name, an IPv4 address or an IPv6 address in brackets, and its port a number up to 65535"
            .to_owned()
    })?;
    let port = parts.port.unwrap_or(scheme.default_port());
    if port == 0 {
        return Err("a URL's port is a number from 1 to 65535".to_owned());
    }
    let (host, mut field) = match parts.host.parse::<Ipv6Addr>() {
        Ok(address) if parts.is_ipv6 => (address.to_string(), format!("[{address}]")),
        _ => {
            let host = parts.host.to_ascii_lowercase();
            if is_number_in_disguise(&host) {
                return Err("a URL's host that is an IPv4 address has four decimal numbers".to_owned());
            }
            (host.clone(), host)
        }
    };
    if port != scheme.default_port() {
        field.push_str(&format!(":{port}"));
    }
    Ok((host, port, field))
}

/// Names such as `127.1` or `0x7f000001`, which resolvers take for addresses: a list of hosts would not know them.
fn is_number_in_disguise(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_hexadecimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_number(last) || last.strip_prefix("0x").is_some_and(is_hexadecimal))
        && host.parse::<Ipv4Addr>().is_err()
}

/// Text as a query has it: all but RFC 3986's unreserved characters as `%XX`.
fn encoded(text: &str) -> String {
    escaped(text, is_unreserved)
}

/// As a request line may have it: what links and people leave as it is, and no target may have, is written as browsers do.
fn as_sent(target: &str) -> String {
    match target.split_once('?') {
        Some((path, query)) => {
            format!("{}?{}", escaped(path, is_path_byte), escaped(query, is_query_byte))
        }
        None => escaped(target, is_path_byte),
    }
}

fn escaped(text: &str, is_kept: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_kept(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What a parameter's name stands for; forms have `+` for a space.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        rest = behind;
        match (first, behind) {
            (b'%', [high, low, behind @ ..]) if let (Some(high), Some(low)) = (digit(high), digit(low)) => {
                out.push(high * 16 + low);
                rest = behind;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(*first),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap_or_else(|fault| unreachable!("{text}: {fault}"))
    }

    #[test]
    fn a_url_says_where_to_connect_and_what_to_ask() {
        for (text, host, port, authority, target) in [
            ("http://a", "a", 80, "a", "/"),
            (
                "HTTPS://Box-1.Example./x/../y%20z?q=/?&r",
                "box-1.example.",
                443,
                "box-1.example.",
                "/x/../y%20z?q=/?&r",
            ),
            ("http://a:8080?b", "a", 8080, "a:8080", "/?b"),
            ("http://a:80/", "a", 80, "a", "/"),
            ("https://a:80/", "a", 80, "a:80", "/"),
            ("http://a:/", "a", 80, "a", "/"),
            ("http://10.0.0.1:1//b", "10.0.0.1", 1, "10.0.0.1:1", "//b"),
            ("http://[2001:DB8:0::1]:81/", "2001:db8::1", 81, "[2001:db8::1]:81", "/"),
            ("http://a/@b:c", "a", 80, "a", "/@b:c"),
            ("http://a/http://b", "a", 80, "a", "/http://b"),
        ] {
            let url = url(text);
            assert_eq!(
                (url.host(), url.port(), url.authority(), url.target()),
                (host, port, authority, target),
                "{text}"
            );
            assert_eq!(Url::parse(&url.to_string()), Ok(url), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_what_would_be_right() {
        for (text, says) in [
            ("", "begins with"),
            ("a/b", "begins with"),
            ("ftp://a/", "begins with"),
            ("http:/a", "begins with"),
            ("http:a", "begins with"),
            ("//a", "begins with"),
            (" http://a", "visible ASCII"),
            ("http://a/b c", "visible ASCII"),
            ("http://a/\r\nX: y", "visible ASCII"),
            ("http://b\u{fc}x.example/", "xn--"),
            ("http://a/#b", "fragment"),
            ("http://user:secret@a/", "header_files"),
            ("http://@a/", "header_files"),
            ("http://", "host"),
            ("http:///b", "host"),
            ("http://:80/", "host"),
            ("http://a:b/", "host"),
            ("http://a:65536/", "host"),
            ("http://a:0/", "1 to 65535"),
            ("http://[::1/", "host"),
            ("http://::1/", "host"),
            ("http://[a]/", "host"),
            ("http://a%41/", "host"),
            ("http://a\\b/", "host"),
            ("http://127.1/", "four decimal"),
            ("http://2130706433/", "four decimal"),
            ("http://0x7F.1/", "four decimal"),
            ("http://127.0.0.0x1/", "four decimal"),
            ("http://1.2.3.4.5/", "four decimal"),
        ] {
            let fault = Url::parse(text).unwrap_err();
            assert!(fault.contains(says), "{text}: {fault}");
            assert!(!fault.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn a_url_is_bounded_also_when_it_grows() {
        let longest = format!("http://a/{}", "b".repeat(URL_BYTES_MAX - 9));
        assert!(url(&longest).with_query_parameter("c", "").is_err());
        assert!(Url::parse(&format!("{longest}b")).is_err());
        // The slash that is put where no path is.
        assert!(Url::parse(&format!("http://a?{}", "b".repeat(URL_BYTES_MAX - 9))).is_err());
        assert!(url("http://a-longer-host/c/").join(&longest["http://a".len()..]).is_err());
    }

    #[test]
    fn a_parameter_is_added_or_takes_the_place_of_those_of_its_name() {
        for (text, expected) in [
            ("http://a", "/?n=1%2B%C3%A9%20%26~"),
            ("http://a/?", "/?n=1%2B%C3%A9%20%26~"),
            ("http://a/b?c=d", "/b?c=d&n=1%2B%C3%A9%20%26~"),
            ("http://a/?n=0", "/?n=1%2B%C3%A9%20%26~"),
            ("http://a/?b&n=0&c=%2f&n&%6E=2&nn=n", "/?b&n=1%2B%C3%A9%20%26~&c=%2f&nn=n"),
        ] {
            assert_eq!(
                url(text).with_query_parameter("n", "1+\u{e9} &~").unwrap().target(),
                expected,
                "{text}"
            );
        }
        let spaced = url("http://a/?a+b=1&a%20b=2&a%2=3").with_query_parameter("a b", "4").unwrap();
        assert_eq!(spaced.target(), "/?a%20b=4&a%2=3");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = url("http://Box/a");
        for same in ["http://box:80/b?c", "http://BOX"] {
            assert!(origin.same_origin(&url(same)), "{same}");
        }
        for other in ["https://box/a", "http://box:81/a", "http://box.example/a", "http://[::1]/a"] {
            assert!(!origin.same_origin(&url(other)), "{other}");
        }
    }

    #[test]
    fn what_no_request_line_may_have_is_sent_as_browsers_send_it() {
        let typed = r#"http://box/a|b/{c}/<d>\[e]?f=[{"g"}]&h=%20%zz"#;
        assert_eq!(url(typed).target(), "/a%7Cb/%7Bc%7D/%3Cd%3E%5C%5Be%5D?f=[{%22g%22}]&h=%20%zz");
        assert_eq!(url("http://box/a/b").join("<c>?>").unwrap().target(), "/a/%3Cc%3E?%3E");
        assert_eq!(url(&url(typed).to_string()), url(typed));
    }

    #[test]
    fn debug_text_has_no_query() {
        assert_eq!(format!("{:?}", url("https://a/b?token=secret")), "Url(https://a/b)");
    }
}
