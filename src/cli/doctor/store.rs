//! Images: whether all that the store promises is there. What is inside of a layer is not read.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

use super::{Findings, Place};
use crate::image::Store;

pub fn check(place: &Place) -> Findings {
    let mut findings = Findings::new("images");
    let root = place.data.store();
    if let Err(error) = fs::read_dir(&root) {
        match error.kind() {
            ErrorKind::NotFound => findings.ok("there are none yet"),
            _ => findings.unseen(&root, &error),
        }
        return findings;
    }
    let images = match Store::read(&root).and_then(|store| store.list()) {
        Ok(images) => images,
        Err(error) => {
            findings.problem(
                format!("{} cannot be read: {error:#}", root.display()),
                format!(
                    "stop the agent, move {} away and start it: it takes the archives in again",
                    root.display()
                ),
            );
            return findings;
        }
    };
    let mut known = BTreeSet::new();
    for image in &images {
        let name = image.names.first().unwrap_or(&image.id);
        let lost: Vec<&String> =
            image.lower.iter().filter(|layer| !image.layers_dir.join(layer).is_dir()).collect();
        if let Some(layer) = lost.first() {
            findings.problem(
                format!("image {name}: layer {layer} is gone"),
                "restart the agent: it forgets the image; then put its archive into the images directory again",
            );
        }
        known.extend(image.lower.iter().cloned());
    }
    let unknown = |folder: &str, known: &BTreeSet<String>| {
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        entries.filter(|entry| !known.contains(&*entry.file_name().to_string_lossy())).count()
    };
    let (layers, halves) = (unknown("layers", &known), unknown("tmp", &BTreeSet::new()));
    // While somebody imports, there is always something that is not whole yet.
    if layers + halves != 0 && !is_locked(&root.join("lock")) {
        findings.warning(
            format!("{} holds {layers} layers and {halves} halves that no image has", root.display()),
            "restart the agent: it removes them",
        );
    }
    findings.ok(format!("{} image{} whole", images.len(), if images.len() == 1 { "" } else { "s" }));
    findings
}

fn is_locked(path: &std::path::Path) -> bool {
    crate::sys::lock::is_held(path).unwrap_or(false)
}
