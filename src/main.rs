//! Parses the verb, sets up logging, calls it, turns the result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    chudong::telemetry::init();
    chudong::cli::main()
}
