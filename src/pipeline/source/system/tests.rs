//! What one look at a machine yields: at machines whose files are known, at broken ones, and at this one.

mod boxes;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::pipeline::faults::FaultyFiles;
use crate::pipeline::files::{OpenFile, Stat, SystemFiles};
use boxes::{PC, RASPBERRY_PI};

const ALL: Room = Room { records: usize::MAX, bytes: usize::MAX };

/// A machine that is a folder, which is gone with the test.
struct Machine(PathBuf);

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("heartbeat-system-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let machine = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&machine.0).unwrap();
        for (path, text) in files {
            machine.write(path, text);
        }
        machine
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn look(&self, metrics: &[Metric]) -> (Vec<String>, Progress) {
        look_with(&self.0, metrics, &FaultyFiles::sound())
    }

    fn fields(&self, metrics: &[Metric]) -> Vec<String> {
        let (fields, progress) = self.look(metrics);
        assert_eq!(progress.warnings, [""; 0]);
        fields
    }

    /// What is yielded and warned of when one file of the PC is another, `ROOT` in place of the machine's folder.
    fn with(path: &str, text: impl AsRef<[u8]>, metric: Metric) -> (Vec<String>, Vec<String>) {
        let machine = Self::new(PC);
        machine.write(path, text);
        let (fields, progress) = machine.look(&[metric]);
        let root = machine.0.to_string_lossy().into_owned();
        let warnings = progress.warnings.iter().map(|warning| warning.replace(&root, "ROOT"));
        (fields, warnings.collect())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// The fields but `time`, as `name=value`.
fn look_with(root: &Path, metrics: &[Metric], files: &dyn Files) -> (Vec<String>, Progress) {
    let settings = flow::SystemSource { metrics: metrics.iter().copied().collect(), disk: "/".into() };
    let mut fields = Vec::new();
    let mut take = |yielded: Yielded<'_>, _: Place<'_>| {
        let Yielded::Record(record) = yielded else { panic!("a record is yielded") };
        fields.extend(record.fields.iter().map(|(name, value)| match value {
            Value::Integer(value) => format!("{name}={value}"),
            Value::Real(value) => format!("{name}={value:?}"),
            Value::Text(value) => format!("{name}={value}"),
            other => panic!("{other:?}"),
        }));
        Ok(())
    };
    let progress = SystemSource::below(root, &settings).read(&Json::Null, ALL, files, &mut take).unwrap();
    assert!(progress.is_end && progress.cursor.is_null());
    assert!(fields.remove(0).starts_with("time="));
    (fields, progress)
}

const BUT_DISK: [Metric; 5] =
    [Metric::Load, Metric::Memory, Metric::Temperature, Metric::Uptime, Metric::Network];

#[test]
fn a_pc_is_told_by_its_files() {
    let machine = Machine::new(PC);
    let expected = [
        "load_1m=1.96",
        "load_5m=1.44",
        "load_15m=1.41",
        "cpu_count=8",
        "memory_total_bytes=25276510208",
        "memory_available_bytes=24388603904",
        "swap_total_bytes=2147479552",
        "swap_free_bytes=2147328000",
        "temperature_celsius=51.5",
        "uptime_seconds=13216.98",
        "network_receive_bytes=1000155498390",
        "network_transmit_bytes=544143",
        "network_receive_errors=7",
        "network_transmit_errors=3",
        "network_receive_packets=8578",
        "network_transmit_packets=5085",
    ];
    assert_eq!(machine.fields(&BUT_DISK), expected);
}

#[test]
fn a_raspberry_pi_is_told_by_its_files() {
    let machine = Machine::new(RASPBERRY_PI);
    let expected = [
        "load_1m=0.08",
        "load_5m=0.03",
        "load_15m=0.01",
        "cpu_count=4",
        "memory_total_bytes=954171392",
        "memory_available_bytes=759066624",
        "swap_total_bytes=0",
        "swap_free_bytes=0",
        "temperature_celsius=48.312",
        "uptime_seconds=350735.47",
        "network_receive_bytes=89241173",
        "network_transmit_bytes=9117404",
        "network_receive_errors=0",
        "network_transmit_errors=0",
        "network_receive_packets=120933",
        "network_transmit_packets=61277",
    ];
    assert_eq!(machine.fields(&BUT_DISK), expected);
}

#[test]
fn a_record_has_the_time_in_milliseconds_and_what_was_asked_for() {
    let machine = Machine::new(PC);
    let files = FaultyFiles::sound();
    for (wall_ms, time) in [(1_795_645_780_000, "00.000Z"), (1_795_645_780_007, "00.007Z")] {
        files.wall_ms.set(wall_ms);
        let settings = flow::SystemSource { metrics: [Metric::Uptime].into(), disk: "/".into() };
        let mut yielded = Vec::new();
        let mut take = |record: Yielded<'_>, place: Place<'_>| {
            yielded.push((format!("{record:?}"), format!("{place:?}")));
            Ok(())
        };
        let mut source = SystemSource::below(&machine.0, &settings);
        let progress = source.read(&Json::Null, ALL, &files, &mut take).unwrap();
        assert_eq!(progress.bytes, "13216.98 6560.73\n".len() as u64);
        let [(record, place)] = yielded.as_slice() else { panic!("one record: {yielded:?}") };
        let time = format!("2026-11-25T22:30:{time}");
        let fields = format!(r#"[("time", Text("{time}")), ("uptime_seconds", Real(13216.98))]"#);
        assert!(record.contains(&fields), "{record}");
        assert!(place.contains("system") && place.contains(&time), "{place}");
    }
}

#[test]
fn what_a_machine_has_not_yields_no_field_and_no_warning() {
    let nothing = [""; 0];
    assert_eq!(Machine::new(&[]).fields(&BUT_DISK), nothing);
    let machine = Machine::new(&[
        ("proc/meminfo", "MemTotal: 125128 kB\nMemFree: 80288 kB\n"),
        ("sys/class/thermal/cooling_device0/temp", "20000"),
        ("sys/class/thermal/thermal_zone0/type", "its temp is missing"),
        ("sys/class/thermal/thermal_zone1/temp", "-274000\n"),
        ("sys/class/thermal/thermal_zone_x/temp", "20000\n"),
        ("proc/net/dev", "a | b | c\n a | b | c\n lo: 1 2 3 4 5 6 7 8 9 10 11\n"),
    ]);
    assert_eq!(machine.fields(&BUT_DISK), ["memory_total_bytes=128131072"]);
}

#[test]
fn the_hottest_sensor_counts_also_below_zero_and_behind_links() {
    let machine = Machine::new(&[
        ("sys/class/thermal/thermal_zone0/temp", "-12000\n"),
        ("sys/devices/virtual/zone/temp", "-7500\n"),
    ]);
    let link = machine.0.join("sys/class/thermal/thermal_zone10");
    std::os::unix::fs::symlink("../../devices/virtual/zone", link).unwrap();
    assert_eq!(machine.fields(&[Metric::Temperature]), ["temperature_celsius=-7.5"]);
}

#[test]
fn a_file_that_is_not_understood_is_a_warning_and_the_rest_counts() {
    let machine = Machine::new(PC);
    machine.write("proc/loadavg", "1.0 high 1.0");
    let (fields, progress) = machine.look(&[Metric::Load, Metric::Uptime]);
    assert_eq!(fields, ["cpu_count=8", "uptime_seconds=13216.98"]);
    assert_eq!(
        progress.warnings,
        [format!(
            "{} is not understood: three loads, such as 0.20 0.18 0.12 1/80 11206, would be right",
            machine.0.join("proc/loadavg").display()
        )]
    );
}

#[test]
fn no_text_makes_up_a_field() {
    let wrong: &[(&str, Metric, &[&str])] = &[
        ("proc/loadavg", Metric::Load, &["", "1 2", "nan 1 1", "1 inf 1", "1 1 -1", "1e999 1 1"]),
        (
            "sys/devices/system/cpu/online",
            Metric::Load,
            &["", "\n", "3-0", "0-", "-1", "a", "0,", "0-99999999999"],
        ),
        (
            "proc/meminfo",
            Metric::Memory,
            &[
                "",
                "\0",
                "MemTotal",
                "MemTotal: 1",
                "MemTotal: 1 MB",
                "MemTotal: kB",
                "MemTotal: -1 kB",
                "MemTotal: 1.5 kB",
                "MemTotal: 9007199254740993 kB",
                "MemTotal: 1 kB\nSwapFree: x kB",
            ],
        ),
        ("proc/uptime", Metric::Uptime, &["", "soon", "-1 2", "NaN 1"]),
        ("sys/class/thermal/thermal_zone1/temp", Metric::Temperature, &["", "warm", "51.5", "99999999999"]),
        (
            "proc/net/dev",
            Metric::Network,
            &[
                "",
                "lo: 1 2 3",
                "|a|\n|b|\nno colon",
                "|a|\n|b|\neth0: 1 2 3",
                "|a|\n|b|\neth0: 1 2 3 4 5 6 7 8 9 10",
                "|a|\n|b|\neth0: 1 2 3 4 5 6 7 8 9 10 -11",
                "|a|\n|b|\neth0: 18446744073709551615 2 3 4 5 6 7 8 9 10 11",
                "|a|\n|b|\nx: 9223372036854775807 2 3 4 5 6 7 8 9 10 11\ny: 1 2 3 4 5 6 7 8 9 10 11",
            ],
        ),
    ];
    for (path, metric, texts) in wrong {
        let of_others: &[&str] = match *path {
            "proc/loadavg" => &["cpu_count=8"],
            "sys/devices/system/cpu/online" => &["load_1m=1.96", "load_5m=1.44", "load_15m=1.41"],
            "sys/class/thermal/thermal_zone1/temp" => &["temperature_celsius=27.8"],
            _ => &[],
        };
        for text in *texts {
            let (fields, warnings) = Machine::with(path, text, *metric);
            assert_eq!(fields, of_others, "{path} {text:?}");
            let start = format!("ROOT/{path} is not understood: ");
            let [warning] = warnings.as_slice() else { panic!("{path} {text:?}: {warnings:?}") };
            assert!(warning.starts_with(&start) && warning.ends_with(" would be right"), "{warning}");
        }
    }
}

#[test]
fn a_huge_file_is_not_taken_in() {
    let line = "veth01234567: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
    let mut text = format!("|a|\n|b|\n{}", line.repeat(limits::SYSTEM_FILE_BYTES_MAX / line.len() - 1));
    let (fields, warnings) = Machine::with("proc/net/dev", &text, Metric::Network);
    assert_eq!((fields.len(), warnings.len()), (6, 0), "up to the limit it is");
    text.push_str(&line.repeat(2));
    let (fields, warnings) = Machine::with("proc/net/dev", &text, Metric::Network);
    assert_eq!(fields, [""; 0]);
    assert_eq!(warnings, ["ROOT/proc/net/dev is not understood: 262144 bytes at most would be right"]);
    let temp = "sys/class/thermal/thermal_zone1/temp";
    let (fields, warnings) = Machine::with(temp, [b'1'; 4096], Metric::Temperature);
    assert_eq!(fields, ["temperature_celsius=27.8"]);
    assert_eq!(warnings, [format!("ROOT/{temp} is not understood: 64 bytes at most would be right")]);
}

#[test]
fn sensors_beyond_the_limit_are_told_of() {
    let machine = Machine::new(&[]);
    for number in 0..=limits::THERMAL_ZONES_MAX {
        machine.write(&format!("sys/class/thermal/thermal_zone{number}/temp"), "20000\n");
    }
    let (fields, progress) = machine.look(&[Metric::Temperature]);
    assert_eq!(fields, ["temperature_celsius=20.0"]);
    let [warning] = progress.warnings.as_slice() else { panic!("{:?}", progress.warnings) };
    assert!(warning.ends_with("has 257 thermal zones, of which 256 are looked at"), "{warning}");
}

#[test]
fn what_is_no_regular_file_is_a_warning() {
    let machine = Machine::new(&[("proc/uptime/x", "a folder has its name")]);
    let (fields, progress) = machine.look(&[Metric::Uptime]);
    assert_eq!((fields.len(), progress.warnings.len()), (0, 1));
    assert!(progress.warnings[0].ends_with("cannot be read: it is not a regular file"));
}

/// The system's files, of which none can be read, and whose file systems hold so much.
#[derive(Debug)]
struct Unreadable(Errno, Space);

impl OpenFile for Unreadable {
    fn stat(&self) -> io::Result<Stat> {
        Err(self.0.into())
    }
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(self.0.into())
    }
    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Err(self.0.into())
    }
    fn cut(&mut self, _: u64) -> io::Result<()> {
        Err(self.0.into())
    }
    fn sync(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

impl Files for Unreadable {
    fn open(&self, _: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(Self(self.0, self.1)))
    }
    fn open_to_append(&self, _: &Path) -> io::Result<Box<dyn OpenFile>> {
        Err(self.0.into())
    }
    fn stat(&self, _: &Path) -> io::Result<Stat> {
        Err(self.0.into())
    }
    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Err(self.0.into())
    }
    fn list_folders(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec![folder.join("thermal_zone0")])
    }
    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(self.1)
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(self.0.into())
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(self.0.into())
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Err(self.0.into())
    }
    fn boot_id(&self) -> &str {
        ""
    }
    fn wall_ms(&self) -> i64 {
        0
    }
}

