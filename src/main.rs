//! The `corpuscle` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    corpuscle::cli::main()
}
