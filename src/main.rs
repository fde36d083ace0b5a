//! Door of the binary. The commands come with the wings.

fn main() {}
