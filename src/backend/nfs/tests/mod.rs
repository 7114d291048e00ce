//! Faults that real servers do not produce on demand, from a server in memory.

mod anything;
mod faults;
mod records;
mod server;
