//! What a key's value may be: reading it, judging it, and saying what would be right.

use ipnet::{IpNet, Ipv4Net};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{Node, Raw, Table};
use super::fault::shown;
use super::process_limits::process_limits;
use super::size::{format_size, parse_size};
use super::status::host;
use crate::flow::{ProcessLimits, TimeOfDay, check_variable_name};
use crate::limits;
use crate::sorted;
use crate::time::{format_duration, parse_duration};

/// Puts a value where it belongs.
pub(super) type Set<T, V> = fn(&mut T, V);

/// What a value may be, its bounds (both ends belong to them), and where in a `T` it goes.
pub(super) enum Kind<T> {
    Boolean(Set<T, bool>),
    Text {
        set: Set<T, String>,
        bytes_max: usize,
    },
    Word {
        set: Set<T, &'static str>,
        words: &'static [&'static str],
    },
    Path(Set<T, PathBuf>),
    Duration {
        set: Set<T, Duration>,
        min: Duration,
        max: Duration,
    },
    WholeSeconds {
        set: Set<T, u64>,
        min: Duration,
        max: Duration,
    },
    Size {
        set: Set<T, usize>,
        min: usize,
        max: usize,
    },
    Integer {
        set: Set<T, usize>,
        min: usize,
        max: usize,
    },
    Mode(Set<T, u32>),
    Addresses(Set<T, Vec<SocketAddr>>),
    Networks(Set<T, Vec<IpNet>>),
    Paths(Set<T, Vec<PathBuf>>),
    Names(Set<T, Vec<String>>),
    Hosts(Set<T, Vec<String>>),
    Variables(Set<T, BTreeMap<String, String>>),
    Arguments(Set<T, Arguments>),
    Signed {
        set: Set<T, i32>,
        min: i32,
        max: i32,
    },
    ProcessLimits(Set<T, ProcessLimits>),
    TimeOfDay(Set<T, TimeOfDay>),
    TimesOfDay(Set<T, [TimeOfDay; 2]>),
    /// What one key alone is: how it is read, and what would be right.
    Own {
        read: fn(&Raw, &Path, &mut T) -> Result<(), Vec<Wrong>>,
        right: &'static str,
    },
}

/// A command line as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// One text, for a shell.
    Line(String),
    /// Program and arguments.
    List(Vec<String>),
}

/// What is wrong with a value.
pub(super) struct Wrong {
    /// Where, if it is an item of a list that has a line of its own.
    pub(super) line: Option<usize>,
    /// The key of a table that is the value.
    pub(super) below: Option<String>,
    pub(super) message: String,
    /// What would be right, where that is more than [`Kind::right`].
    pub(super) help: Option<String>,
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self { line: None, below: None, message, help: None }
    }
}

impl Wrong {
    pub(super) fn with_help(message: String, help: String) -> Self {
        Self { line: None, below: None, message, help: Some(help) }
    }

    /// The same, of this key of a table that is the value.
    pub(super) fn below(self, key: &str, line: Option<usize>) -> Self {
        Self { below: Some(key.to_owned()), line: self.line.or(line), ..self }
    }
}

impl<T> Kind<T> {
    /// What would be right, as in "give …".
    pub(super) fn right(&self) -> String {
        match self {
            Self::Boolean(_) => "true or false".to_owned(),
            Self::Text { .. } => "text in quotes".to_owned(),
            Self::Word { words, .. } => format!("one of \"{}\"", words.join("\", \"")),
            Self::Path(_) => "the path of a file or folder".to_owned(),
            Self::Duration { min, max, .. } => {
                format!("a duration from {} to {}", format_duration(*min), format_duration(*max))
            }
            Self::WholeSeconds { min, max, .. } => {
                format!(
                    "a duration in whole seconds from {} to {}",
                    format_duration(*min),
                    format_duration(*max)
                )
            }
            Self::Size { min, max, .. } => {
                format!("a size from {} to {}", format_size(*min), format_size(*max))
            }
            Self::Integer { min, max, .. } => format!("a whole number from {min} to {max}"),
            Self::Mode(_) => "the permissions of a file, read and write for its owner among them".to_owned(),
            Self::Addresses(_) => "a list of IP addresses with ports".to_owned(),
            Self::Networks(_) => "a list of IP addresses and networks".to_owned(),
            Self::Paths(_) => "a list of paths".to_owned(),
            Self::Names(_) => "a list of names of environment variables".to_owned(),
            Self::Hosts(_) => format!("a list of at most {} names of hosts", limits::STATUS_HOSTS_MAX),
            Self::Variables(_) => "a table of names and texts".to_owned(),
            Self::Arguments(_) => {
                "a list of texts, program first (or one text, with shell = true)".to_owned()
            }
            Self::Signed { min, max, .. } => format!("a whole number from {min} to {max}"),
            Self::ProcessLimits(_) => "a table of memory, processes, files and cpu".to_owned(),
            Self::TimeOfDay(_) => "a time of day from 00:00 to 23:59".to_owned(),
            Self::TimesOfDay(_) => "two times of day, start and end".to_owned(),
            Self::Own { right, .. } => (*right).to_owned(),
        }
    }

