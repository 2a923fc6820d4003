//! Volumes: directories and files on the node, ready to be bound.
