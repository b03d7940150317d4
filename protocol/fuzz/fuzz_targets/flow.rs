//! See `majlis_fuzz::TARGETS`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    majlis_fuzz::flow(data);
});