    /// A value from the environment in the shape that TOML would have given it.
    pub(super) fn node_of(&self, text: &str) -> Node {
        let value = match self {
            Self::Boolean(_) => text.parse().map_or_else(|_| Raw::Text(text.to_owned()), Raw::Boolean),
            Self::Integer { .. } => {
                text.trim().parse().map_or_else(|_| Raw::Text(text.to_owned()), Raw::Integer)
            }
            Self::Addresses(_) | Self::Networks(_) | Self::Paths(_) | Self::Names(_) | Self::Hosts(_) => {
                let items = text.split(',').map(str::trim);
                let items = items.filter(|_| !text.trim().is_empty());
                Raw::List(items.map(|item| Node { line: None, value: Raw::Text(item.to_owned()) }).collect())
            }
            _ => Raw::Text(text.to_owned()),
        };
        Node { line: None, value }
    }

    /// Reads `node` into `target`; relative paths are taken from `base`. What is wrong is returned, and nothing is
    /// set.
    pub(super) fn read(&self, node: &Node, base: &Path, target: &mut T) -> Vec<Wrong> {
        let value = &node.value;
        let mut wrongs = Vec::new();
        match self {
            Self::Boolean(set) => keep(boolean(value), |v| set(target, v), &mut wrongs),
            Self::Text { set, bytes_max } => keep(text(value, *bytes_max), |v| set(target, v), &mut wrongs),
            Self::Word { set, words } => keep(word(value, words), |v| set(target, v), &mut wrongs),
            Self::Path(set) => keep(path(value, base), |v| set(target, v), &mut wrongs),
            Self::Duration { set, min, max } => {
                keep(duration(value, *min, *max), |v| set(target, v), &mut wrongs);
            }
            Self::WholeSeconds { set, min, max } => {
                let seconds = duration(value, *min, *max).and_then(whole_seconds);
                keep(seconds, |v| set(target, v), &mut wrongs);
            }
            Self::Size { set, min, max } => {
                let size = size(value).and_then(|v| within(v, *min, *max, format_size));
                keep(size, |v| set(target, v), &mut wrongs);
            }
            Self::Integer { set, min, max } => {
                let number = integer(value).and_then(|v| within(v, *min, *max, |v| v.to_string()));
                keep(number, |v| set(target, v), &mut wrongs);
            }
            Self::Mode(set) => keep(mode(value), |v| set(target, v), &mut wrongs),
            Self::Addresses(set) => keep_all(items(value, address), |v| set(target, v), &mut wrongs),
            Self::Networks(set) => keep_all(items(value, network), |v| set(target, v), &mut wrongs),
            Self::Paths(set) => {
                keep_all(items(value, |item| path(item, base)), |v| set(target, v), &mut wrongs);
            }
            Self::Names(set) => keep_all(items(value, name), |v| set(target, v), &mut wrongs),
            Self::Hosts(set) => keep_all(items(value, host), |v| set(target, v), &mut wrongs),
            Self::Variables(set) => keep_all(variables(value), |v| set(target, v), &mut wrongs),
            Self::Arguments(set) => keep_all(arguments(value), |v| set(target, v), &mut wrongs),
            Self::Signed { set, min, max } => {
                keep(signed(value, *min, *max), |v| set(target, v), &mut wrongs);
            }
            Self::ProcessLimits(set) => keep_all(process_limits(value), |v| set(target, v), &mut wrongs),
            Self::TimeOfDay(set) => keep(time_of_day(value), |v| set(target, v), &mut wrongs),
            Self::TimesOfDay(set) => keep_all(times_of_day(value), |v| set(target, v), &mut wrongs),
            Self::Own { read, .. } => keep_all(read(value, base, target), drop, &mut wrongs),
        }
        wrongs
    }
}

fn keep<V>(read: Result<V, Wrong>, set: impl FnOnce(V), wrongs: &mut Vec<Wrong>) {
    match read {
        Ok(value) => set(value),
        Err(wrong) => wrongs.push(wrong),
    }
}

fn keep_all<V>(read: Result<V, Vec<Wrong>>, set: impl FnOnce(V), wrongs: &mut Vec<Wrong>) {
    match read {
        Ok(value) => set(value),
        Err(found) => wrongs.extend(found),
    }
}

fn boolean(value: &Raw) -> Result<bool, Wrong> {
    match value {
        Raw::Boolean(value) => Ok(*value),
        other => Err(format!("{} is neither true nor false", other.described()).into()),
    }
}

