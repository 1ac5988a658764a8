//! The program: all services in one process, and the command line for people.

use std::process::ExitCode;

/// Every step allocates on one thread what another frees; docs/benchmarks.md says what this one saves.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exeunt::cli::main()
}
