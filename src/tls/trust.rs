//! Authorities: Mozilla's, the machine's, and those of files.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Where distributions keep all authorities in one file: Debian and Buildroot, Fedora, openSUSE, Alpine. The first that is there counts.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Where they have one each; those of the bundle too, as a rule.
const FOLDERS: &[&str] = &["/etc/ssl/certs", "/etc/pki/tls/certs"];
/// Longest file that is read: four times Debian's bundle.
const LONGEST: u64 = 1024 * 1024;

/// All authorities: those built in, the machine's, and those of `files`.
///
/// The machine's may be anything: what of it is of no use is left out, as Go does.
pub fn roots(files: &[PathBuf]) -> Result<RootCertStore> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(of_machine(BUNDLES, FOLDERS));
    for file in files {
        for certificate in certificates(file)? {
            roots
                .add(certificate)
                .with_context(|| format!("trust the certificates in {}", file.display()))?;
        }
    }
    Ok(roots)
}

/// What is found in the first of `bundles` and in all of `folders`.
pub fn of_machine(bundles: &[&str], folders: &[&str]) -> Vec<CertificateDer<'static>> {
    let bundle = bundles.iter().map(PathBuf::from).find(|bundle| bundle.exists());
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    // Directories have no text, and the links of a name's hash to its neighbour are read by their neighbour's name.
    let files = entries.map(|entry| entry.path()).filter(|path| !is_link_to_neighbour(path));
    let all = bundle.into_iter().chain(files).filter_map(|file| certificates(&file).ok());
    let mut all: Vec<_> = all.flatten().collect();
    all.sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
    all.dedup();
    all
}

fn is_link_to_neighbour(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|target| target.components().count() == 1)
}

/// The certificates in the PEM file `path`. Fails where there is none, or one that is damaged.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = text(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    // Its own words are few, and those of a debugger.
    let certificates = certificates.map_err(|error| anyhow!("{error}"));
    match certificates.with_context(|| format!("read the certificates in {}", path.display()))? {
        none if none.is_empty() => {
            bail!(
                "{}: no certificate in it; it should be PEM, with -----BEGIN CERTIFICATE-----",
                path.display()
            )
        }
        some => Ok(some),
    }
}

/// The text of `path`.
pub fn text(path: &Path) -> Result<Vec<u8>> {
    let context = || format!("read {}", path.display());
    let mut text = Vec::new();
    // Asked first: the mere opening of a pipe would wait for a writer.
    if !fs::metadata(path).with_context(context)?.is_file() {
        bail!("read {}: it is no file", path.display());
    }
    let file = File::open(path).with_context(context)?;
    file.take(LONGEST + 1).read_to_end(&mut text).with_context(context)?;
    if LONGEST < text.len() as u64 {
        bail!("read {}: longer than {LONGEST} bytes", path.display());
    }
    Ok(text)
}
