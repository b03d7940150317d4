//! Rooms between real nodes: joining, hearing, speaking, leaving.

mod hearing;
