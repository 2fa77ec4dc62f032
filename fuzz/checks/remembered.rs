//! What authentication remembers of callers, against models that are written plainly: the ring of ids that started
//! nothing, and the failures of each address and minute.
//!
//! The input is a capacity and a row of operations.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use heartbeat_runtime::auth::{FailureLimiter, LeftOut, ReplayRing, Verdict};
use heartbeat_runtime::limits::FAILURE_TABLE_ADDRESSES;
use heartbeat_runtime::time::Monotonic;

use super::bytes::Bytes;

/// The target.
pub fn check(data: &[u8]) {
    let mut input = Bytes(data);
    if input.byte().is_multiple_of(2) { ring(&mut input) } else { failures(&mut input) }
}

/// The sum of the bytes: so that keys come close to each other in the table, which is where it could go wrong.
#[derive(Default)]
struct Sum(u64);

impl Hasher for Sum {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum + u64::from(*byte));
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

struct Sums;

impl BuildHasher for Sums {
    type Hasher = Sum;
    fn build_hasher(&self) -> Sum {
        Sum::default()
    }
}

fn ring(input: &mut Bytes<'_>) {
    let capacity = u32::from(input.byte() % 20);
    let mut ring = ReplayRing::new(capacity, Sums);
    let mut model: VecDeque<(u64, usize)> = VecDeque::new();
    let mut step = 0;
    while !input.is_empty() {
        let byte = input.byte();
        let id = char::from(b' ' + byte % 64).to_string();
        let key = ring.key("a", &id);
        let known = model.iter_mut().find(|(other, _)| *other == key.as_u64());
        assert_eq!(ring.get(key), known.as_ref().map(|(_, answer)| *answer));
        if byte < 192 {
            ring.insert(key, step);
            match known {
                Some((_, answer)) => *answer = step,
                None => model.push_back((key.as_u64(), step)),
            }
            if model.len() > usize::try_from(capacity.max(1)).expect("small") {
                model.pop_front();
            }
        }
        assert_eq!((ring.len(), ring.is_empty()), (model.len(), model.is_empty()));
        step += 1;
    }
    assert!(!format!("{ring:?}").is_empty());
}

/// One failure, as the model keeps it.
struct Window {
    since: Duration,
    network: u128,
    count: u32,
}

fn failures(input: &mut Bytes<'_>) {
    const MINUTE: Duration = Duration::from_secs(60);
    let mut per_minute = u32::from(input.byte() % 4);
    let mut limiter = FailureLimiter::new(per_minute);
    let mut windows: Vec<Window> = Vec::new();
    let (mut now, mut left_out, mut told_at) = (Duration::ZERO, LeftOut { failures: 0, addresses: 0 }, None);
    while !input.is_empty() {
        let at = Monotonic::since_start(now);
        match input.byte() {
            // Time goes on.
            seconds @ 0..=70 => now += Duration::from_secs(seconds.into()),
            limit @ 71..=79 => {
                per_minute = u32::from(limit - 71);
                limiter.set_per_minute(per_minute);
                assert_eq!(limiter.per_minute(), per_minute);
            }
            80..=99 => {
                let expected = told_at.filter(|at| *at <= now).map(|_| left_out);
                assert_eq!(limiter.summary(at), expected);
                if expected.is_some() {
                    (left_out, told_at) = (LeftOut { failures: 0, addresses: 0 }, None);
                }
            }
            choice => {
                // Many addresses at once, so that the table gets full; or one.
                let count = if choice == 100 { FAILURE_TABLE_ADDRESSES } else { 1 };
                let mixed = input.number::<2>();
                for nth in 0..count {
                    let (address, network) = address(choice, mixed, nth);
                    windows.retain(|window| now - window.since < MINUTE);
                    let known = windows.iter().position(|window| window.network == network);
                    let place = known.unwrap_or_else(|| {
                        if windows.len() == FAILURE_TABLE_ADDRESSES {
                            windows.remove(0);
                            left_out.addresses += 1;
                            told_at.get_or_insert(now + MINUTE);
                        }
                        windows.push(Window { since: now, network, count: 0 });
                        windows.len() - 1
                    });
                    windows[place].count += 1;
                    let quiet = windows[place].count > per_minute;
                    if quiet {
                        left_out.failures += 1;
                        told_at.get_or_insert(now + MINUTE);
                    }
                    let verdict = limiter.record(address, at);
                    assert_eq!(verdict, if quiet { Verdict::Quiet } else { Verdict::Log });
                }
            }
        }
        assert_eq!(limiter.summary_at(), told_at.map(Monotonic::since_start));
    }
    let networks: BTreeMap<u128, u32> = windows.iter().map(|window| (window.network, window.count)).collect();
    assert_eq!(networks.len(), windows.len(), "an address has one window");
}

/// An address, and the number of the network that it counts for: an IPv4 address is one, of IPv6 it is a /64, as
/// whoever has one address there has them all.
fn address(choice: u8, mixed: u128, nth: usize) -> (IpAddr, u128) {
    let nth = u128::try_from(nth).expect("small");
    let v4 = u32::try_from(0x0a00_0000 + mixed % 8 + (nth << 8)).expect("32 bits");
    match choice % 3 {
        0 => (Ipv4Addr::from_bits(v4).into(), v4.into()),
        1 => (Ipv4Addr::from_bits(v4).to_ipv6_mapped().into(), v4.into()),
        _ => {
            let network = 0x2001_0db8_0000_0000 + (mixed >> 8) % 4 + (nth << 8);
            (Ipv6Addr::from_bits(network << 64 | mixed).into(), network)
        }
    }
}
