//! Time zones: from instants to what the clocks of a place show, and back.
//!
//! Civil times are seconds since 1970-01-01T00:00 as those clocks show them. The rules of a zone come in as TZif data
//! (RFC 9636) from whoever can read files; `UTC` needs none.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::Wall;

/// The zone that needs no data, and the one that counts where none is named.
pub const UTC: &str = "UTC";
/// More transitions than any zone has within a day or two of a gap.
const TRANSITIONS_NEARBY_MAX: usize = 8;

/// Where the data of zones comes from.
pub trait ZoneData {
    /// The TZif data of the zone of this name; none if it is not known.
    fn read(&self, name: &str) -> Option<Vec<u8>>;
    /// The names that are known.
    fn names(&self) -> Vec<String>;
}

/// The zones that flows may name. Each is read once.
pub struct Zones {
    data: Box<dyn ZoneData>,
    known: RefCell<BTreeMap<String, Zone>>,
}

impl Zones {
    /// Zones of this data.
    pub fn new(data: Box<dyn ZoneData>) -> Self {
        Self { data, known: RefCell::default() }
    }

    /// UTC and nothing else.
    pub fn utc_only() -> Self {
        struct Nothing;
        impl ZoneData for Nothing {
            fn read(&self, _: &str) -> Option<Vec<u8>> {
                None
            }
            fn names(&self) -> Vec<String> {
                Vec::new()
            }
        }
        Self::new(Box::new(Nothing))
    }

    /// The zone of this name, if it is known.
    pub fn get(&self, name: &str) -> Option<Zone> {
        if name == UTC {
            return Some(Zone::utc());
        }
        if let Some(zone) = self.known.borrow().get(name) {
            return Some(zone.clone());
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+');
        if name.is_empty() || name.len() > 64 || name.starts_with('/') || !name.bytes().all(is_name) {
            return None;
        }
        let zone = Zone::from_tzif(name, &self.data.read(name)?)?;
        self.known.borrow_mut().insert(name.to_owned(), zone.clone());
        Some(zone)
    }

    /// The zone that a flow names, UTC if it names none or one that is not known any more.
    pub fn get_or_utc(&self, name: Option<&str>) -> Zone {
        name.and_then(|name| self.get(name)).unwrap_or_else(Zone::utc)
    }

    /// The names that are known.
    pub fn names(&self) -> Vec<String> {
        self.data.names()
    }
}

impl fmt::Debug for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.borrow().keys()).finish()
    }
}

/// A time zone.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Reads TZif data; none if it is none.
    pub fn from_tzif(name: &str, data: &[u8]) -> Option<Self> {
        TimeZone::tzif(name, data).ok().map(Self)
    }

    /// What the clocks show at an instant.
    pub fn civil_s(&self, at: Wall) -> i64 {
        at.as_seconds().saturating_add(i64::from(self.0.to_offset(at.timestamp()).seconds()))
    }

    /// The first instant at which the clocks show this civil time or, where they skip it, a later one.
    pub fn first_instant(&self, civil_s: i64) -> Wall {
        let (before, after) = match self.offsets(civil_s) {
            AmbiguousOffset::Unambiguous { offset } => return instant(civil_s, offset),
            AmbiguousOffset::Fold { before, .. } => return instant(civil_s, before),
            AmbiguousOffset::Gap { before, after } => (before, after),
        };
        // The clocks jump between these two.
        let (earliest, latest) = (instant(civil_s, after), instant(civil_s, before));
        let transitions = self.0.following(earliest.timestamp()).take(TRANSITIONS_NEARBY_MAX);
        let jump = transitions.map(|transition| transition.timestamp());
        let jump = jump.into_iter().find(|at| self.0.to_offset(*at) == after);
        jump.map_or(latest, |at| Wall::from_seconds(at.as_second()).min(latest))
    }

    /// How many seconds the clocks skip around this civil time; 0 if they show it.
    pub fn skipped_s(&self, civil_s: i64) -> i64 {
        match self.offsets(civil_s) {
            AmbiguousOffset::Gap { before, after } => {
                i64::from(after.seconds()) - i64::from(before.seconds())
            }
            _ => 0,
        }
    }

    fn offsets(&self, civil_s: i64) -> AmbiguousOffset {
        let civil = Offset::UTC.to_datetime(Wall::from_seconds(civil_s).timestamp());
        self.0.to_ambiguous_timestamp(civil).offset()
    }
}

fn instant(civil_s: i64, offset: Offset) -> Wall {
    Wall::from_seconds(civil_s.saturating_sub(i64::from(offset.seconds())))
}

#[cfg(test)]
pub(crate) mod testing {
    //! Zones without files: TZif data made of a few transitions and a rule (RFC 9636).

    use super::{Zone, ZoneData, Zones};

