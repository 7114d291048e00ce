//! What several kinds do alike with the engine's containers and images.

mod containers;
pub mod fixed_address;
pub mod own_image;
pub mod ownership;
pub mod pulled;
