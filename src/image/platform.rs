//! Which images this machine runs.

use super::document::Platform;

impl Platform {
    /// This machine's, as compiled; on ARM the most that the target promises.
    pub fn ours() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            other => other,
        };
        let variant = match (architecture, cfg!(target_feature = "v7")) {
            ("arm", true) => "v7",
            ("arm", false) => "v6",
            _ => "",
        };
        Platform { os: "linux".into(), architecture: architecture.into(), variant: variant.into() }
    }

    /// How well an image for `other` runs on this platform: `None` not at all, more is better.
    ///
    /// An older variant of ARM runs on a newer one, not the other way round. Every arm64 is v8; a higher one, or a
    /// level of amd64 beyond the first, asks for instructions that the machine may not have.
    pub fn rank(&self, other: &Platform) -> Option<u8> {
        if self.os != other.os || self.architecture != other.architecture {
            return None;
        }
        let level = |variant: &str| variant.strip_prefix('v').and_then(|level| level.parse::<u8>().ok());
        let (mine, theirs) = match self.architecture.as_str() {
            "arm" => (level(&self.variant)?, level(&other.variant).unwrap_or(7)),
            "arm64" => (8, level(&other.variant).unwrap_or(8)),
            "amd64" => (1, level(&other.variant).unwrap_or(1)),
            _ => (0, 0),
        };
        (theirs <= mine).then_some(theirs)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let or_unknown = |text: &'_ str| if text.is_empty() { "unknown" } else { text }.to_owned();
        write!(f, "{}/{}", or_unknown(&self.os), or_unknown(&self.architecture))?;
        match self.variant.as_str() {
            "" => Ok(()),
            variant => write!(f, "/{variant}"),
        }
    }
}
