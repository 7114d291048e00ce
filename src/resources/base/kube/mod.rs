//! What several kinds do alike with objects in the cluster.

pub mod chart;
pub mod compare;
pub mod copies;
pub mod drift;
pub mod inside;
pub mod inventory;
pub mod kustomization;
pub mod listing;
pub mod made;
pub mod objects;
pub mod pods;
pub mod ready;
pub mod service;
