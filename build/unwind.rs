//! Stands in for libunwind in programs without unwind tables: there is no frame that could be found, and it says so.
//!
//! A panic aborts there, so nobody unwinds; std's backtrace asks, and is empty. These are all the functions it links.

#![no_std]

use core::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK` of the Itanium C++ ABI.
const END_OF_STACK: c_int = 5;

/// Would call `_trace` for each frame, with what the functions below are asked about.
#[unsafe(no_mangle)]
pub extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

/// Of no frame: nowhere.
#[unsafe(no_mangle)]
pub extern "C" fn _Unwind_GetIP(_frame: *mut c_void) -> usize {
    0
}

/// Of no frame: nowhere.
#[unsafe(no_mangle)]
pub extern "C" fn _Unwind_GetCFA(_frame: *mut c_void) -> usize {
    0
}

/// Of no frame: none.
#[unsafe(no_mangle)]
pub extern "C" fn _Unwind_FindEnclosingFunction(_address: *mut c_void) -> *mut c_void {
    core::ptr::null_mut()
}
