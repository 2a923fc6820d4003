//! Bytes of manifests to objects and problems; pure.
