//! The relay tree loses members while its listeners hear someone speak: `examples/failover` in sizes fit for every day.
//! The full ones are in `examples/README.md`. And one whose member comes back.

mod asleep;
mod failover;
mod living;
