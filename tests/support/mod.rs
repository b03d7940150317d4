//! What tests of several topics share: nodes on loopback, strangers, speech, and a listener's ear of its own.

pub(crate) mod attacker;
pub(crate) mod clock;
pub(crate) mod ear;
pub(crate) mod nodes;
pub(crate) mod rogue;
pub(crate) mod scene;
#[cfg(all(feature = "device", target_os = "linux"))]
pub(crate) mod sound_server;
pub(crate) mod stock;
pub(crate) mod talk;
#[cfg(unix)]
pub(crate) mod tty;

/// Whether this test may do what only root on Linux can, such as namespaces and mounts. There it must be able to.
pub(crate) fn is_root_on_linux() -> bool {
    let id = std::process::Command::new("id").arg("-u").output();
    let is_root = id.is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    if cfg!(target_os = "linux") && is_root {
        return true;
    }
    println!("skipped: needs root on Linux");
    false
}
