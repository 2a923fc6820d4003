//! The cgroups of pods, version 1 and 2.
