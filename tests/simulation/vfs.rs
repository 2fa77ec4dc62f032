//! A shim over SQLite's own files, which knows what of them is durable: everything goes on to the real file beneath, and
//! what is done in a folder with a [`Supply`] is told to its [`Medium`] as well. When the power is cut, files that are open
//! reach the disk no more, and the folder becomes what a real disk might show.
//!
//! It is the default of this process from the first supply on, so that the program's own code goes through it unchanged.
//! Syncs are not passed on: the power of the test's own machine stays.
#![expect(unsafe_code, reason = "SQLite calls a VFS by pointers to functions of C")]

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use rusqlite::ffi;

use super::supply::{Deed, Side};

/// The folders with a supply of their own.
static SIDES: Mutex<BTreeMap<PathBuf, Arc<Mutex<Side>>>> = Mutex::new(BTreeMap::new());
static REGISTERED: Once = Once::new();

const NAME: &CStr = c"power";
/// With shared memory, and without files in memory (which the program does without).
const METHODS_VERSION: c_int = 2;
/// What is told of: the rest are files of a moment.
const TOLD_OF: c_int = ffi::SQLITE_OPEN_MAIN_DB
    | ffi::SQLITE_OPEN_MAIN_JOURNAL
    | ffi::SQLITE_OPEN_WAL
    | ffi::SQLITE_OPEN_SUPER_JOURNAL;
/// SQLite's own VFS makes the names of these durable with their first sync, and never that of a database.
const SYNCED_WITH_ITS_FOLDER: c_int =
    ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;

/// What is done in this folder is told to this side from now on.
pub(super) fn watch(folder: &Path, side: Arc<Mutex<Side>>) {
    REGISTERED.call_once(register);
    sides().insert(folder.to_owned(), side);
}

pub(super) fn unwatch(folder: &Path) {
    sides().remove(folder);
}

fn sides() -> MutexGuard<'static, BTreeMap<PathBuf, Arc<Mutex<Side>>>> {
    SIDES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn side_of(path: &Path) -> Option<Arc<Mutex<Side>>> {
    sides().get(path.parent()?).cloned()
}

/// Our file: what SQLite looks at, what we know, and behind it the real one.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    told: *mut Told,
}

/// A file that is told of.
struct Told {
    side: Arc<Mutex<Side>>,
    inode: u64,
    /// The power under which it was opened.
    life: u64,
    /// Whether its folder is synced with it, as it was just made.
    folder_is_due: Option<PathBuf>,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: METHODS_VERSION,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

fn register() {
    // SAFETY: the VFS that is found lives as long as the process, and so does the copy of it, which is leaked. The copy has
    // its own name and file size and two functions of ours; the others are given the copy as theirs, and find in it what
    // they look for, as all of it was copied.
    unsafe {
        let real = ffi::sqlite3_vfs_find(std::ptr::null());
        let mut ours = *real;
        ours.pNext = std::ptr::null_mut();
        ours.zName = NAME.as_ptr();
        ours.szOsFile += c_int::try_from(size_of::<File>()).unwrap_or(c_int::MAX);
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        let registered = ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1);
        assert_eq!(registered, ffi::SQLITE_OK, "a VFS can be registered");
    }
}

/// SQLite's own VFS.
fn real_vfs() -> *mut ffi::sqlite3_vfs {
    // SAFETY: the name is a text that ends with NUL. SQLite has it registered from its initialization on.
    unsafe { ffi::sqlite3_vfs_find(c"unix".as_ptr()) }
}

/// The real file behind ours.
///
/// # Safety
/// `file` is one that [`open`] was given.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite gave as many bytes as `szOsFile` says: ours, and then those of the real file.
    unsafe { file.cast::<u8>().add(size_of::<File>()).cast() }
}

/// What is known of our file; none if it is not told of.
///
/// # Safety
/// `file` is one that [`open`] has opened and nobody has closed, and it is used by one thread at a time, as SQLite does.
unsafe fn told<'f>(file: *mut ffi::sqlite3_file) -> Option<&'f mut Told> {
    // SAFETY: `open` has set it to null or to a box, which `close` alone takes back.
    unsafe { (*file.cast::<File>()).told.as_mut() }
}

/// Calls a function of the real file's, with the rest of the arguments.
macro_rules! pass {
    ($file:ident . $method:ident ( $($argument:expr),* )) => {{
        // SAFETY: SQLite calls this with a file that `open` has opened, so that the real one is open too, and has all
        // functions of the version that we have; what else we were given goes to it as it is.
        unsafe {
            let real = real($file);
            match (*(*real).pMethods).$method {
                Some(method) => method(real, $($argument),*),
                None => ffi::SQLITE_NOTFOUND,
            }
        }
    }};
}

