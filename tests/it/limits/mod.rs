//! What requests may take together, in memory, in processor time and in connections.

mod growth;
mod large_bodies;
mod shared_limits;