const NO_SPACE: Space = Space { size_bytes: 0, available_bytes: 0, files: 0, files_free: 0 };

#[test]
fn a_sensor_that_is_off_is_none_and_what_fails_is_a_warning() {
    for errno in [Errno::NODATA, Errno::NODEV, Errno::AGAIN, Errno::INVAL] {
        let (fields, progress) =
            look_with(Path::new("/"), &[Metric::Temperature], &Unreadable(errno, NO_SPACE));
        assert_eq!((fields.len(), progress.warnings), (0, Vec::new()), "{errno}");
    }
    let (_, progress) = look_with(Path::new("/"), &BUT_DISK, &Unreadable(Errno::IO, NO_SPACE));
    assert_eq!(progress.warnings.len(), 6, "{:?}", progress.warnings);
    let start = "/proc/loadavg cannot be read: ";
    assert!(progress.warnings[0].starts_with(start), "{:?}", progress.warnings);
}

#[test]
fn a_file_system_without_a_size_or_a_number_of_files_yields_no_field_of_it() {
    let look = |space| look_with(Path::new("/"), &[Metric::Disk], &Unreadable(Errno::IO, space)).0;
    assert_eq!(look(NO_SPACE), [""; 0]);
    let btrfs = Space { size_bytes: 4096, ..NO_SPACE };
    assert_eq!(look(btrfs), ["disk_size_bytes=4096", "disk_available_bytes=0"]);
    let full = Space { size_bytes: u64::MAX, available_bytes: 5, files: 10, files_free: 0 };
    assert_eq!(look(full), ["disk_available_bytes=5", "disk_files=10", "disk_files_free=0"]);
}

