//! Users by name, for what an operator is told.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The name of a user; none where `/etc/passwd` has none.
pub fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut names = passwd.lines().filter_map(|line| {
        let mut parts = line.split(':');
        let (name, number) = (parts.next()?, parts.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    names.next()
}

/// How a command is run as the owner of a file, as far as that is another user: `sudo -u upload heartbeatd …`.
pub fn as_owner(path: &Path) -> Option<String> {
    let owner = fs::metadata(path).ok()?.uid();
    match owner {
        0 => Some("sudo heartbeatd …".to_owned()),
        _ if owner == rustix::process::geteuid().as_raw() => None,
        _ => {
            let user = user_name(owner).unwrap_or_else(|| format!("'#{owner}'"));
            Some(format!("sudo -u {user} heartbeatd …"))
        }
    }
}

/// What to do about a file that is closed to this user.
pub fn help_of_denial(path: &Path) -> String {
    match as_owner(path) {
        Some(command) => {
            format!("run this as its owner: `{command}`; or give it to the daemon's user (chown)")
        }
        None => "let the user that runs heartbeatd have it and its folder (chown, chmod)".to_owned(),
    }
}
