//! Images on disk: archives in, layers and configurations out.
