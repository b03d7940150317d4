//! Processes of the program under test, with homes that vanish and sockets on loopback alone.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::nodes::Settling;

/// How long a test waits for what must happen. It only decides how long a failure takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A command of the program with a home, reaching nothing but loopback.
pub(crate) fn majlis(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_majlis"));
    command
        .env_remove("MAJLIS_HOME")
        .args(args)
        .arg("--home")
        .arg(home)
        .args(["--mdns", "off"])
        .stdin(Stdio::null());
    if !args.contains(&"--listen") {
        command.args([
            "--listen",
            "/ip4/127.0.0.1/udp/0/quic-v1",
            "--listen",
            "/ip4/127.0.0.1/tcp/0",
        ]);
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(home: &Path, args: &[&str]) -> Output {
    majlis(home, args).output().expect("the program was built")
}

/// Runs a command that must fail with 1; what it says on stderr.
pub(crate) fn fails(home: &Path, args: &[&str]) -> String {
    let output = run(home, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert!(!said.contains("panicked"), "{args:?}: {said}");
    said
}

/// Runs a command that must succeed; the JSON objects on its stdout.
pub(crate) fn succeeds(home: &Path, args: &[&str]) -> Vec<Value> {
    succeeds_as(majlis(home, &[args, &["--json"]].concat()))
}

/// Runs a prepared command that must succeed and prints JSON.
pub(crate) fn succeeds_as(mut command: Command) -> Vec<Value> {
    let output = command.output().expect("the program was built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{command:?}: {said}");
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(parse)
        .collect()
}

/// A running process whose events are read as they come. It is killed when dropped.
pub(crate) struct Running {
    child: Child,
    events: Receiver<Value>,
    errors: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts a command with `--json`.
    pub(crate) fn start(home: &Path, args: &[&str]) -> Self {
        Self::of(majlis(home, &[args, &["--json"]].concat()))
    }

    /// Starts a prepared command that prints JSON.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let stdout = child.stdout.take().expect("piped");
        let mut stderr = child.stderr.take().expect("piped");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Self {
            child,
            events: follow(stdout),
            errors: Some(errors),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next event.
    pub(crate) fn next(&mut self) -> Option<Value> {
        self.next_before("any event", Instant::now() + PATIENCE)
    }

    fn next_before(&mut self, what: &str, end: Instant) -> Option<Value> {
        let left = end.saturating_duration_since(Instant::now());
        match self.events.recv_timeout(left) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no `{what}` within {PATIENCE:?}"),
        }
    }

    /// Waits for an event of this name.
    pub(crate) fn until(&mut self, name: &str) -> Value {
        self.until_that(name, |_| true)
    }

    /// Waits for an event of this name that fits.
    pub(crate) fn until_that(&mut self, name: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.next_before(name, end) {
                Some(event) if event["event"] == name && fits(&event) => return event,
                Some(_) => {}
                None => panic!("it ended before `{name}`: {}", self.finish().2),
            }
        }
    }

    /// Waits until a listener of one speaker has accounted for so many frames, or its counts stand still.
    pub(crate) fn settle(&mut self, frames: u64) {
        let mut settling = Settling::default();
        self.until_that("stats", |event| {
            settling.is_over(event["streams"][0]["expected"].as_u64(), frames)
        });
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for the end: exit code, the events that were left, and stderr.
    pub(crate) fn finish(&mut self) -> (Option<i32>, Vec<Value>, String) {
        let rest: Vec<Value> = std::iter::from_fn(|| self.next()).collect();
        let code = self.child.wait().expect("our own child").code();
        let errors = self
            .errors
            .take()
            .map(|errors| errors.join().expect("it only reads"));
        (code, rest, errors.unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A community node, and its address for others.
pub(crate) fn community(home: &Path) -> (Running, String) {
    let mut node = Running::start(home, &["node"]);
    let address = node.until("listening")["addresses"][0]
        .as_str()
        .expect("an address")
        .to_owned();
    (node, address)
}

/// The bare id in a link.
pub(crate) fn id_of(link: &str) -> &str {
    link.trim_start_matches("majlis:")
        .split('?')
        .next()
        .expect("at least one part")
}

/// A host with a silent seat unless told otherwise, and its link.
pub(crate) fn host(home: &Path, args: &[&str]) -> (Running, String) {
    let mut words = vec!["host", "A room"];
    if !args.contains(&"--input") {
        words.extend(["--input", "none"]);
    }
    if !args.contains(&"--output") {
        words.extend(["--output", "none"]);
    }
    let mut host = Running::start(home, &[&words, args].concat());
    let link = host.until("room")["link"].as_str().expect("a link").to_owned();
    (host, link)
}

/// A silent member of a room, once it has joined.
pub(crate) fn join(home: &Path, link: &str, args: &[&str]) -> (Running, Value) {
    let mut words = vec!["join", link];
    if !args.contains(&"--input") {
        words.extend(["--input", "none"]);
    }
    if !args.contains(&"--output") {
        words.extend(["--output", "none"]);
    }
    let mut member = Running::start(home, &[&words, args].concat());
    let joined = member.until("joined");
    (member, joined)
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status()
        .expect("`kill` is there");
    assert!(sent.success(), "no signal {name} for {pid}");
}

/// Reads lines of JSON in a thread of its own, so that the program never waits for the test.
fn follow(stdout: ChildStdout) -> Receiver<Value> {
    let (sender, events) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { break };
            if sender.send(parse(&line)).is_err() {
                break;
            }
        }
    });
    events
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
}
