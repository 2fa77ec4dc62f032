//! Descriptors that the daemon inherited must not reach its children.

use std::os::fd::BorrowedFd;

/// Sets close-on-exec on every descriptor beyond the standard streams. Called once, before the first is opened here:
/// Rust, mio and SQLite set it on theirs.
pub(super) fn keep_from_children() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let inherited = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|descriptor| *descriptor > 2);
    for descriptor in inherited.collect::<Vec<_>>() {
        #[expect(unsafe_code, reason = "no safe call takes a descriptor by number")]
        // SAFETY: borrowed for one fcntl(2), which neither closes nor keeps it; on a number that is closed by now
        // (the folder's own) it fails with EBADF.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let _closed_by_now = rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC);
    }
}
