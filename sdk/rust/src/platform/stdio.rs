//! What the standard library needs of C to print, a panic's message above all, without the rest of C.
//!
//! wasi-libc's own `write` brings files, terminals and their table along: seventeen functions that each instance would
//! import, which makes a small app's start a tenth slower. There are no files here, and no environment.

use std::ffi::{c_char, c_int};
use std::ptr;

use wasip2::cli::{stderr, stdout};

const STDOUT: c_int = 1;
const STDERR: c_int = 2;
/// What the interface takes at once.
const WRITE_BYTES_MAX: usize = 4096;

/// In place of C's function of this name.
///
/// # Safety
/// As C has it: `bytes` points to `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(file: c_int, bytes: *const u8, length: usize) -> isize {
    let stream = match file {
        STDOUT => stdout::get_stdout(),
        STDERR => stderr::get_stderr(),
        _ => return -1,
    };
    // SAFETY: the caller says so.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, length.min(WRITE_BYTES_MAX)) };
    match stream.blocking_write_and_flush(bytes) {
        Ok(()) => bytes.len() as isize,
        Err(_) => -1,
    }
}

/// In place of C's function of this name: no variable is set.
#[unsafe(no_mangle)]
extern "C" fn getenv(_name: *const c_char) -> *mut c_char {
    ptr::null_mut()
}
