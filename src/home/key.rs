//! The person's key on disk: PKCS#8 (RFC 5958, RFC 8410) in PEM, readable by its owner alone.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding, spki::der::zeroize::Zeroizing},
};
use majlis_protocol::person::PersonKey;

use super::{HomeError, atomic};
use crate::regular_file;

/// Most bytes of a key file that are read: an Ed25519 key takes about 200.
const KEY_FILE: u64 = 4_096;

/// Reads the key, or makes one where there is none.
pub(super) fn read_or_create(path: &Path) -> Result<PersonKey, HomeError> {
    match read_existing(path)? {
        Some(key) => Ok(key),
        None => create(path),
    }
}

/// Reads the key if there is one.
pub(super) fn read_existing(path: &Path) -> Result<Option<PersonKey>, HomeError> {
    match regular_file::open(path) {
        Ok(file) => read(path, file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HomeError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn read(path: &Path, file: File) -> Result<PersonKey, HomeError> {
    let unreadable = |source| HomeError::Read {
        path: path.to_owned(),
        source,
    };
    let corrupt = || HomeError::KeyCorrupt {
        path: path.to_owned(),
    };
    refuse_exposed(path, &file.metadata().map_err(unreadable)?)?;
    let mut pem = Zeroizing::new(Vec::new());
    file.take(KEY_FILE).read_to_end(&mut pem).map_err(unreadable)?;
    let pem = std::str::from_utf8(&pem).map_err(|_| corrupt())?;
    let key = SigningKey::from_pkcs8_pem(pem).map_err(|_| corrupt())?;
    Ok(PersonKey::from_seed(key.as_bytes()))
}

fn create(path: &Path) -> Result<PersonKey, HomeError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(HomeError::Random)?;
    let pem = SigningKey::from_bytes(&seed)
        .to_pkcs8_pem(LineEnding::LF)
        .expect("the length of an Ed25519 key is fixed, and so is that of its encoding");
    atomic::write(path, pem.as_bytes())?;
    Ok(PersonKey::from_seed(&seed))
}

/// Refuses a key that others on this machine may read.
#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), HomeError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    // A directory is no key; reading it says so.
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(HomeError::KeyExposed {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// Without permission bits there is nothing to check.
#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &fs::Metadata) -> Result<(), HomeError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key.pem");
        (dir, path)
    }

    #[test]
    fn a_key_is_made_once_and_read_back() {
        let (_dir, path) = place();
        let made = read_or_create(&path).expect("made");
        let read = read_or_create(&path).expect("read");
        assert_eq!(made.person(), read.person());
        let pem = fs::read_to_string(&path).expect("readable");
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{pem}");
    }

    #[test]
    fn two_homes_have_two_keys() {
        let ((_a, a), (_b, b)) = (place(), place());
        let person = |path: &Path| read_or_create(path).expect("made").person();
        assert_ne!(person(&a), person(&b));
    }

    #[test]
    fn a_key_of_another_program_in_the_same_form_is_read() {
        // RFC 8410 section 10.3, the key without attributes.
        let (_dir, path) = place();
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
        atomic::write(&path, pem.as_bytes()).expect("written");
        let seed = read_or_create(&path).expect("valid").to_seed();
        assert_eq!(seed[..4], [0xd4, 0xee, 0x72, 0xdb]);
    }

    #[test]
    fn a_corrupt_key_is_named_and_kept() {
        let (_dir, path) = place();
        let good = {
            read_or_create(&path).expect("made");
            fs::read_to_string(&path).expect("readable")
        };
        let rsa = good.replace("MFECAQEwBQYDK2Vw", "MFECAQEwBQYDK2Vx");
        assert_ne!(rsa, good);
        let bad: [&[u8]; 5] = [b"", b"salam", b"\xff\xfe", &good.as_bytes()[..40], rsa.as_bytes()];
        for bytes in bad {
            atomic::write(&path, bytes).expect("written");
            let error = read_or_create(&path).expect_err("no key");
            assert!(matches!(error, HomeError::KeyCorrupt { .. }), "{error}");
            assert!(error.to_string().contains("move it away"), "{error}");
            assert_eq!(fs::read(&path).expect("still there"), bytes);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, path) = place();
        read_or_create(&path).expect("made");
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
            let error = read_or_create(&path).expect_err("exposed");
            assert!(matches!(error, HomeError::KeyExposed { .. }), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("changed");
        read_or_create(&path).expect("its owner alone may read it");
    }

    #[test]
    fn a_key_that_cannot_be_read_is_named() {
        let (_dir, path) = place();
        fs::create_dir(&path).expect("a directory in its place");
        let error = read_or_create(&path).expect_err("no file");
        assert!(matches!(error, HomeError::Read { .. }), "{error}");
    }
}
