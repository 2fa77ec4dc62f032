//! Users of the system that a command may run as: those of `/etc/passwd` (passwd(5)).

use std::fs::File;
use std::io::Read;

use crate::limits;

const PASSWD: &str = "/etc/passwd";

/// A user and its own group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Finds a user by name or number.
///
/// # Errors
/// A sentence: this process may not change users, or there is no such one.
pub(super) fn find(wanted: &str) -> Result<User, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("[command] user needs a daemon that runs as root: remove it, or run heartbeatd as root"
            .to_owned());
    }
    let mut text = Vec::new();
    File::open(PASSWD)
        .and_then(|file| file.take(limits::PASSWD_BYTES_MAX).read_to_end(&mut text))
        .map_err(|error| format!("[command] user: cannot read {PASSWD}: {error}"))?;
    find_in(&String::from_utf8_lossy(&text), wanted)
        .ok_or_else(|| format!("[command] user: there is no `{}` in {PASSWD}", wanted.escape_debug()))
}

fn find_in(passwd: &str, wanted: &str) -> Option<User> {
    let users = || {
        passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
            Some((name, uid, User { uid: uid.parse().ok()?, gid: gid.parse().ok()? }))
        })
    };
    let by_name = users().find(|(name, _, _)| *name == wanted);
    by_name.or_else(|| users().find(|(_, uid, _)| *uid == wanted)).map(|(_, _, user)| user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_or_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# no user\nbad:x:y:z\nupload:x:900:901::/:/bin/false\n0:x:5:6::/:\n";
        assert_eq!(find_in(passwd, "upload"), Some(User { uid: 900, gid: 901 }));
        assert_eq!(find_in(passwd, "900"), Some(User { uid: 900, gid: 901 }));
        assert_eq!(find_in(passwd, "0"), Some(User { uid: 5, gid: 6 }), "a name goes first");
        assert_eq!(find_in(passwd, "bad"), None);
        assert_eq!(find_in(passwd, ""), None);
    }
}
