//! The outside shape of spec and status: core/v1 objects and the published files.
