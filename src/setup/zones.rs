//! The system's time zone data.

use std::fs;
use std::path::{Path, PathBuf};

use super::files;
use crate::limits;
use crate::sorted::sort_by;
use crate::time::{ZoneData, Zones};

/// Where systems keep it.
const FOLDERS: [&str; 3] = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];

/// The zones that this system knows.
pub fn system_zones() -> Zones {
    Zones::new(Box::new(SystemZones))
}

struct SystemZones;

impl ZoneData for SystemZones {
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let read = |folder| files::read_bytes(&Path::new(folder).join(name), limits::ZONE_BYTES_MAX);
        FOLDERS.into_iter().find_map(read)
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for folder in FOLDERS {
            list(Path::new(folder), &mut names);
        }
        sort_by(&mut names, Ord::cmp);
        names.dedup();
        names
    }
}

/// Zones and their regions begin with a capital; what else lies there does not.
fn list(folder: &Path, names: &mut Vec<String>) {
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(current).into_iter().flatten().flatten() {
            let is_zone =
                entry.file_name().to_string_lossy().starts_with(|first: char| first.is_ascii_uppercase());
            let path = entry.path();
            if is_zone && path.is_dir() && names.len() < limits::ZONES_MAX {
                folders.push(path);
            } else if is_zone && let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str) {
                names.push(name.to_owned());
            }
        }
    }
}
