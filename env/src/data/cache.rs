//! The artefacts on one node: least recently used go first, what is in use stays.

use smallvec::SmallVec;

use super::mix;
use super::spec::ArtefactId;

/// Artefacts that made room.
pub(super) type Evicted = SmallVec<[ArtefactId; 4]>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cache {
    capacity: u64,
    used: u64,
    /// Least recently used first.
    entries: Vec<Entry>,
    /// A sum over the entries, so that it does not depend on their order.
    signature: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) id: ArtefactId,
    bytes: u64,
    /// Runs that need it and copies that are made of it.
    pins: u32,
    /// Its transfer is complete. Before that it has its room, which nothing takes.
    pub(super) present: bool,
}

impl Entry {
    fn evictable(&self) -> bool {
        self.present && self.pins == 0
    }

    fn weight(&self) -> u64 {
        mix(u64::from(self.id.0) << 1 | u64::from(self.present))
    }
}

impl Cache {
    pub(super) fn new(capacity: u64) -> Cache {
        Cache { capacity, used: 0, entries: Vec::new(), signature: 0 }
    }

    /// A cache that holds these, least recently used first: artefact, bytes, pins, and whether it has come. `None` if they
    /// take more than there is, or one is named twice.
    pub(super) fn restored(
        capacity: u64,
        entries: impl Iterator<Item = (ArtefactId, u64, u32, bool)>,
    ) -> Option<Cache> {
        let mut cache = Cache::new(capacity);
        for (id, bytes, pins, present) in entries {
            let fits = cache.used.checked_add(bytes).is_some_and(|used| used <= capacity);
            if !fits || cache.get(id).is_some() {
                return None;
            }
            cache.put(Entry { id, bytes, pins, present });
        }
        Some(cache)
    }

    /// Least recently used first.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn get(&self, id: ArtefactId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn signature(&self) -> u64 {
        self.signature
    }

    /// Makes an artefact the most recently used one, if it is here.
    pub(super) fn touch(&mut self, id: ArtefactId) {
        if let Some(at) = self.place(id) {
            self.entries[at..].rotate_left(1);
        }
    }

    /// Keeps an artefact until it is unpinned as often.
    pub(super) fn pin(&mut self, id: ArtefactId) {
        let at = self.place(id).expect("only what is here or coming is pinned");
        self.entries[at].pins += 1;
    }

    /// The other half of [`Cache::pin`].
    pub(super) fn unpin(&mut self, id: ArtefactId) {
        let at = self.place(id).expect("what is pinned stays");
        self.entries[at].pins -= 1;
    }

    /// Gives an artefact that is not here its room, most recently used, and says what made it; `None`, and nothing
    /// has changed, where even without all that is not in use there is no room.
    pub(super) fn reserve(&mut self, id: ArtefactId, bytes: u64) -> Option<Evicted> {
        debug_assert!(self.get(id).is_none(), "an artefact has one place");
        let kept = self.entries.iter().filter(|entry| !entry.evictable()).map(|entry| entry.bytes);
        if kept.sum::<u64>().checked_add(bytes)? > self.capacity {
            return None;
        }
        let mut evicted = Evicted::new();
        while self.capacity - self.used < bytes {
            let at = self.entries.iter().position(Entry::evictable)?;
            evicted.push(self.take(at).id);
        }
        self.put(Entry { id, bytes, pins: 0, present: false });
        Some(evicted)
    }

    /// The transfer of an artefact with a place is complete.
    pub(super) fn arrive(&mut self, id: ArtefactId) {
        let at = self.place(id).expect("an incoming artefact has its place");
        let entry = self.take(at);
        debug_assert!(!entry.present, "an artefact arrives once");
        self.put(Entry { present: true, ..entry });
    }

    /// Gives up a place.
    pub(super) fn remove(&mut self, id: ArtefactId) {
        if let Some(at) = self.place(id) {
            let gone = self.take(at);
            debug_assert_eq!(gone.pins, 0, "an artefact in use is removed");
        }
    }

    /// Loses everything, pinned or not.
    pub(super) fn clear(&mut self) {
        *self = Cache::new(self.capacity);
    }

    fn place(&self, id: ArtefactId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.id == id)
    }

    fn take(&mut self, at: usize) -> Entry {
        let entry = self.entries.remove(at);
        self.used -= entry.bytes;
        self.signature = self.signature.wrapping_sub(entry.weight());
        entry
    }

    fn put(&mut self, entry: Entry) {
        self.used += entry.bytes;
        self.signature = self.signature.wrapping_add(entry.weight());
        self.entries.push(entry);
    }

    /// Room is never over-committed, and the sums are right.
    pub(super) fn check(&self) {
        let used: u64 = self.entries.iter().map(|entry| entry.bytes).sum();
        assert_eq!(used, self.used, "bytes of a cache do not add up");
        assert!(used <= self.capacity, "{used} bytes in a cache of {}", self.capacity);
        let weights = self.entries.iter().map(Entry::weight);
        assert_eq!(weights.fold(0, u64::wrapping_add), self.signature, "signature of a cache");
    }

    /// Copies and runs that keep an artefact here.
    pub(super) fn pins(&self, id: ArtefactId) -> u32 {
        self.get(id).map_or(0, |entry| entry.pins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ArtefactId = ArtefactId(0);
    const B: ArtefactId = ArtefactId(1);
    const C: ArtefactId = ArtefactId(2);

    fn with(capacity: u64, contents: &[(ArtefactId, u64)]) -> Cache {
        let mut cache = Cache::new(capacity);
        for &(id, bytes) in contents {
            assert!(cache.reserve(id, bytes).is_some_and(|evicted| evicted.is_empty()));
            cache.arrive(id);
        }
        cache
    }

    #[test]
    fn the_least_recently_used_goes_first_and_no_more_than_needed() {
        let mut cache = with(10, &[(A, 4), (B, 4)]);
        cache.touch(A);
        assert_eq!(cache.reserve(C, 5).unwrap().as_slice(), [B]);
        assert_eq!(cache.used(), 9);
        cache.check();
    }

    #[test]
    fn what_is_pinned_or_coming_stays() {
        let mut cache = with(10, &[(A, 4), (B, 4)]);
        cache.pin(A);
        assert_eq!(cache.reserve(C, 7), None);
        assert_eq!(cache.reserve(C, 6).unwrap().as_slice(), [B]);
        assert_eq!(cache.reserve(B, 1), None, "C has its room before it has come");
        cache.unpin(A);
        assert_eq!(cache.reserve(B, 4).unwrap().as_slice(), [A]);
    }

    #[test]
    fn a_refused_reservation_changes_nothing() {
        let mut cache = with(10, &[(A, 4), (B, 4)]);
        cache.pin(B);
        let before = cache.clone();
        assert_eq!(cache.reserve(C, 11), None);
        assert_eq!(cache.reserve(C, 7), None);
        assert_eq!(cache.reserve(C, u64::MAX), None);
        assert_eq!(cache, before);
    }

    #[test]
    fn equal_contents_have_equal_signatures_in_any_order() {
        let (one, mut other) = (with(10, &[(A, 1), (B, 2)]), with(10, &[(B, 2), (A, 1)]));
        assert_eq!(one.signature(), other.signature());
        other.remove(A);
        assert_ne!(one.signature(), other.signature());
        other.reserve(A, 1).unwrap();
        assert_ne!(one.signature(), other.signature(), "A has not come yet");
        other.clear();
        assert_eq!(other.signature(), Cache::new(10).signature());
    }
}
