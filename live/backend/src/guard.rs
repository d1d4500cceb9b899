//! Panics of the runtime, which become errors: a file that it does not expect is not the end of the program.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use anyhow::{Result, anyhow};

thread_local! {
    /// Whether a panic of this thread is caught and told as an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// From now on, a panic that [`guard`] catches prints nothing. All others do, as before.
pub(crate) fn install() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if !GUARDED.get() {
            usual(panic);
        }
    }));
}

/// What the work gives, or its panic as an error.
pub(crate) fn guard<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    GUARDED.set(true);
    // What is left half done by a panic is a plan or a tensor of this very call, which nobody sees again.
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(false);
    result.unwrap_or_else(|panic| Err(anyhow!("the runtime panics: {}", words(&*panic))))
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let told = |work: fn() -> Result<u32>| guard(work).map_err(|error| error.to_string());
        assert_eq!(told(|| Ok(3)), Ok(3));
        assert_eq!(told(|| panic!("static")), Err("the runtime panics: static".into()));
        let formatted = || -> Result<u32> { panic!("{} words", 2) };
        assert_eq!(told(formatted), Err("the runtime panics: 2 words".into()));
        assert!(!GUARDED.get());
    }
}