/// A path that SQLite names.
///
/// # Safety
/// `name` is null or a text that ends with NUL.
unsafe fn path(name: *const c_char) -> Option<PathBuf> {
    if name.is_null() {
        return None;
    }
    // SAFETY: it is such a text, as the caller says.
    let name = unsafe { CStr::from_ptr(name) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite names a file by a text that ends with NUL, or not at all.
    let path = unsafe { path(name) }.filter(|_| flags & TOLD_OF != 0);
    let watched = path.and_then(|path| Some((side_of(&path)?, path)));
    let is_new = watched.as_ref().is_some_and(|(_, path)| !path.exists());
    // SAFETY: SQLite gave a file of our size, whose first bytes are ours to set, and the rest the real file's, which the
    // real VFS opens with all else as it was given. It sets the real file's functions also where it fails, or to null.
    unsafe {
        let ours = file.cast::<File>();
        (*ours).base.pMethods = std::ptr::null();
        (*ours).told = std::ptr::null_mut();
        let vfs = real_vfs();
        let Some(open) = (*vfs).xOpen else { return ffi::SQLITE_CANTOPEN };
        let opened = open(vfs, name, real(file), flags, out_flags);
        if !(*real(file)).pMethods.is_null() {
            (*ours).base.pMethods = &raw const METHODS;
        }
        if opened == ffi::SQLITE_OK
            && let Some((side, path)) = watched
        {
            let (inode, life) = guard(&side).opened(&path, is_new);
            let is_synced = is_new && flags & SYNCED_WITH_ITS_FOLDER != 0;
            let folder_is_due = path.parent().filter(|_| is_synced).map(Path::to_owned);
            (*ours).told = Box::into_raw(Box::new(Told { side, inode, life, folder_is_due }));
        }
        opened
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: SQLite names a file by a text that ends with NUL, or not at all.
    let path = unsafe { path(name) };
    if let Some(path) = path
        && let Some(side) = side_of(&path)
        && let Err(code) = guard(&side).deleted(&path, sync_folder != 0)
    {
        return code;
    }
    // SAFETY: all goes to the real VFS as it was given.
    unsafe {
        let vfs = real_vfs();
        (*vfs).xDelete.map_or(ffi::SQLITE_IOERR_DELETE, |delete| delete(vfs, name, sync_folder))
    }
}

fn guard(side: &Mutex<Side>) -> MutexGuard<'_, Side> {
    side.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells of a deed, and says whether it is done: an error's code if not.
///
/// # Safety
/// As of [`told`].
unsafe fn tell(file: *mut ffi::sqlite3_file, deed: Deed<'_>) -> Result<(), c_int> {
    // SAFETY: as the caller says.
    match unsafe { told(file) } {
        Some(told) => guard(&told.side).does(told.inode, told.life, deed),
        None => Ok(()),
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let closed = pass!(file.xClose());
    // SAFETY: `open` has made it from a box, and SQLite closes a file once.
    unsafe {
        let ours = file.cast::<File>();
        if !(*ours).told.is_null() {
            drop(Box::from_raw((*ours).told));
            (*ours).told = std::ptr::null_mut();
        }
    }
    closed
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    bytes: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite calls this with a file that `open` has opened.
    match unsafe { tell(file, Deed::Read) } {
        Ok(()) => pass!(file.xRead(buffer, bytes, offset)),
        Err(code) => code,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    let (length, start) = (usize::try_from(count).unwrap_or(0), usize::try_from(offset).unwrap_or(0));
    // SAFETY: SQLite gives so many bytes to write, to a file that `open` has opened.
    let told = unsafe {
        let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), length);
        tell(file, Deed::Write(start, bytes))
    };
    match told {
        Ok(()) => pass!(file.xWrite(bytes, count, offset)),
        Err(code) => code,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: SQLite calls this with a file that `open` has opened.
    match unsafe { tell(file, Deed::Cut(usize::try_from(length).unwrap_or(0))) } {
        Ok(()) => pass!(file.xTruncate(length)),
        Err(code) => code,
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite calls this with a file that `open` has opened.
    let Some(told) = (unsafe { told(file) }) else { return pass!(file.xSync(flags)) };
    let folder = told.folder_is_due.take();
    match guard(&told.side).does(told.inode, told.life, Deed::Sync(folder.as_deref())) {
        Ok(()) => ffi::SQLITE_OK,
        Err(code) => {
            told.folder_is_due = folder;
            code
        }
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    pass!(file.xFileSize(size))
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    pass!(file.xLock(level))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    pass!(file.xUnlock(level))
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, is_held: *mut c_int) -> c_int {
    pass!(file.xCheckReservedLock(is_held))
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, what: c_int, about: *mut c_void) -> c_int {
    pass!(file.xFileControl(what, about))
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file.xSectorSize())
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file.xDeviceCharacteristics())
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extend: c_int,
    mapped: *mut *mut c_void,
) -> c_int {
    pass!(file.xShmMap(region, bytes, extend, mapped))
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    pass!(file.xShmLock(offset, count, flags))
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: SQLite calls this with a file that `open` has opened, so that the real one is open too.
    unsafe {
        let real = real(file);
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, deletes: c_int) -> c_int {
    pass!(file.xShmUnmap(deletes))
}
