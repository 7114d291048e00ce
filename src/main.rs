use std::process::ExitCode;

fn main() -> ExitCode {
    topo::cli::run(std::env::args_os()).into()
}
