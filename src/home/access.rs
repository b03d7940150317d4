//! How a program on this machine reaches the API of the node that runs in a home.
//!
//! The port and a bearer token stand in two files that only their owner may read. The token is new at every start
//! and the files go with the node, so one that was left behind by a killed node opens nothing.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{HomeError, atomic};

/// Bytes of randomness in a token: nobody guesses 256 bits.
const TOKEN_BYTES: usize = 32;

/// Where a node's API listens, and what it asks for.
#[derive(Clone)]
pub struct ApiAccess {
    /// On 127.0.0.1.
    pub port: u16,
    /// To be sent as `Authorization: Bearer …`, never in a URL.
    pub token: String,
}

/// The access that a running node grants; it ends when this is dropped.
#[derive(Debug)]
pub struct Granted {
    access: ApiAccess,
    files: [PathBuf; 2],
}

impl ApiAccess {
    /// Grants access to the API on `port` with a new token, for the process that holds the home.
    ///
    /// # Errors
    /// [`HomeError::Write`] or [`HomeError::Random`] when the files cannot be made.
    pub fn grant(home: &Path, port: u16) -> Result<Granted, HomeError> {
        let mut secret = [0; TOKEN_BYTES];
        getrandom::fill(&mut secret).map_err(HomeError::Random)?;
        let token = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let granted = Granted {
            access: Self { port, token },
            files: files(home),
        };
        let [port_file, token_file] = &granted.files;
        // The port last: who finds it finds the token that belongs to it.
        atomic::write(token_file, granted.access.token.as_bytes())?;
        atomic::write(port_file, port.to_string().as_bytes())?;
        Ok(granted)
    }

    /// Finds the access that the node of a home has granted, if one is there.
    ///
    /// # Errors
    /// [`HomeError::Read`] when the files are there but cannot be read.
    pub fn find(home: &Path) -> Result<Option<Self>, HomeError> {
        let [port, token] = files(home).map(|file| match fs::read_to_string(&file) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HomeError::Read { path: file, source }),
        });
        let port = port?.and_then(|port| port.parse().ok());
        Ok(port.zip(token?).map(|(port, token)| Self { port, token }))
    }
}

impl Granted {
    /// The access.
    #[must_use]
    pub fn access(&self) -> &ApiAccess {
        &self.access
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        for file in &self.files {
            // What stays behind opens nothing.
            let _ = fs::remove_file(file);
        }
    }
}

impl fmt::Debug for ApiAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiAccess")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn files(home: &Path) -> [PathBuf; 2] {
    ["api.port", "api.token"].map(|name| home.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_found_while_it_is_granted() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(ApiAccess::find(dir.path()).expect("readable").is_none());
        let granted = ApiAccess::grant(dir.path(), 4001).expect("granted");
        let found = ApiAccess::find(dir.path()).expect("readable").expect("there");
        assert_eq!((found.port, &found.token), (4001, &granted.access().token));
        assert_eq!(found.token.len(), 64);
        drop(granted);
        assert!(ApiAccess::find(dir.path()).expect("readable").is_none());
    }

    #[test]
    fn every_grant_has_a_token_of_its_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let token = || {
            ApiAccess::grant(dir.path(), 1)
                .expect("granted")
                .access()
                .token
                .clone()
        };
        assert_ne!(token(), token());
    }

    #[test]
    fn the_debug_form_hides_the_token() {
        let access = ApiAccess {
            port: 1,
            token: "secret".into(),
        };
        assert!(!format!("{access:?}").contains("secret"));
    }

    #[cfg(unix)]
    #[test]
    fn the_token_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let _granted = ApiAccess::grant(dir.path(), 1).expect("granted");
        for file in files(dir.path()) {
            let mode = fs::metadata(file).expect("there").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600);
        }
    }
}