pub(super) fn text(value: &Raw, bytes_max: usize) -> Result<String, Wrong> {
    match value {
        Raw::Text(text) if text.contains('\0') => Err(format!("{} holds a NUL byte", shown(text)).into()),
        Raw::Text(text) if text.len() > bytes_max => {
            let limit = format_size(bytes_max);
            let help = format!("shorten it to {limit}");
            Err(Wrong::with_help(format!("is {} bytes long, more than {limit}", text.len()), help))
        }
        Raw::Text(text) => Ok(text.clone()),
        other => Err(format!("{} is not text", other.described()).into()),
    }
}

fn word(value: &Raw, words: &'static [&'static str]) -> Result<&'static str, Wrong> {
    let found = match value {
        Raw::Text(text) => words.iter().find(|word| *word == text),
        _ => None,
    };
    found.copied().ok_or_else(|| format!("{} is not one of the words", value.described()).into())
}

/// The longest path that Linux takes, its closing NUL included (PATH_MAX).
const PATH_BYTES_MAX: usize = 4095;

pub(super) fn path(value: &Raw, base: &Path) -> Result<PathBuf, Wrong> {
    let text = text(value, PATH_BYTES_MAX)?;
    if text.is_empty() {
        return Err("the path is empty".to_owned().into());
    }
    if text.starts_with("whsec_") {
        let help = "put the secret in a file that only you can read (chmod 600) and give its path".to_owned();
        return Err(Wrong::with_help("a secret stands where a path belongs".to_owned(), help));
    }
    Ok(resolved(base, Path::new(&text)))
}

/// `path` taken from `base` where it is relative, without `.` in it; `..` stays, for links may lead elsewhere.
pub(super) fn resolved(base: &Path, path: &Path) -> PathBuf {
    base.join(path).components().collect()
}

pub(super) fn duration(value: &Raw, min: Duration, max: Duration) -> Result<Duration, Wrong> {
    let duration = match value {
        Raw::Integer(seconds) => match u64::try_from(*seconds) {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) if *seconds < 0 => return Err(format!("{seconds} is less than nothing").into()),
            Err(_) => Duration::MAX,
        },
        Raw::Text(text) => {
            parse_duration(text).map_err(|_| Wrong::from(format!("{} is not a duration", shown(text))))?
        }
        other => return Err(format!("{} is not a duration", other.described()).into()),
    };
    within(duration, min, max, format_duration)
}

pub(super) fn whole_seconds(duration: Duration) -> Result<u64, Wrong> {
    if duration.subsec_nanos() == 0 {
        Ok(duration.as_secs())
    } else {
        Err(format!("{} is not a whole number of seconds", format_duration(duration)).into())
    }
}

pub(super) fn size(value: &Raw) -> Result<usize, Wrong> {
    match value {
        Raw::Integer(_) => integer(value),
        Raw::Text(text) => parse_size(text).map_err(|_| format!("{} is not a size", shown(text)).into()),
        other => Err(format!("{} is not a size", other.described()).into()),
    }
}

pub(super) fn integer(value: &Raw) -> Result<usize, Wrong> {
    match value {
        Raw::Integer(number) if *number < 0 => Err(format!("{number} is less than nothing").into()),
        Raw::Integer(number) => Ok(usize::try_from(*number).unwrap_or(usize::MAX)),
        other => Err(format!("{} is not a whole number", other.described()).into()),
    }
}

/// Text and no number: 600 and 0o600 are two things, and TOML knows no 0600.
fn mode(value: &Raw) -> Result<u32, Wrong> {
    let Raw::Text(text) = value else {
        return Err(format!("{} is not text in quotes", value.described()).into());
    };
    let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) if is_octal && mode & 0o600 == 0o600 => Ok(mode),
        _ => Err(format!("{} is not such a mode", shown(text)).into()),
    }
}

fn signed(value: &Raw, min: i32, max: i32) -> Result<i32, Wrong> {
    match value {
        Raw::Integer(number) => {
            let number = within(*number, min.into(), max.into(), |v| v.to_string())?;
            i32::try_from(number).map_err(|_| format!("{number} is out of range").into())
        }
        other => Err(format!("{} is not a whole number", other.described()).into()),
    }
}

pub(super) fn within<V: PartialOrd + Copy>(
    value: V,
    min: V,
    max: V,
    show: fn(V) -> String,
) -> Result<V, Wrong> {
    if value < min {
        Err(format!("{} is too little: at least {}", show(value), show(min)).into())
    } else if value > max {
        Err(format!("is too much: at most {}", show(max)).into())
    } else {
        Ok(value)
    }
}