    /// TZif data of version 2: transitions to the offset of that index, offsets in seconds, and what holds afterwards.
    pub(crate) fn tzif(transitions: &[(i64, u8)], offsets_s: &[i32], rule: &str) -> Vec<u8> {
        let header = |times: usize, types: usize| {
            let mut bytes = b"TZif2".to_vec();
            bytes.resize(20, 0);
            for count in [0, 0, 0, times, types, 4] {
                bytes.extend(u32::try_from(count).unwrap().to_be_bytes());
            }
            bytes
        };
        let types = |bytes: &mut Vec<u8>, offsets: &[i32]| {
            for offset in offsets {
                bytes.extend(offset.to_be_bytes());
                bytes.extend([0, 0]);
            }
            // The rule's name, as readers hold the last transition against it.
            bytes.extend(b"+14\0");
        };
        let mut bytes = header(0, 1);
        types(&mut bytes, &[0]);
        bytes.extend(header(transitions.len(), offsets_s.len()));
        bytes.extend(transitions.iter().flat_map(|(at, _)| at.to_be_bytes()));
        bytes.extend(transitions.iter().map(|(_, index)| *index));
        types(&mut bytes, offsets_s);
        bytes.extend(format!("\n{rule}\n").bytes());
        bytes
    }

    /// Some zones as they are in 2026, and Samoa's as it was in 2011, when it skipped the 30th of December.
    pub(crate) struct SomeZones;

    impl ZoneData for SomeZones {
        fn read(&self, name: &str) -> Option<Vec<u8>> {
            match name {
                "Europe/Berlin" => Some(tzif(&[], &[3600], "CET-1CEST,M3.5.0,M10.5.0/3")),
                "America/New_York" => Some(tzif(&[], &[-18_000], "EST5EDT,M3.2.0,M11.1.0")),
                "Australia/Lord_Howe" => Some(tzif(&[], &[37_800], "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0")),
                "Pacific/Apia" => Some(tzif(&[(1_325_239_200, 1)], &[-36_000, 50_400], "<+14>-14")),
                _ => None,
            }
        }
        fn names(&self) -> Vec<String> {
            ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]
                .map(str::to_owned)
                .into()
        }
    }

    pub(crate) fn zones() -> Zones {
        Zones::new(Box::new(SomeZones))
    }

    pub(crate) fn zone(name: &str) -> Zone {
        zones().get(name).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{zone, zones};
    use super::*;

    fn at(text: &str) -> Wall {
        Wall::parse_rfc3339(text).unwrap()
    }

    /// A civil time, written as if it were UTC.
    fn civil(text: &str) -> i64 {
        at(&format!("{text}Z")).as_seconds()
    }

    #[test]
    fn a_time_that_is_skipped_is_the_next_that_is_shown() {
        for (name, skipped, next) in [
            ("Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", "2026-03-29T02:00:00", "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", "2026-03-29T03:00:00", "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
            ("America/New_York", "2026-03-08T02:30:00", "2026-03-08T07:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-03T15:30:00Z"),
            ("Pacific/Apia", "2011-12-30T02:30:00", "2011-12-30T10:00:00Z"),
        ] {
            assert_eq!(zone(name).first_instant(civil(skipped)), at(next), "{name} {skipped}");
        }
        assert_eq!(zone("Pacific/Apia").skipped_s(civil("2011-12-30T12:00:00")), 86_400);
        assert_eq!(zone("Europe/Berlin").skipped_s(civil("2026-03-29T02:30:00")), 3600);
        assert_eq!(zone("Europe/Berlin").skipped_s(civil("2026-03-29T03:30:00")), 0);
    }

    #[test]
    fn a_time_that_comes_twice_is_the_first() {
        for (name, twice, first) in [
            ("Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
            ("America/New_York", "2026-11-01T01:30:00", "2026-11-01T05:30:00Z"),
            ("Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04T14:45:00Z"),
        ] {
            assert_eq!(zone(name).first_instant(civil(twice)), at(first), "{name} {twice}");
            assert_eq!(zone(name).civil_s(at(first)), civil(twice), "{name}");
        }
    }

    #[test]
    fn what_is_no_name_is_not_looked_for() {
        for wrong in ["", "/etc/passwd", "../UTC", "Europe/Berlin\n", &"a".repeat(65), "Europe/Nowhere"] {
            assert!(zones().get(wrong).is_none(), "{wrong}");
        }
        assert!(zones().get(UTC).is_some() && Zones::utc_only().get(UTC).is_some());
        assert!(Zone::from_tzif("x", b"TZif").is_none());
    }

    #[test]
    fn the_furthest_times_do_not_overflow() {
        for name in [UTC, "Europe/Berlin"] {
            for extreme in [i64::MIN, i64::MAX] {
                let _nearest = zone(name).first_instant(extreme);
                let _nearest = zone(name).civil_s(Wall::from_millis(extreme));
            }
        }
    }
}
