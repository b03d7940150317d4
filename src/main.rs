//! The majlis program.
fn main() {}
