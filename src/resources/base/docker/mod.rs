//! What several kinds do alike with the engine's containers, images and networks.

pub mod built;
mod containers;
pub mod fixed_address;
pub mod kind_nodes;
pub mod networks;
pub mod own_image;
pub mod ownership;
pub mod published;
pub mod pulled;
