//! An image archive put into the images directory, against `tar -x` of the same file and then of its layer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::clock::{first_instruction, now};
use crate::harness::World;
use crate::harness::image::{run, target, tool, workload};
use crate::harness::pod::{pod, with, with_main};
use crate::table::compared;

/// Prints how long an image takes from the rename of its archive to its first instruction, so import and start together.
pub fn measure(runs: usize) {
    let mut world = World::without_agent();
    world.start_agent();
    let (mut imports, mut tars) = (Vec::new(), Vec::new());
    for number in 0..runs {
        let image = format!("holdfast.test/large:{number}");
        let archive = archive(&world, number, &image);
        let file = format!("/shared/import{number}");
        let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
        let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
        let name = format!("import{number}");
        let manifest = with(pod(&name, &["first-instruction", &file]), json!({"volumes": volumes}));
        let own = json!({"image": image, "imagePullPolicy": "Never", "volumeMounts": mounts});
        world.write(&format!("{name}.yaml"), &with_main(manifest, own));
        world.once(&name, "waits for its image", |pod| pod.reason() == "ErrImageNeverPull");
        let staged = world.archives().join(format!(".large{number}"));
        fs::copy(&archive, &staged).unwrap();
        let before = now();
        fs::rename(&staged, world.archives().join(format!("large{number}.tar"))).unwrap();
        imports.push(first_instruction(&world.shared().join(&name), 0) - before);
        tars.push(unpacked_by_tar(&world, &archive));
    }
    compared("archive rename to first instruction", imports, "tar -x, twice", tars);
}

/// A layer of some tens of megabytes and a thousand files: Debian's programs as unpacked for the tests, and the workload.
fn archive(world: &World, number: usize, image: &str) -> PathBuf {
    let layout = world.dir.join(format!("layout{number}")).display().to_string();
    let reference = format!("{layout}:image");
    let archive = world.dir.join(format!("large{number}.tar"));
    let mark = world.dir.join("mark");
    fs::write(&mark, number.to_string()).unwrap();
    run(tool("umoci").args(["init", "--layout", &layout]));
    run(tool("umoci").args(["new", "--image", &reference]));
    run(tool("umoci").args(["insert", "--image", &reference]).arg(workload()).arg("/workload"));
    run(tool("umoci").args(["insert", "--image", &reference]).arg(mark).arg("/mark"));
    run(tool("umoci")
        .args(["insert", "--image", &reference])
        .arg(target().join("debian/root/usr"))
        .arg("/usr"));
    run(tool("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", &format!("oci:{reference}")])
        .arg(format!("docker-archive:{}:{image}", archive.display())));
    archive
}

/// tar on the archive, then on the layers in it: what an unpacker has to do at least.
fn unpacked_by_tar(world: &World, archive: &Path) -> std::time::Duration {
    let to = world.dir.join("tar");
    let root = to.join("root");
    fs::create_dir_all(&root).unwrap();
    let before = now();
    run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&to));
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(to.join("manifest.json")).unwrap()).unwrap();
    for layer in manifest[0]["Layers"].as_array().unwrap() {
        // umoci leaves the last padding out, which tar unpacks all the same but ends with 2.
        let mut tar = Command::new("tar");
        tar.arg("-xf").arg(to.join(layer.as_str().unwrap())).arg("-C").arg(&root).stderr(Stdio::null());
        assert!(matches!(tar.status().unwrap().code(), Some(0 | 2)), "{tar:?}");
    }
    let took = now() - before;
    fs::remove_dir_all(to).unwrap();
    took
}
