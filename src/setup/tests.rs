//! Files and folders as an operator leaves them: missing, open to all, half written, too large.

use super::*;
use crate::flow::Kinds;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("heartbeatd-setup-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const FLOW: &str = "run_interval = 60\ncommand.argv = ['true']\n";

#[test]
fn a_secret_file_is_read_only_if_no_one_else_can() {
    let folder = Folder::new();
    let secret = folder.write("secret", "whsec_x\n", 0o600);
    assert_eq!(read_private_file(&secret).unwrap().as_str(), "whsec_x\n");
    for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        let fault = read_private_file(&secret).unwrap_err();
        assert_eq!(fault.help, format!("chmod 600 {}", secret.display()));
        assert!(fault.message.contains(&format!("{mode:04o}")));
    }
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(read_private_file(&secret).is_ok());
}

#[test]
fn a_secret_file_that_is_none_is_a_fault_of_its_own() {
    let folder = Folder::new();
    let fifo = folder.0.join("fifo");
    let made = std::process::Command::new("mkfifo").arg("-m").arg("600").arg(&fifo).status();
    assert!(made.unwrap().success());
    for (path, expected) in [
        (folder.0.join("none"), "does not exist"),
        (folder.0.clone(), "is a folder"),
        (fifo, "is not a regular file"),
        (folder.write("empty", " \n", 0o600), "the file is empty"),
        (
            folder.write("large", vec![b'x'; limits::SECRET_FILE_BYTES_MAX + 1], 0o600),
            "the file is larger than 64 KiB",
        ),
        (folder.write("binary", b"a\n\xff\n", 0o600), "is not UTF-8 text"),
    ] {
        let fault = read_private_file(&path).unwrap_err();
        assert_eq!(fault.message, expected);
        assert!(!fault.help.is_empty());
    }
    let full = folder.write("full", vec![b'x'; limits::SECRET_FILE_BYTES_MAX], 0o600);
    assert_eq!(read_private_file(&full).unwrap().len(), limits::SECRET_FILE_BYTES_MAX);
}

#[test]
fn a_configuration_has_absolute_paths_and_faults_name_it_as_given() {
    let folder = Folder::new();
    let path = folder.write("heartbeatd.toml", "database = 'data/h.db'\n", 0o644);
    let loaded = read_config(&path, &[]).unwrap();
    assert_eq!((loaded.directory.as_path(), loaded.path.as_path()), (folder.0.as_path(), path.as_path()));
    assert_eq!(loaded.config.database, folder.0.join("data/h.db"));
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let relative = PathBuf::from(format!("{up}{}", path.strip_prefix("/").unwrap().display()));
    assert!(read_config(&relative, &[]).unwrap().config.database.is_absolute());
    folder.write("heartbeatd.toml", "databse = 1\n", 0o644);
    let faults = read_config(&relative, &[]).unwrap_err();
    assert!(faults.iter().all(|fault| fault.file == relative && fault.line == Some(1)), "{faults}");
    folder.write("heartbeatd.toml", b"a = 1\nb = '\xff'\n", 0o644);
    assert!(read_config(&path, &[]).unwrap_err().iter().all(|fault| fault.line == Some(2)));
    assert!(
        read_config(&folder.0.join("none.toml"), &[]).unwrap_err().to_string().contains("heartbeatd init")
    );
}

#[test]
fn the_configuration_file_is_the_one_named_first() {
    let environment = [("HEARTBEATD_CONFIG".to_owned(), "/b".to_owned())];
    assert_eq!(config_path(Some(Path::new("/a")), &environment), Ok(PathBuf::from("/a")));
    assert_eq!(config_path(None, &environment), Ok(PathBuf::from("/b")));
    if let Err(fault) = config_path(None, &[]) {
        assert!(fault.help.contains("heartbeatd init"));
    }
}

#[test]
fn in_a_folder_that_is_closed_to_this_user_the_configuration_of_the_system_is_meant() {
    let closed = || Err(io::ErrorKind::PermissionDenied.into());
    let broken = || Err(io::Error::other("the disk"));
    assert_eq!(found(&[Ok(true), Ok(true)]), Some(LOCAL_CONFIG_PATH));
    assert_eq!(found(&[Ok(false), Ok(true)]), Some(SYSTEM_CONFIG_PATH));
    assert_eq!(found(&[closed(), Ok(true)]), Some(SYSTEM_CONFIG_PATH));
    // Reading what is taken says why it cannot be had.
    assert_eq!(found(&[closed(), Ok(false)]), Some(LOCAL_CONFIG_PATH));
    assert_eq!(found(&[broken(), Ok(true)]), Some(LOCAL_CONFIG_PATH));
    assert_eq!(found(&[Ok(false), broken()]), Some(SYSTEM_CONFIG_PATH));
    assert_eq!(found(&[Ok(false), Ok(false)]), None);
}

#[test]
fn variables_that_are_not_utf8_are_faults_if_they_are_ours() {
    let broken = || OsString::from_vec(vec![0xff]);
    let pair = |name: &str, value: OsString| (OsString::from(name), value);
    let own = own_variables([pair("PATH", broken()), pair("HEARTBEATD_X", "1".into())].into_iter());
    assert_eq!(own, Ok(vec![("HEARTBEATD_X".to_owned(), "1".to_owned())]));
    let faults = own_variables([pair("HEARTBEATD_X", broken())].into_iter()).unwrap_err();
    assert_eq!(
        faults.to_string().lines().next(),
        Some("error: environment: HEARTBEATD_X: its value is not UTF-8")
    );
}

fn flows(folder: &Folder) -> FlowFiles {
    let config = Config::defaults(&folder.0);
    read_flows(&config, &folder.0, &Kinds::default(), &system_zones())
}

#[test]
fn each_flow_file_is_judged_alone() {
    let folder = Folder::new();
    folder.write("flows/b.toml", FLOW, 0o644);
    folder.write("flows/a.toml", FLOW, 0o644);
    folder.write("flows/half.toml", "name = 'halved'\nrun_interv", 0o644);
    folder.write("flows/binary.toml", b"\xff", 0o644);
    folder.write("flows/c.toml", format!("name = 'a'\n{FLOW}"), 0o644);
    folder.write("flows/z.toml", format!("name = 'halved'\n{FLOW}"), 0o644);
    folder.write("flows/.hidden.toml", "x", 0o644);
    folder.write("flows/readme.txt", "x", 0o644);
    folder.write("flows/sub/d.toml", FLOW, 0o644);
    fs::create_dir(folder.0.join("flows/folder.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.0.join("flows/link.toml")).unwrap();
    let flows = flows(&folder);
    let names: Vec<&str> = flows.definitions.iter().map(|(_, flow)| flow.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let bad = flows.faults.iter().map(|bad| {
        let file = bad.file.file_name().unwrap().to_str().unwrap();
        (file, bad.flow.as_ref().map_or("", crate::flow::FlowName::as_str))
    });
    let expected = [
        ("binary.toml", "binary"),
        ("c.toml", "a"),
        ("half.toml", "halved"),
        ("link.toml", "link"),
        ("z.toml", "halved"),
    ];
    assert_eq!(bad.collect::<Vec<_>>(), expected);
    assert!(flows.faults.iter().all(|bad| !bad.faults.is_empty()));
}

#[test]
fn a_missing_flows_folder_is_a_fault_of_its_own() {
    let folder = Folder::new();
    let flows = flows(&folder);
    assert_eq!(flows.definitions, []);
    let [bad] = flows.faults.as_slice() else { panic!("{:?}", flows.faults) };
    assert_eq!((&bad.flow, &bad.file), (&None, &folder.0.join("flows")));
}
