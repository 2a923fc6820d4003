//! The pod lifecycle, as a function; pure.
