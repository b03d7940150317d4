//! `majlis doctor`: what works on this machine. It changes nothing and sends nothing beyond loopback.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

use clap::Args;
use majlis::{
    api::Client,
    audio::device::{self, DeviceError, Loudspeaker, Microphone},
    clock,
    home::{Home, HomeError},
};
use serde_json::json;

use super::{face::Face, options::NodeFlags};

/// The start of 2025 in Unix seconds. A clock before it is wrong: this program is younger.
const YOUNGEST_CLOCK: u64 = 1_735_689_600;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis doctor
  majlis doctor --home ~/other --json

It exits 1 when something is in the way of every room; the rest are remarks. To see whether sound works it opens the default microphone and loudspeakers for a moment, and neither listens nor plays.")]
pub(crate) struct DoctorArgs {}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It works.
    Good,
    /// Something does not, and rooms work all the same.
    Remark,
    /// No room works without it.
    Bad,
}

/// One line of the table.
#[derive(Debug)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    detail: String,
}

pub(crate) fn run(DoctorArgs {}: DoctorArgs, flags: &NodeFlags) -> anyhow::Result<()> {
    let home = flags.home()?;
    let checks = [
        check_home(&home),
        check_key(&home),
        check_ipv4(),
        check_ipv6(),
        check_sound(),
        check_clock(clock::unix_seconds()),
    ];
    let mut face = Face::new(flags.json);
    for check in &checks {
        let verdict = match check.verdict {
            Verdict::Good => "ok",
            Verdict::Remark => "note",
            Verdict::Bad => "bad",
        };
        let body = json!({ "check": check.name, "verdict": verdict, "detail": check.detail });
        face.result(
            "check",
            &body,
            &format!("{verdict:<5} {:<6} {}", check.name, check.detail),
        )?;
    }
    let bad = checks
        .iter()
        .filter(|check| check.verdict == Verdict::Bad)
        .count();
    anyhow::ensure!(
        bad == 0,
        "{bad} of {} checks failed; see above what to do",
        checks.len()
    );
    Ok(())
}

impl Check {
    fn new(name: &'static str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self {
            name,
            verdict,
            detail: detail.into(),
        }
    }
}

fn check_home(path: &Path) -> Check {
    let shown = path.display();
    if !path.exists() {
        return Check::new(
            "home",
            Verdict::Good,
            format!("{shown} (not there yet; made at first use)"),
        );
    }
    match Home::open(path) {
        Ok(_) => Check::new("home", Verdict::Good, shown.to_string()),
        Err(HomeError::InUse { holder, .. }) => {
            let process = holder.map(|pid| format!(", process {pid}")).unwrap_or_default();
            let api = if Client::of(path).is_ok() {
                "; `majlis ctl` reaches it"
            } else {
                ""
            };
            Check::new(
                "home",
                Verdict::Good,
                format!("{shown} (a node runs in it{process}{api})"),
            )
        }
        Err(error) => Check::new("home", Verdict::Bad, error.to_string()),
    }
}

fn check_key(home: &Path) -> Check {
    match Home::known_person(home) {
        Ok(Some(person)) => Check::new("key", Verdict::Good, format!("{person} (#{})", person.tag())),
        Ok(None) => Check::new("key", Verdict::Good, "not there yet; made at first use"),
        Err(error) => Check::new("key", Verdict::Bad, error.to_string()),
    }
}

fn check_ipv4() -> Check {
    match bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))) {
        Ok(()) => Check::new("IPv4", Verdict::Good, "UDP and TCP sockets open"),
        Err(error) => Check::new("IPv4", Verdict::Bad, format!("no sockets on 127.0.0.1: {error}")),
    }
}

fn check_ipv6() -> Check {
    match bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))) {
        Ok(()) => Check::new("IPv6", Verdict::Good, "UDP and TCP sockets open"),
        Err(error) => Check::new(
            "IPv6",
            Verdict::Remark,
            format!("no sockets on ::1 ({error}); IPv4 is used alone"),
        ),
    }
}

fn bind(address: SocketAddr) -> std::io::Result<()> {
    UdpSocket::bind(address)?;
    TcpListener::bind(address).map(drop)
}

/// Whether the devices open that a room would use. Without one, files still play and record.
fn check_sound() -> Check {
    let loudspeakers = match Loudspeaker::open(None) {
        Ok(_) => Ok(format!(
            "loudspeakers open; there are: {}",
            named(device::outputs())
        )),
        Err(error) => Err(format!("{error}")),
    };
    let microphone = match Microphone::open(None) {
        Ok(_) => Ok(format!(
            "the microphone opens; there are: {}",
            named(device::inputs())
        )),
        Err(error) => Err(format!("{error}")),
    };
    sound(loudspeakers, microphone)
}

fn sound(loudspeakers: Result<String, String>, microphone: Result<String, String>) -> Check {
    let verdict = if loudspeakers.is_ok() && microphone.is_ok() {
        Verdict::Good
    } else {
        Verdict::Remark
    };
    let text = |found: Result<String, String>| found.unwrap_or_else(|error| error);
    let detail = format!("{}; {}", text(loudspeakers), text(microphone));
    Check::new("sound", verdict, detail)
}

fn named(devices: Result<Vec<String>, DeviceError>) -> String {
    devices.unwrap_or_default().join(", ")
}

fn check_clock(now: u64) -> Check {
    if now < YOUNGEST_CLOCK {
        let detail =
            "this machine's clock is years behind: rooms work, scheduled ones show at wrong times; set it";
        return Check::new("clock", Verdict::Remark, detail);
    }
    Check::new("clock", Verdict::Good, "plausible")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_at_1970_is_a_remark_and_no_failure() {
        assert_eq!(check_clock(0).verdict, Verdict::Remark);
        assert_eq!(check_clock(YOUNGEST_CLOCK).verdict, Verdict::Good);
    }

    #[test]
    fn sound_is_well_only_where_both_devices_open() {
        let (good, bad) = (
            || Ok("it opens".to_owned()),
            || Err("use --output none".to_owned()),
        );
        assert_eq!(sound(good(), good()).verdict, Verdict::Good);
        for check in [sound(bad(), good()), sound(good(), bad())] {
            assert_eq!(check.verdict, Verdict::Remark);
            assert!(check.detail.contains("--output none"), "{}", check.detail);
        }
    }

    #[test]
    fn a_home_that_is_not_there_is_left_so() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = dir.path().join("home");
        assert_eq!(check_home(&home).verdict, Verdict::Good);
        assert_eq!(check_key(&home).verdict, Verdict::Good);
        assert!(!home.exists());
    }
}
