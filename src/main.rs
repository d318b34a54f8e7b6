//! The binary; it has no command yet.

fn main() {}
