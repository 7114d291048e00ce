use std::process::ExitCode;

/// A large topology is a great many small things, which the system's allocator is slow with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    topo::cli::run(std::env::args_os()).into()
}
