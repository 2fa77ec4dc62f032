//! Time zones without files, so that an input means the same on every machine: TZif data made of a few transitions and
//! a rule (RFC 9636).

use heartbeat_runtime::time::{ZoneData, Zones};

/// Zones as they are in 2026, and Samoa's as it was in 2011, when it skipped the 30th of December.
pub(super) const NAMES: [&str; 4] =
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"];

struct SomeZones;

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
        NAMES.map(str::to_owned).into()
    }
}

/// These zones.
pub(super) fn zones() -> Zones {
    Zones::new(Box::new(SomeZones))
}

/// TZif data of version 2: transitions to the offset of that index, offsets in seconds, and what holds afterwards.
fn tzif(transitions: &[(i64, u8)], offsets_s: &[i32], rule: &str) -> Vec<u8> {
    let header = |times: usize, types: usize| {
        let mut bytes = b"TZif2".to_vec();
        bytes.resize(20, 0);
        for count in [0, 0, 0, times, types, 4] {
            bytes.extend(u32::try_from(count).expect("a few").to_be_bytes());
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
