//! The `system` source: one look at the machine a run, which yields one record.
//!
//! A metric that the machine has not yields no field: neither zero nor a failure. What is there and cannot be understood
//! is told of as a warning, and the rest counts.

mod kernel;

use rustix::io::Errno;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use super::{Progress, Room, Source, Take};
use crate::flow::{self, Metric};
use crate::limits;
use crate::pipeline::files::{Files, Space, read_up_to};
use crate::pipeline::record::{At, Place, Record, Value, Yielded};
use crate::pipeline::{Failure, Result};
use crate::sorted::sort_by;
use crate::time::Wall;
use kernel::{Fields, Read};

/// The machine.
#[derive(Debug)]
pub(in crate::pipeline) struct SystemSource {
    settings: flow::SystemSource,
    /// The folder that holds `proc` and `sys`.
    root: PathBuf,
}

impl SystemSource {
    pub(in crate::pipeline) fn new(settings: &flow::SystemSource) -> Self {
        Self::below(Path::new("/"), settings)
    }

    fn below(root: &Path, settings: &flow::SystemSource) -> Self {
        Self { settings: settings.clone(), root: root.to_owned() }
    }
}

/// A look at the machine, and what it has told so far.
struct Look<'l> {
    root: &'l Path,
    files: &'l dyn Files,
    fields: Fields,
    bytes: u64,
    warnings: Vec<String>,
}

impl Look<'_> {
    fn take(&mut self, metric: Metric, disk: &Path) {
        match metric {
            Metric::Load => {
                self.take_file("proc/loadavg", kernel::load);
                self.take_file("sys/devices/system/cpu/online", kernel::processors);
            }
            Metric::Memory => self.take_file("proc/meminfo", kernel::memory),
            Metric::Disk => self.take_space(disk),
            Metric::Temperature => self.take_temperature(),
            Metric::Uptime => self.take_file("proc/uptime", kernel::uptime),
            Metric::Network => self.take_file("proc/net/dev", kernel::network),
        }
    }

    fn take_file(&mut self, name: &str, read: Read) {
        let path = self.root.join(name);
        let Some(text) = self.text(&path, limits::SYSTEM_FILE_BYTES_MAX, &[]) else { return };
        match read(&text) {
            Ok(fields) => self.fields.extend(fields),
            Err(right) => self.warn_of(&path, right),
        }
    }

    /// A path that its author gave and that is missing is a slip, not a machine without disks.
    fn take_space(&mut self, disk: &Path) {
        let path = self.root.join(disk.strip_prefix("/").unwrap_or(disk));
        match self.files.space(&path) {
            Ok(space) => self.fields.extend(fields_of_space(space)),
            Err(error) => {
                self.warnings.push(format!("the space at {} cannot be told: {error}", path.display()));
            }
        }
    }

    fn take_temperature(&mut self) {
        let folder = self.root.join("sys/class/thermal");
        let mut zones = match self.files.list_folders(&folder) {
            Ok(folders) => folders,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.warn_of_error(&folder, &error),
        };
        zones.retain(|zone| is_thermal_zone(zone));
        sort_by(&mut zones, Ord::cmp);
        let count = zones.len();
        if count > limits::THERMAL_ZONES_MAX {
            zones.truncate(limits::THERMAL_ZONES_MAX);
            let looked_at = zones.len();
            self.warnings.push(format!(
                "{} has {count} thermal zones, of which {looked_at} are looked at",
                folder.display()
            ));
        }
        let hottest = zones.iter().filter_map(|zone| self.millidegrees(&zone.join("temp"))).max();
        let degrees = hottest.map(|millidegrees| f64::from(millidegrees) / 1000.0);
        self.fields.extend(degrees.map(|degrees| ("temperature_celsius", Value::Real(degrees))));
    }

    fn millidegrees(&mut self, path: &Path) -> Option<i32> {
        // What drivers answer whose sensor is switched off or not ready.
        let none = [Errno::NODATA, Errno::NODEV, Errno::AGAIN, Errno::INVAL];
        let text = self.text(path, limits::SENSOR_BYTES_MAX, &none)?;
        kernel::millidegrees(&text).unwrap_or_else(|right| {
            self.warn_of(path, right);
            None
        })
    }

    /// A file's text, if there is such a file; these errors mean that there is none.
    fn text(&mut self, path: &Path, bytes_max: usize, none: &[Errno]) -> Option<String> {
        let read = self.files.open(path).and_then(|file| read_up_to(&*file, 0, bytes_max + 1));
        match read {
            Ok(bytes) if bytes.len() > bytes_max => {
                self.warn_of(path, &format!("{bytes_max} bytes at most would be right"));
                None
            }
            Ok(bytes) => {
                self.bytes += bytes.len() as u64;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if Errno::from_io_error(&error).is_some_and(|errno| none.contains(&errno)) => None,
            Err(error) => {
                self.warn_of_error(path, &error);
                None
            }
        }
    }

    fn warn_of(&mut self, path: &Path, right: &str) {
        self.warnings.push(format!("{} is not understood: {right}", path.display()));
    }

    fn warn_of_error(&mut self, path: &Path, error: &io::Error) {
        self.warnings.push(format!("{} cannot be read: {error}", path.display()));
    }
}

/// `thermal_zone0`, and no cooling device.
fn is_thermal_zone(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix("thermal_zone").is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Some file systems set no number of files, and some have no size.
fn fields_of_space(space: Space) -> Fields {
    let mut fields = Fields::new();
    let mut push = |name, count| {
        // More than 64 bits with a sign hold is what the kernel says where there is no bound.
        fields.extend(i64::try_from(count).ok().map(|count| (name, Value::Integer(count))));
    };
    if space.size_bytes > 0 {
        push("disk_size_bytes", space.size_bytes);
        push("disk_available_bytes", space.available_bytes);
    }
    if space.files > 0 {
        push("disk_files", space.files);
        push("disk_files_free", space.files_free);
    }
    fields
}

impl Source for SystemSource {
    fn read(
        &mut self,
        cursor: &Json,
        room: Room,
        files: &dyn Files,
        take: &mut Take<'_>,
    ) -> Result<Progress> {
        self.check_cursor(cursor).map_err(Failure::source)?;
        if room.records == 0 {
            return Ok(Progress::default());
        }
        let time = Value::Text(Cow::Owned(Wall::from_millis(files.wall_ms()).rfc3339_millis()));
        let mut look =
            Look { root: &self.root, files, fields: Fields::new(), bytes: 0, warnings: Vec::new() };
        look.fields.push(("time", time.clone()));
        for metric in &self.settings.metrics {
            look.take(*metric, &self.settings.disk);
        }
        let fields = look.fields.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        let place = Place { path: "system", at: At::Cursor(&time) };
        take(Yielded::Record(Record { fields, json: None }), place)?;
        Ok(Progress {
            cursor: Json::Null,
            bytes: look.bytes,
            is_end: true,
            warnings: look.warnings,
            needs: None,
        })
    }

    fn check_cursor(&self, cursor: &Json) -> Result<(), String> {
        if cursor.is_null() {
            return Ok(());
        }
        let right = "a cursor of a system source is null, for each run looks anew: heartbeatd flow cursor NAME --reset \
                     makes it so";
        Err(right.to_owned())
    }

    fn is_whole(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
