//! A PulseAudio server of a test's own, with virtual devices.

use std::{
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A generous limit for a server to begin to listen.
const LIMIT: Duration = Duration::from_secs(60);

/// A server in a folder of its own; killed with the value.
pub(crate) struct SoundServer {
    process: Child,
    folder: tempfile::TempDir,
}

impl SoundServer {
    /// Starts one with these modules beside that through which programs reach it. On a machine without `pulseaudio` says
    /// that the test is skipped.
    pub(crate) fn start(modules: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("pulseaudio");
        command
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"])
            .args(["-L", "module-native-protocol-unix auth-anonymous=1"])
            .args(modules.iter().flat_map(|module| ["-L", module]))
            .env("HOME", folder.path())
            .env("XDG_RUNTIME_DIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = match command.spawn() {
            Ok(process) => process,
            Err(error) => {
                println!("skipped: pulseaudio can't be started here ({error}); install it to run this test");
                return None;
            }
        };
        let server = Self { process, folder };
        let start = Instant::now();
        while UnixStream::connect(server.socket()).is_err() {
            assert!(
                start.elapsed() < LIMIT,
                "the sound server has not begun to listen"
            );
            std::thread::yield_now();
        }
        Some(server)
    }

    /// The folder that its programs have for their runtime files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn socket(&self) -> PathBuf {
        self.folder().join("pulse/native")
    }

    /// A program that finds this server.
    pub(crate) fn with(&self, mut command: Command) -> Command {
        command
            .env("PULSE_SERVER", format!("unix:{}", self.socket().display()))
            .env("XDG_RUNTIME_DIR", self.folder());
        command
    }

    /// Ends it, as when it crashes.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        self.kill();
    }
}
