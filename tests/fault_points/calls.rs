//! Which system calls are made to fail, and how; and at which the daemon is killed: at each.

/// A kind of call, as strace(1) names it, and the ways in which it may fail.
pub(crate) struct Kind {
    pub(crate) call: &'static str,
    pub(crate) failures: &'static [&'static str],
}

const fn kind(call: &'static str, failures: &'static [&'static str]) -> Kind {
    Kind { call, failures }
}

/// `retval=0` is a write that took nothing: a short one, as far as it can be had without lying about what was written.
/// Nothing here is what no kernel does: a wait that never ends, a read that invents bytes.
pub(crate) const KINDS: &[Kind] = &[
    kind("openat", &["EMFILE", "ENFILE", "EACCES", "EIO", "ENOSPC", "EROFS", "ENOMEM"]),
    kind("read", &["EIO", "EINTR"]),
    kind("pread64", &["EIO", "EINTR"]),
    kind("write", &["EIO", "ENOSPC", "EDQUOT", "EINTR", "EPIPE", "retval=0"]),
    kind("pwrite64", &["EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR", "retval=0"]),
    kind("fsync", &["EIO", "ENOSPC"]),
    kind("fdatasync", &["EIO", "ENOSPC"]),
    kind("ftruncate", &["EIO", "EROFS"]),
    kind("newfstatat", &["EIO", "EACCES"]),
    kind("statx", &["EIO", "EACCES"]),
    kind("statfs", &["EIO", "EACCES"]),
    kind("access", &["EIO", "EACCES"]),
    kind("readlink", &["EIO", "EACCES"]),
    kind("getdents64", &["EIO"]),
    kind("lseek", &["EIO"]),
    kind("unlink", &["EIO", "EACCES", "EROFS"]),
    kind("unlinkat", &["EIO", "EACCES", "EROFS"]),
    kind("rename", &["EIO", "EACCES", "ENOSPC"]),
    kind("mkdir", &["EACCES", "ENOSPC"]),
    kind("chmod", &["EPERM", "EROFS"]),
    kind("fchmod", &["EPERM", "EROFS"]),
    kind("fchown", &["EPERM", "EROFS"]),
    kind("fcntl", &["ENOLCK", "EIO", "EINTR", "EAGAIN"]),
    kind("flock", &["EAGAIN", "ENOLCK", "EINTR"]),
    kind("mmap", &["ENOMEM"]),
    kind("getrandom", &["EINTR", "ENOSYS"]),
    kind("socket", &["EMFILE", "ENFILE", "ENOBUFS", "EAFNOSUPPORT"]),
    kind("socketpair", &["EMFILE"]),
    kind("bind", &["EADDRINUSE", "EADDRNOTAVAIL", "EACCES"]),
    kind("listen", &["EADDRINUSE"]),
    kind("getsockname", &["ENOBUFS"]),
    kind("setsockopt", &["ENOMEM"]),
    kind("accept4", &["EMFILE", "ENFILE", "ENOMEM", "ECONNABORTED", "EINTR"]),
    kind("connect", &["ECONNREFUSED", "EADDRNOTAVAIL", "ENETUNREACH"]),
    kind("recvfrom", &["ECONNRESET", "EINTR", "ENOMEM"]),
    kind("sendto", &["EPIPE", "ECONNRESET", "EINTR", "ENOBUFS"]),
    kind("epoll_create1", &["EMFILE", "ENOMEM"]),
    kind("epoll_ctl", &["ENOMEM", "ENOSPC"]),
    kind("epoll_wait", &["EINTR"]),
    kind("poll", &["EINTR", "ENOMEM"]),
    kind("eventfd2", &["EMFILE"]),
    kind("pipe2", &["EMFILE", "ENFILE"]),
    kind("memfd_create", &["EMFILE", "ENOSYS", "ENOMEM"]),
    kind("pidfd_open", &["EMFILE", "ENOSYS", "ENOMEM"]),
    kind("clone3", &["EAGAIN", "ENOMEM", "ENOSYS"]),
    kind("clone", &["EAGAIN", "ENOMEM"]),
    kind("vfork", &["EAGAIN", "ENOMEM"]),
    kind("waitid", &["EINTR"]),
    kind("kill", &["EPERM"]),
    kind("pidfd_send_signal", &["EPERM", "ENOSYS"]),
    kind("prlimit64", &["EPERM"]),
    kind("prctl", &["EPERM"]),
];

/// In place of a failure: the daemon is killed as it makes the call.
const KILL: &str = "signal=KILL";
/// Failures that pass with the one call that they hit: that all calls meet them from then on is not in the world.
const PASSING: &[&str] = &["EINTR", "ECONNABORTED", "retval=0", KILL];
/// What fails with one call alone, however it fails: of these only some can.
const ALONE: &[&str] = &["fcntl"];

/// One call that is to fail, or it and all that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) scene: &'static str,
    pub(crate) call: &'static str,
    pub(crate) failure: &'static str,
    /// The how manieth of its kind, from 1 on.
    pub(crate) at: usize,
    pub(crate) from_then_on: bool,
}

impl Point {
    pub(crate) fn kills(&self) -> bool {
        self.failure == KILL
    }

    /// Of the points at a call, those that are alike but for the error.
    pub(crate) fn how(&self) -> (bool, bool) {
        (self.from_then_on, self.kills())
    }

    /// As strace(1) wants it.
    pub(crate) fn injection(&self) -> String {
        let how = if self.failure.contains('=') { "" } else { "error=" };
        let on = if self.from_then_on { "+" } else { "" };
        format!("inject={}:{how}{}:when={}{on}", self.call, self.failure, self.at)
    }
}

/// By this name a point can be asked for.
impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let on = if self.from_then_on { "+" } else { "" };
        write!(f, "{}:{}:{}:{}{on}", self.scene, self.call, self.failure, self.at)
    }
}

/// Whether the call that a line of strace's tells of may fail so. Of fcntl(2) locks can be refused, and nothing else. What a
/// signal handler sends to its own process, whose other end is open, does not fail but for want of room.
pub(crate) fn may_fail(line: &str) -> bool {
    let is_lock = line.contains("F_SETLK") && !line.contains("F_UNLCK");
    let wakes_itself = line.contains("sendto(") && line.contains(", \"X\", 1, ");
    (is_lock || !line.contains("fcntl(")) && !wakes_itself
}

/// Every point at these calls of a kind.
pub(crate) fn points_at(scene: &'static str, kind: &'static Kind, calls: &[usize]) -> Vec<Point> {
    let mut points = Vec::new();
    for &at in calls {
        for &failure in kind.failures.iter().chain(&[KILL]) {
            let point = Point { scene, call: kind.call, failure, at, from_then_on: false };
            if !PASSING.contains(&failure) && !ALONE.contains(&kind.call) {
                points.push(Point { from_then_on: true, ..point.clone() });
            }
            points.push(point);
        }
    }
    points
}