pub(super) fn items<V>(value: &Raw, read: impl Fn(&Raw) -> Result<V, Wrong>) -> Result<Vec<V>, Vec<Wrong>> {
    let Raw::List(nodes) = value else {
        return Err(vec![format!("{} is not a list", value.described()).into()]);
    };
    collected(nodes.iter().map(|node| read(&node.value).map_err(|wrong| Wrong { line: node.line, ..wrong })))
}

/// All values, or all that is wrong: unlike `Result`'s own `collect`, which stops at the first.
pub(super) fn collected<V, C: Default + Extend<V>>(
    reads: impl Iterator<Item = Result<V, Wrong>>,
) -> Result<C, Vec<Wrong>> {
    let mut wrongs = Vec::new();
    let values = sorted::collected(reads.filter_map(|read| read.map_err(|wrong| wrongs.push(wrong)).ok()));
    if wrongs.is_empty() { Ok(values) } else { Err(wrongs) }
}

pub(super) fn address(value: &Raw) -> Result<SocketAddr, Wrong> {
    let text = text(value, usize::MAX)?;
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let message = format!("{} is not an IP address with a port", shown(&text));
    if let Ok(ip) = text.parse::<IpAddr>() {
        let help = format!("add a port: \"{}\"", SocketAddr::new(ip, super::LISTEN_PORT_DEFAULT));
        return Err(Wrong::with_help(message, help));
    }
    match text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':')).map(str::parse::<u16>) {
        Some(Ok(port)) => {
            let help =
                format!("write the address: \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for every interface");
            Err(Wrong::with_help(message, help))
        }
        _ => Err(message.into()),
    }
}

/// A network; one address is a network of its own, and IPv4 mapped into IPv6 is IPv4, as it is for callers.
fn network(value: &Raw) -> Result<IpNet, Wrong> {
    let text = text(value, usize::MAX)?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip.to_canonical()));
    }
    let Ok(network) = text.parse::<IpNet>() else {
        return Err(
            format!("{} is neither an IP address nor a network such as 10.0.0.0/8", shown(&text)).into()
        );
    };
    if network.trunc() != network {
        let message = format!("{} has bits set beyond its prefix", shown(&text));
        let help = format!(
            "write \"{}\" for the network, or \"{}\" for the one address",
            network.trunc(),
            network.addr()
        );
        return Err(Wrong::with_help(message, help));
    }
    Ok(unmapped(network))
}

fn unmapped(network: IpNet) -> IpNet {
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (IpAddr::V4(ip), Some(prefix)) if network.addr().is_ipv6() => {
            Ipv4Net::new(ip, prefix).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

/// The prefix of the daemon's own settings and secrets, which no child sees.
pub(super) const OWN_PREFIX: &str = "HEARTBEATD_";

fn name(value: &Raw) -> Result<String, Wrong> {
    let name = text(value, usize::MAX)?;
    match check_variable_name(&name) {
        Ok(()) => Ok(name),
        Err((wrong, help)) => {
            // What stands behind it is a value, which may be a secret.
            let end = name.find('=').map_or(name.len(), |at| at + 1);
            let written = shown(name.get(..end).unwrap_or_default());
            Err(Wrong::with_help(format!("{written} {wrong}"), help.to_owned()))
        }
    }
}

fn variables(value: &Raw) -> Result<BTreeMap<String, String>, Vec<Wrong>> {
    let Raw::Table(table) = value else {
        return Err(vec![format!("{} is not a table", value.sort()).into()]);
    };
    let table: &Table = table;
    collected(table.iter().map(|(key, node)| {
        let read = || {
            let key = name(&Raw::Text(key.clone()))?;
            let value = text(&node.value, usize::MAX).map_err(|_| {
                // The value may be a secret: its name says enough.
                let help = format!("write it as text: {key} = \"…\"");
                Wrong::with_help(format!("the value of {} is not text without NUL bytes", shown(&key)), help)
            })?;
            Ok((key, value))
        };
        read().map_err(|wrong: Wrong| Wrong { line: node.line, ..wrong })
    }))
}

fn arguments(value: &Raw) -> Result<Arguments, Vec<Wrong>> {
    match value {
        Raw::Text(_) => text(value, usize::MAX).map(Arguments::Line).map_err(|wrong| vec![wrong]),
        _ => items(value, |item| text(item, usize::MAX)).map(Arguments::List),
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn time_of_day(value: &Raw) -> Result<TimeOfDay, Wrong> {
    match value {
        Raw::Text(text) => {
            TimeOfDay::parse(text).map_err(|_| format!("{} is not a time of day", shown(text)).into())
        }
        other => Err(format!("{} is not a time of day in quotes", other.described()).into()),
    }
}

fn times_of_day(value: &Raw) -> Result<[TimeOfDay; 2], Vec<Wrong>> {
    let times = items(value, time_of_day)?;
    let count = times.len();
    times.try_into().map_err(|_| vec![format!("has {count} items, not two").into()])
}
