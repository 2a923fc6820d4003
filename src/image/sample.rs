//! A sample image: one static program, so that there is something to run with no registry and no other tool.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Digest, Platform, Reference};

/// Writes a docker archive to `out`: an image `name` with nothing in it but the static program `binary`, as `/holdfast`,
/// which is run as `/holdfast hello`.
///
/// The same program gives the same bytes.
pub fn sample(binary: &Path, out: &Path, name: &str) -> Result<()> {
    let name = Reference::parse(name)?.to_string();
    let mut program = Vec::new();
    let opened = File::open(binary).and_then(|mut file| file.read_to_end(&mut program));
    opened.with_context(|| format!("read {}", binary.display()))?;
    let write = || -> io::Result<()> {
        let layer = archive(&[("holdfast", 0o755, &program)])?;
        drop(program);
        let config = configuration(&Digest::of(&layer));
        let config_name = format!("{}.json", Digest::of(&config).hex());
        let manifest = json!([{ "Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"] }]);
        let manifest = serde_json::to_vec(&manifest)?;
        let members: [(&str, u32, &[u8]); 3] = [
            ("layer.tar", 0o644, &layer),
            (&config_name, 0o644, &config),
            ("manifest.json", 0o644, &manifest),
        ];
        File::create(out)?.write_all(&archive(&members)?)
    };
    write().with_context(|| format!("write {}", out.display()))
}

fn configuration(layer: &Digest) -> Vec<u8> {
    let platform = Platform::ours();
    let mut config = json!({
        "architecture": platform.architecture,
        "os": platform.os,
        "config": { "Entrypoint": ["/holdfast", "hello"] },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
    });
    if !platform.variant.is_empty() {
        config["variant"] = platform.variant.into();
    }
    config.to_string().into_bytes()
}

fn archive(members: &[(&str, u32, &[u8])]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, mode, content) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_cksum();
        archive.append_data(&mut header, name, *content)?;
    }
    archive.into_inner()
}
