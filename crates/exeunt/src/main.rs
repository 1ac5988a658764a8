//! The program: all services in one process, and the command line for people.

use std::process::ExitCode;

fn main() -> ExitCode {
    exeunt::cli::main()
}
