//! What only one topology may have of an engine: addresses of networks, ports of its machine.

use crate::resources::base::claim::Reservation;
use crate::topology::Listen;

#[derive(Debug, Default)]
pub struct Holdings {
    pub addresses: Vec<Reservation>,
    /// What publishes them, as a person names it, and where.
    pub ports: Vec<(&'static str, Listen)>,
}
