//! What the kernel's files say of the machine, each a text that is read here into fields.
//!
//! What a file does not tell yields no field; a file that is not understood yields none at all, but what would be right.

use crate::pipeline::record::Value;

/// Names and values.
pub(super) type Fields = Vec<(&'static str, Value<'static>)>;

/// How a file is read: its fields, or what would be right.
pub(super) type Read = fn(&str) -> Result<Fields, &'static str>;

/// `/proc/loadavg` (proc_loadavg(5)).
pub(super) fn load(text: &str) -> Result<Fields, &'static str> {
    let mut words = text.split_whitespace();
    let names = ["load_1m", "load_5m", "load_15m"];
    let fields = names.into_iter().map(|name| Some((name, Value::Real(real(words.next()?)?))));
    fields.collect::<Option<_>>().ok_or("three loads, such as 0.20 0.18 0.12 1/80 11206, would be right")
}

/// `/sys/devices/system/cpu/online`: numbers of processors, and ranges of them.
pub(super) fn processors(text: &str) -> Result<Fields, &'static str> {
    let count = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        Some(i64::from(last.checked_sub(first)?) + 1)
    };
    let counts = text.trim().split(',').map(count);
    let count: Option<i64> = counts.sum();
    Ok(vec![("cpu_count", Value::Integer(count.ok_or("numbers and ranges, such as 0-3,5, would be right")?))])
}

/// `/proc/meminfo` (proc_meminfo(5)). Older kernels have not all of it.
pub(super) fn memory(text: &str) -> Result<Fields, &'static str> {
    let names = [
        ("MemTotal", "memory_total_bytes"),
        ("MemAvailable", "memory_available_bytes"),
        ("SwapTotal", "swap_total_bytes"),
        ("SwapFree", "swap_free_bytes"),
    ];
    let right = "lines such as MemTotal: 949444 kB would be right";
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(':')).collect();
    let mut fields = Fields::new();
    for (written, name) in names {
        if let Some((_, amount)) = lines.iter().find(|(known, _)| *known == written) {
            fields.push((name, Value::Integer(kibibytes(amount).ok_or(right)?)));
        }
    }
    if fields.is_empty() { Err(right) } else { Ok(fields) }
}

/// An amount as meminfo has it, in bytes: its kB are KiB.
fn kibibytes(amount: &str) -> Option<i64> {
    let count: i64 = amount.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    count.checked_mul(1024).filter(|bytes| *bytes >= 0)
}

/// A thermal zone's `temp`, in thousandths of a degree Celsius; none where the sensor has none to tell.
pub(super) fn millidegrees(text: &str) -> Result<Option<i32>, &'static str> {
    let found: i32 =
        text.trim().parse().map_err(|_| "thousandths of a degree, such as 48312, would be right")?;
    // The kernel's word for a temperature that is not known lies below (THERMAL_TEMP_INVALID).
    const ABSOLUTE_ZERO: i32 = -273_150;
    Ok(Some(found).filter(|found| *found >= ABSOLUTE_ZERO))
}

/// `/proc/uptime` (proc_uptime(5)).
pub(super) fn uptime(text: &str) -> Result<Fields, &'static str> {
    let seconds = text.split_whitespace().next().and_then(real);
    let seconds = seconds.ok_or("two numbers of seconds, such as 350735.47 234388.90, would be right")?;
    Ok(vec![("uptime_seconds", Value::Real(seconds))])
}

/// What is summed up over the interfaces, each with its column of `/proc/net/dev`.
const NETWORK: [(&str, usize); 6] = [
    ("network_receive_bytes", 0),
    ("network_transmit_bytes", 8),
    ("network_receive_errors", 2),
    ("network_transmit_errors", 10),
    ("network_receive_packets", 1),
    ("network_transmit_packets", 9),
];

/// `/proc/net/dev` (proc_pid_net(5)): two lines of headings, and one for each interface.
pub(super) fn network(text: &str) -> Result<Fields, &'static str> {
    let right = "two lines of headings, and lines of a name, a colon and 16 numbers below, would be right";
    let mut lines = text.lines();
    let headings = [lines.next(), lines.next()].map(Option::unwrap_or_default);
    if headings.iter().any(|heading| heading.matches('|').count() != 2) {
        return Err(right);
    }
    let mut sums: Option<[i64; NETWORK.len()]> = None;
    for line in lines {
        // A name may hold a colon where it is an alias.
        let (name, numbers) = line.rsplit_once(':').ok_or(right)?;
        if name.trim() == "lo" {
            continue;
        }
        let numbers: Vec<&str> = numbers.split_whitespace().collect();
        let sums = sums.get_or_insert_default();
        for (sum, (_, column)) in sums.iter_mut().zip(NETWORK) {
            let number = numbers.get(column).and_then(|number| number.parse::<u64>().ok());
            let number = number.and_then(|number| i64::try_from(number).ok());
            *sum = number.and_then(|number| sum.checked_add(number)).ok_or(right)?;
        }
    }
    let fields = |sums| NETWORK.into_iter().zip(sums).map(|((name, _), sum)| (name, Value::Integer(sum)));
    Ok(sums.map(|sums| fields(sums).collect()).unwrap_or_default())
}

/// A number that is neither negative nor more than finite.
fn real(word: &str) -> Option<f64> {
    word.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}
