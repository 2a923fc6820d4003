#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// PEM with `text` in base 64 where a certificate would be.
fn pem(text: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[test]
fn authorities_of_the_machine_are_read_once_each() {
    let place = std::env::temp_dir().join(format!("holdfast-authorities-{}", std::process::id()));
    fs::create_dir_all(place.join("certs/more")).unwrap();
    let file = |name: &str| place.join(name).to_str().unwrap().to_owned();
    fs::write(file("second"), pem("AAAA") + &pem("AAAB")).unwrap();
    fs::write(file("third"), pem("AAAZ")).unwrap();
    fs::write(file("certs/same.pem"), pem("AAAB")).unwrap();
    fs::write(file("certs/added.crt"), pem("AAAC")).unwrap();
    fs::write(file("certs/README"), "nothing").unwrap();
    symlink("added.crt", file("certs/0a1b2c3d.0")).unwrap();
    symlink("nowhere", file("certs/dangling")).unwrap();
    let bundles = [file("first"), file("second"), file("third")];
    let folders = [file("certs"), file("absent")];
    let found = trust::of_machine(&bundles.each_ref().map(|f| &**f), &folders.each_ref().map(|f| &**f));
    let found: Vec<u8> = found.iter().map(|certificate| certificate[2]).collect();
    assert_eq!(found, [0, 1, 2]);
    fs::remove_dir_all(&place).unwrap();
}

/// What is built in is enough, whatever the machine has.
#[test]
fn mozillas_authorities_are_built_in() {
    let names = webpki_roots::TLS_SERVER_ROOTS;
    assert!(100 < names.len());
    assert!(names.len() <= trust::roots(&[]).unwrap().len());
}
