//! The engine and the planner together, on a world in memory that really changes.

mod cases;
mod fake;
mod generate;
mod new_kind;
mod note;
mod properties;
