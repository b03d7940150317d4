//! Provider records that this node keeps for the DHT.
//!
//! Invariants: bounded in keys, in providers of a key, and in keys of one provider, so that neither many keys nor one
//! peer can take all places; what has expired gives its place back; values are not stored at all, since rooms are
//! found through providers alone.

use std::{
    borrow::{Borrow, Cow},
    collections::{HashMap, hash_map},
    iter,
    time::Instant,
};

use libp2p::{
    PeerId,
    kad::{
        ProviderRecord, Record, RecordKey,
        store::{Error, RecordStore, Result},
    },
};

use super::kad::KEY_PREFIX;

/// Most keys kept for others: 4,096 rooms and tags at up to 20 providers each stay within some 20 MB.
const KEYS: usize = 4_096;

/// Most providers of one key, as Kademlia's `k`. The nearest twenty peers keep each key, and three are dialled at a time.
const PROVIDERS: usize = 20;

/// Most keys of one provider: ten rooms with five tags each.
const KEYS_PER_PROVIDER: usize = 64;

/// Most addresses kept of one provider, as in an announcement.
const ADDRESSES: usize = 8;

/// Provider records, of others and of our own.
#[derive(Debug)]
pub(in crate::net) struct Records {
    local: PeerId,
    providers: HashMap<RecordKey, Vec<ProviderRecord>>,
    keys_of: HashMap<PeerId, usize>,
    own: HashMap<RecordKey, ProviderRecord>,
}

impl Records {
    pub(super) fn new(local: PeerId) -> Self {
        Self {
            local,
            providers: HashMap::new(),
            keys_of: HashMap::new(),
            own: HashMap::new(),
        }
    }

    /// The keys that we provide ourselves.
    pub(super) fn own_keys(&self) -> Vec<RecordKey> {
        self.own.keys().cloned().collect()
    }

    /// Gives the places of expired records back.
    pub(super) fn forget_expired(&mut self, now: Instant) {
        let keys_of = &mut self.keys_of;
        self.providers.retain(|_, records| {
            records.retain(|record| {
                let keep = !record.is_expired(now);
                if !keep {
                    uncount(keys_of, &record.provider);
                }
                keep
            });
            !records.is_empty()
        });
    }
}

fn uncount(keys_of: &mut HashMap<PeerId, usize>, provider: &PeerId) {
    if let hash_map::Entry::Occupied(mut count) = keys_of.entry(*provider) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

fn borrowed(record: &ProviderRecord) -> Cow<'_, ProviderRecord> {
    Cow::Borrowed(record)
}

impl RecordStore for Records {
    type RecordsIter<'a> = iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = iter::Map<
        hash_map::Values<'a, RecordKey, ProviderRecord>,
        fn(&'a ProviderRecord) -> Cow<'a, ProviderRecord>,
    >;

    fn get(&self, _: &RecordKey) -> Option<Cow<'_, Record>> {
        None
    }

    fn put(&mut self, _: Record) -> Result<()> {
        Err(Error::MaxRecords)
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    fn add_provider(&mut self, mut record: ProviderRecord) -> Result<()> {
        if record.provider == self.local {
            self.own.insert(record.key.clone(), record);
            return Ok(());
        }
        let key: &[u8] = record.key.borrow();
        if key.len() != 34 || !key.starts_with(&KEY_PREFIX) {
            return Err(Error::ValueTooLarge);
        }
        record.addresses.truncate(ADDRESSES);
        if let Some(known) = self
            .providers
            .get_mut(&record.key)
            .and_then(|records| records.iter_mut().find(|known| known.provider == record.provider))
        {
            *known = record;
            return Ok(());
        }
        let is_new = !self.providers.contains_key(&record.key);
        let of_provider = self.keys_of.get(&record.provider).copied().unwrap_or(0);
        if of_provider >= KEYS_PER_PROVIDER || (is_new && self.providers.len() >= KEYS) {
            return Err(Error::MaxProvidedKeys);
        }
        let records = self.providers.entry(record.key.clone()).or_default();
        // Who came first stays: a crowd of invented peers does not push the real ones out.
        if records.len() < PROVIDERS {
            *self.keys_of.entry(record.provider).or_default() += 1;
            records.push(record);
        }
        Ok(())
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let others = self.providers.get(key).into_iter().flatten();
        self.own.get(key).into_iter().chain(others).cloned().collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        self.own.values().map(borrowed)
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if *provider == self.local {
            self.own.remove(key);
        }
        if let hash_map::Entry::Occupied(mut records) = self.providers.entry(key.clone()) {
            let before = records.get().len();
            records.get_mut().retain(|record| record.provider != *provider);
            if records.get().len() < before {
                uncount(&mut self.keys_of, provider);
            }
            if records.get().is_empty() {
                records.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(number: usize) -> RecordKey {
        let mut bytes = [0; 34];
        bytes[..2].copy_from_slice(&KEY_PREFIX);
        bytes[2..10].copy_from_slice(&number.to_be_bytes());
        RecordKey::new(&bytes)
    }

    fn record(number: usize, provider: PeerId, expires: Option<Instant>) -> ProviderRecord {
        ProviderRecord {
            expires,
            ..ProviderRecord::new(key(number), provider, Vec::new())
        }
    }

    #[test]
    fn one_peer_cannot_take_all_places_and_gets_them_back_in_time() {
        let (mut records, flooder, now) = (Records::new(PeerId::random()), PeerId::random(), Instant::now());
        let later = now + Duration::from_secs(300);
        for number in 0..100 {
            let stored = records.add_provider(record(number, flooder, Some(later)));
            assert_eq!(stored.is_ok(), number < KEYS_PER_PROVIDER, "{number}");
        }
        assert!(
            records.add_provider(record(0, flooder, Some(later))).is_ok(),
            "a renewal"
        );
        assert!(records.add_provider(record(99, PeerId::random(), None)).is_ok());
        records.forget_expired(later + Duration::from_secs(1));
        assert!(records.add_provider(record(99, flooder, None)).is_ok());
        assert_eq!(records.providers(&key(99)).len(), 2);
        records.remove_provider(&key(99), &flooder);
        assert_eq!(records.providers(&key(99)).len(), 1);
        assert!(!records.keys_of.contains_key(&flooder));
    }

    #[test]
    fn keys_and_providers_of_a_key_are_bounded() {
        let mut records = Records::new(PeerId::random());
        for _ in 0..2 * PROVIDERS {
            assert!(records.add_provider(record(0, PeerId::random(), None)).is_ok());
        }
        assert_eq!(records.providers(&key(0)).len(), PROVIDERS);
        for number in 1..KEYS {
            assert!(
                records
                    .add_provider(record(number, PeerId::random(), None))
                    .is_ok()
            );
        }
        assert!(
            records
                .add_provider(record(KEYS, PeerId::random(), None))
                .is_err()
        );
    }

    #[test]
    fn keys_of_another_form_and_values_are_not_stored() {
        let mut records = Records::new(PeerId::random());
        let other = ProviderRecord::new(RecordKey::new(&[7; 34]), PeerId::random(), Vec::new());
        assert!(records.add_provider(other).is_err());
        assert!(records.put(Record::new(key(1), vec![1])).is_err());
    }

    #[test]
    fn our_own_keys_are_provided_until_removed() {
        let local = PeerId::random();
        let mut records = Records::new(local);
        records.add_provider(record(1, local, None)).expect("ours");
        records.forget_expired(Instant::now());
        assert_eq!(records.provided().count(), 1);
        assert_eq!(records.own_keys(), [key(1)]);
        records.remove_provider(&key(1), &local);
        assert_eq!(records.provided().count(), 0);
    }
}
