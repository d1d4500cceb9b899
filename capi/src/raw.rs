//! From pointers to references and slices: the one place where a caller has to be believed.

use std::ffi::{CStr, CString, c_char};

use crate::error::CallError;

/// What a pointer points to.
///
/// # Safety
///
/// A pointer that is not null points to a valid `T` that nobody changes while the reference lives.
pub(crate) unsafe fn reference<'a, T>(name: &'static str, pointer: *const T) -> Result<&'a T, CallError> {
    check(name, pointer)?;
    // SAFETY: not null and aligned, and valid as the caller promises.
    Ok(unsafe { &*pointer })
}

/// Where a result goes. It is written and never read.
///
/// # Safety
///
/// A pointer that is not null points to memory for a `T` that nobody else uses meanwhile.
pub(crate) unsafe fn write<T>(name: &'static str, pointer: *mut T, value: T) -> Result<(), CallError> {
    check(name, pointer)?;
    // SAFETY: not null and aligned, and writable as the caller promises. What was there is plain data and not dropped.
    unsafe { pointer.write(value) };
    Ok(())
}

/// An array. An empty one may be null.
///
/// # Safety
///
/// A pointer that is not null points to `length` valid elements that nobody changes while the slice lives.
pub(crate) unsafe fn slice<'a, T>(
    name: &'static str,
    pointer: *const T,
    length: usize,
) -> Result<&'a [T], CallError> {
    if length == 0 {
        return Ok(&[]);
    }
    check(name, pointer)?;
    if length.checked_mul(size_of::<T>()).is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        return Err(CallError::Length { name, length });
    }
    // SAFETY: not null, aligned, of a possible length, and valid as the caller promises.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Copies an array to where the caller wants it. Nothing is written for an empty one, whose pointer may be null.
///
/// # Safety
///
/// A pointer that is not null points to memory for as many elements that nobody else uses meanwhile.
pub(crate) unsafe fn write_array<T: Copy>(
    name: &'static str,
    pointer: *mut T,
    values: &[T],
) -> Result<(), CallError> {
    if !values.is_empty() {
        check(name, pointer)?;
        // SAFETY: not null, aligned, writable as the caller promises, and not ours.
        unsafe { pointer.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    }
    Ok(())
}

/// A text that ends with a zero byte.
///
/// # Safety
///
/// A pointer that is not null points to bytes up to a zero, which nobody changes while the text lives.
pub(crate) unsafe fn text<'a>(name: &'static str, pointer: *const c_char) -> Result<&'a str, CallError> {
    check(name, pointer)?;
    // SAFETY: not null, and ended by a zero as the caller promises.
    utf8(name, unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// Bytes as text.
pub(crate) fn utf8<'a>(name: &'static str, bytes: &'a [u8]) -> Result<&'a str, CallError> {
    std::str::from_utf8(bytes).map_err(|error| CallError::Encoding { name, byte: error.valid_up_to() })
}

/// A text that the caller owns from now on, and gives back to `free_text`.
pub(crate) fn give_text(text: String) -> *mut c_char {
    // JSON escapes zero bytes, so that none is there to be refused.
    CString::new(text).unwrap_or_default().into_raw()
}

/// Takes back what `give_text` gave.
///
/// # Safety
///
/// The pointer is null, or comes from `give_text` and has not been taken back yet.
pub(crate) unsafe fn free_text(pointer: *mut c_char) {
    if !pointer.is_null() {
        // SAFETY: it comes from `CString::into_raw`, as the caller promises.
        drop(unsafe { CString::from_raw(pointer) });
    }
}

/// Refuses a pointer that cannot be one to a `T`.
pub(crate) fn check<T>(name: &'static str, pointer: *const T) -> Result<(), CallError> {
    if pointer.is_null() {
        return Err(CallError::Null(name));
    }
    if !pointer.is_aligned() {
        return Err(CallError::Unaligned(name));
    }
    Ok(())
}
