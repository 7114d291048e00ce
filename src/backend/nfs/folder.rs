//! What is done in an exported folder, in whichever version of the protocol.

use std::future::Future;

use tokio::time::Instant;

use super::fault::{Failed, Owner};

/// Bits of ACCESS, the same in versions 3 and 4.
pub const READ: u32 = 1;
pub const LOOKUP: u32 = 2;
pub const MODIFY: u32 = 4;
pub const EXTEND: u32 = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    pub is_folder: bool,
    pub owner: Owner,
}

/// An exported folder that has been opened, and at most one file in it that was made in the trial.
pub trait Folder: Send {
    /// From now on answers are waited for up to then.
    fn wait_until(&mut self, until: Instant);

    fn attributes(&mut self) -> impl Future<Output = Result<Attributes, Failed>> + Send;

    /// Which of these bits of access the server grants.
    fn access(&mut self, bits: u32) -> impl Future<Output = Result<u32, Failed>> + Send;

    /// Makes a file that is not there yet, and opens it.
    fn create(&mut self, name: &str) -> impl Future<Output = Result<(), Failed>> + Send;

    fn write(&mut self, data: &[u8]) -> impl Future<Output = Result<(), Failed>> + Send;

    fn read(&mut self, most: u32) -> impl Future<Output = Result<Vec<u8>, Failed>> + Send;

    fn owner(&mut self) -> impl Future<Output = Result<Owner, Failed>> + Send;

    fn close(&mut self) -> impl Future<Output = Result<(), Failed>> + Send;

    fn remove(&mut self, name: &str) -> impl Future<Output = Result<(), Failed>> + Send;

    /// Gives back what the server keeps for this client.
    fn leave(&mut self) -> impl Future<Output = ()> + Send;

    /// What the server says that it is.
    fn server(&self) -> Option<&str>;
}