#[test]
fn a_path_without_a_file_system_is_a_warning() {
    let machine = Machine::new(&[]);
    let settings = flow::SystemSource { metrics: [Metric::Disk].into(), disk: "/mnt/dta".into() };
    let mut source = SystemSource::below(&machine.0, &settings);
    let mut take = |_: Yielded<'_>, _: Place<'_>| Ok(());
    let progress = source.read(&Json::Null, ALL, &FaultyFiles::sound(), &mut take).unwrap();
    let path = machine.0.join("mnt/dta");
    let [warning] = progress.warnings.as_slice() else { panic!("{:?}", progress.warnings) };
    assert!(warning.starts_with(&format!("the space at {} cannot be told: ", path.display())), "{warning}");
}

#[test]
fn this_machine_tells_what_every_linux_has() {
    let (fields, progress) = look_with(Path::new("/"), &Metric::ALL, &SystemFiles::default());
    let value = |name: &str| {
        let found = fields.iter().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        found.map_or_else(|| panic!("{name} in {fields:?}"), |value| value.parse::<f64>().unwrap())
    };
    assert!(value("load_1m") >= 0.0 && value("uptime_seconds") > 0.0);
    let (total, available) = (value("memory_total_bytes"), value("memory_available_bytes"));
    assert!(total > available && available > 0.0, "{fields:?}");
    assert!(value("disk_size_bytes") >= value("disk_available_bytes"), "{fields:?}");
    // What a driver makes of its sensor is not ours to say.
    let of_others = progress.warnings.iter().find(|warning| !warning.contains("thermal"));
    assert_eq!(of_others, None);
    assert!(progress.bytes > 0);
}

#[test]
fn no_cursor_but_null_is_right() {
    let mut source = SystemSource::new(&flow::SystemSource::default());
    assert!(source.is_whole());
    assert_eq!(source.check_cursor(&Json::Null), Ok(()));
    let wrong = serde_json::json!({ "files": [] });
    let said = source.check_cursor(&wrong).unwrap_err();
    assert!(said.contains("is null") && said.contains("--reset"), "{said}");
    let mut take = |_: Yielded<'_>, _: Place<'_>| panic!("nothing is yielded");
    let failure = source.read(&wrong, ALL, &FaultyFiles::sound(), &mut take).unwrap_err();
    assert_eq!((failure.kind, failure.message), (flow::ErrorKind::Source, said));
    let none = Room { records: 0, bytes: 1 };
    let progress = source.read(&Json::Null, none, &FaultyFiles::sound(), &mut take).unwrap();
    assert!(!progress.is_end, "no room is no end");
}
