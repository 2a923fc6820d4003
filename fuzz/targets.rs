//! What each fuzz target does with its input: reads it as the program would, and panics where an invariant does not hold.
//! `tests/fuzz_corpus.rs` does the same with every file of the corpus, without a fuzzer.
#![allow(dead_code, reason = "each target uses one of them")]
#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use anyhow::{Result, bail};
use holdfast::image::{
    Budget, Configuration, Descriptor, Digest, Document, Documents, Limits, Platform, Reference, Source,
    Tarball, select, unpack_unverified,
};
use holdfast::registry::{Registries, Settings};
use serde_json::Value;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image's name: what is one is the same when it is read again, and leads nowhere in a path or an address.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(reference) = Reference::parse(text) else { return };
    let shown = reference.to_string();
    assert_eq!(Reference::parse(&shown).unwrap(), reference, "{shown}");
    assert!(shown.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte)), "{shown}");
    assert!(!shown.split('/').any(|part| part.is_empty() || part.starts_with('.')), "{shown}");
}

/// A manifest or an index: it is one of them, and never the other one for another reader.
pub fn manifest(data: &[u8]) {
    let value: Option<Value> = serde_json::from_slice(data).ok();
    let has =
        |key: &str| value.as_ref().is_some_and(|value| value.get(key).is_some_and(|one| !one.is_null()));
    for media_type in ["", INDEX, MANIFEST] {
        match Document::parse(data, media_type) {
            Ok(Document::Manifest(manifest)) => {
                assert!(media_type != INDEX && !has("manifests"));
                manifest.layers.iter().chain([&manifest.config]).for_each(|one| digest(&one.digest));
            }
            Ok(Document::Index(all)) => {
                assert!(media_type != MANIFEST && !has("layers") && !has("config"));
                all.iter().for_each(|one| digest(&one.digest));
            }
            Err(_) => {}
        }
    }
}

/// All documents of an image, separated by zero bytes, the one that is asked for first.
pub fn index(data: &[u8]) {
    struct All<'d>(Vec<&'d [u8]>);
    impl Documents for All<'_> {
        fn manifest(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
            match self.0.iter().find(|one| Digest::of(one) == descriptor.digest) {
                Some(found) => Ok(found.to_vec()),
                None => bail!("it is not there"),
            }
        }

        fn configuration(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
            self.manifest(descriptor)
        }

        fn check_layer(&self, _: &Descriptor) -> Result<()> {
            Ok(())
        }
    }
    let all: Vec<&[u8]> = data.split(|byte| *byte == 0).collect();
    let asked = Digest::of(all[0]);
    let top = Descriptor {
        media_type: String::new(),
        digest: asked.clone(),
        size: all[0].len() as u64,
        platform: None,
        annotations: None,
    };
    let Ok(found) = select(&mut All(all), top, &Platform::ours()) else { return };
    assert_eq!(found.id, Digest::of(&found.raw));
    assert!((1..128).contains(&found.layers.len()) && found.digests.contains(&asked));
    found.layers.iter().filter_map(|layer| layer.blob.as_ref()).for_each(digest);
}

/// An image's configuration: what is kept of it is no more than there was.
pub fn config(data: &[u8]) {
    let Ok(configuration) = Configuration::parse(data) else { return };
    configuration.diff_ids.iter().for_each(digest);
    let run = configuration.run;
    let texts = run.entrypoint.iter().chain(&run.cmd).chain(&run.env).chain([&run.user, &run.working_dir]);
    assert!(texts.map(String::len).sum::<usize>() <= data.len());
}

/// A layer: its entries lie within it, and it is unpacked into its folder and nowhere else.
pub fn tar(data: &[u8]) {
    layer(data);
    // A fuzzer finds no sums: what looks like a header gets the right one.
    let mut mended = data.to_vec();
    for header in mended.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    if mended != data {
        layer(&mended);
    }
}

fn layer(data: &[u8]) {
    let mut tarball = Tarball::new(Bytes(data));
    let mut count = 0;
    while let Ok(Some(entry)) = tarball.next_entry() {
        count += 1;
        assert!(512 * count <= data.len(), "{count} entries");
        assert!(!entry.path.contains(&0) && !entry.link.contains(&0));
        let mut end = 0;
        for (offset, length) in entry.segments.iter().flatten() {
            assert!(end <= *offset && offset + length <= entry.size, "{:?}", entry.segments);
            end = offset + length;
        }
        let mut content = Vec::new();
        if tarball.read_to_end(&mut content).is_err() {
            break;
        }
        assert!(content.len() <= data.len());
    }
    unpacked(data);
}

fn unpacked(data: &[u8]) {
    let cage = nix::unistd::mkdtemp(&std::env::temp_dir().join("holdfast-fuzz-XXXXXX")).unwrap();
    fs::write(cage.join("marker"), "untouched").unwrap();
    let layer = cage.join("layer");
    fs::create_dir(&layer).unwrap();
    let mut budget = Budget::new(Limits { entries: 1000, bytes: 1 << 20, free_percent: 0 });
    let unpacked = unpack_unverified(Bytes(data), &layer, &mut budget);
    assert!(unpacked.is_err() || unpacked.is_ok_and(|unpacked| unpacked.bytes <= 1 << 20));
    fs::remove_dir_all(&layer).unwrap();
    let mut left: Vec<_> = fs::read_dir(&cage).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["layer.recipe", "marker"]);
    let marker = cage.join("marker");
    assert_eq!((fs::read(&marker).unwrap(), marker.metadata().unwrap().nlink()), (b"untouched".to_vec(), 1));
    fs::remove_dir_all(cage).unwrap();
}

/// `registries.yaml`: who is asked by it has an address that fits into a request.
pub fn registries(data: &[u8]) {
    let Ok(registries) = Registries::read(data) else { return };
    let settings = Settings { registries, ..Settings::default() };
    for name in ["redis", "registry.test:5000/team/app:1", "localhost/x"] {
        let Ok(endpoints) = settings.endpoints(&Reference::parse(name).unwrap()) else { continue };
        for endpoint in endpoints {
            let _ = endpoint.identities();
            let url = endpoint.manifest("latest");
            assert!(
                url.target.starts_with('/') && url.target.bytes().all(|byte| (0x21..0x7f).contains(&byte))
            );
            assert!(!url.host.is_empty());
        }
    }
}

fn digest(digest: &Digest) {
    assert!(digest.hex().len() == 64 && digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()));
}

struct Bytes<'b>(&'b [u8]);

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Source for Bytes<'_> {}
