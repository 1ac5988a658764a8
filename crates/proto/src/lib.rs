//! Generated code of everything in `proto/`, and the descriptors that reflection serves.
//!
//! It knows nothing else of the project.

#[allow(clippy::all, clippy::pedantic, missing_docs, reason = "generated")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/exeunt.rs"));
}

pub use generated::exeunt::*;

/// The encoded `google.protobuf.FileDescriptorSet` of every file in `proto/` and what they import.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
