//! Panics of policies, which are results and not ends of a command.

/// While this lives, a panic prints nothing: its message goes into the tables.
pub(crate) struct Silence;

impl Silence {
    /// Until it is dropped.
    pub(crate) fn begin() -> Silence {
        std::panic::set_hook(Box::new(|_| ()));
        Silence
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Taking the hook while the command itself panics would abort it without a message.
        if !std::thread::panicking() {
            _ = std::panic::take_hook();
        }
    }
}
