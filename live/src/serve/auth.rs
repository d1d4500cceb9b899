//! Who may ask, and how often.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

/// Tokens that are let in.
#[derive(Clone, Default)]
pub struct Tokens(Vec<Vec<u8>>);

impl Tokens {
    /// Any of these; without one everybody is let in.
    pub fn new(tokens: &[String]) -> Tokens {
        Tokens(tokens.iter().map(|token| token.clone().into_bytes()).collect())
    }

    /// Whether the headers have one of the tokens, as `Authorization: Bearer ...`. How long this takes tells nothing of
    /// the tokens but their lengths.
    pub fn admit(&self, headers: &HeaderMap) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let value = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let Some(given) = value.strip_prefix(b"Bearer ") else { return false };
        let equal = self.0.iter().map(|token| token.ct_eq(given));
        equal.fold(subtle::Choice::from(0), |any, one| any | one).into()
    }
}

/// A token bucket for all callers together.
#[derive(Debug)]
pub struct Rate {
    per_second: f64,
    bucket: Mutex<(Instant, f64)>,
}

impl Rate {
    /// So many a second, and a second's worth at once; 0 for no limit.
    pub fn new(per_second: u32, now: Instant) -> Rate {
        Rate { per_second: f64::from(per_second), bucket: Mutex::new((now, f64::from(per_second))) }
    }

    /// Whether one more may ask now.
    pub fn admit(&self, now: Instant) -> bool {
        if self.per_second == 0.0 {
            return true;
        }
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, left) = *bucket;
        let filled = (left + now.duration_since(since).as_secs_f64() * self.per_second).min(self.per_second);
        let admitted = filled >= 1.0;
        *bucket = (now, if admitted { filled - 1.0 } else { filled });
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().expect("a header value"));
        headers
    }

    #[test]
    fn one_of_the_tokens_is_needed_and_nothing_else() {
        let tokens = Tokens::new(&["0123456789abcdef".into(), "fedcba9876543210".into()]);
        assert!(tokens.admit(&headers("Bearer fedcba9876543210")));
        for wrong in
            ["Bearer fedcba987654321", "Bearer fedcba98765432100", "Basic fedcba9876543210", "Bearer "]
        {
            assert!(!tokens.admit(&headers(wrong)), "{wrong}");
        }
        assert!(!tokens.admit(&HeaderMap::new()));
        assert!(Tokens::default().admit(&HeaderMap::new()));
    }

    #[test]
    fn a_second_has_so_many() {
        let start = Instant::now();
        let rate = Rate::new(10, start);
        assert_eq!((0..50).filter(|_| rate.admit(start)).count(), 10);
        assert_eq!((0..50).filter(|_| rate.admit(start + Duration::from_millis(250))).count(), 2);
    }
}
