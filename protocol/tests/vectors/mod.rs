//! The test vectors in `vectors/`, which a second implementation reads too.
//!
//! Each file is read and judged as such an implementation would, and compared with what its generator here makes
//! now. To write them anew after the format was changed on purpose:
//! `cargo test -p majlis-protocol --test tests -- --ignored vectors::write`

mod media;
mod signatures;

use std::{fs, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};

#[test]
#[ignore = "writes vectors/media.json and vectors/signatures.json; run it when the format was changed on purpose"]
fn write() {
    save("media.json", &media::generate());
    save("signatures.json", &signatures::generate());
}

fn save<T: Serialize>(name: &str, vectors: &T) {
    fs::write(path(name), serde_json::to_string_pretty(vectors).unwrap() + "\n").unwrap();
}

fn load<T: DeserializeOwned>(name: &str) -> T {
    let text = fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(name)
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}
