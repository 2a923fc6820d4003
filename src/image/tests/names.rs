//! Names, digests, platforms and messages.

use std::collections::BTreeMap;

use super::*;

#[test]
fn names_are_normalised_as_docker_does() {
    let digest = format!("sha256:{}", "a1".repeat(32));
    for (text, normal) in [
        ("redis", "docker.io/library/redis:latest"),
        ("redis:7", "docker.io/library/redis:7"),
        ("bitnami/redis", "docker.io/bitnami/redis:latest"),
        ("index.docker.io/redis", "docker.io/library/redis:latest"),
        ("localhost/box:1", "localhost/box:1"),
        ("registry.local:5000/a/b/c", "registry.local:5000/a/b/c:latest"),
        ("registry:5000/box", "registry:5000/box:latest"),
        ("holdfast.local/hello:latest", "holdfast.local/hello:latest"),
        ("e/a.b__c--d:V1.0-rc_1", "docker.io/e/a.b__c--d:V1.0-rc_1"),
        (&format!("redis@{digest}"), &format!("docker.io/library/redis@{digest}")),
        (&format!("r.io/redis:7@{digest}"), &format!("r.io/redis:7@{digest}")),
    ] {
        assert_eq!(Reference::parse(text).unwrap().to_string(), normal, "{text}");
        assert_eq!(Reference::parse(normal).unwrap().to_string(), normal);
    }
}

#[test]
fn what_is_no_name_is_told_so() {
    let digest = "b2".repeat(32);
    for (text, reason) in [
        ("", "must not be empty"),
        ("Redis", "must be lower case"),
        ("docker.io/Redis", "must be lower case"),
        ("a//b", "is empty"),
        ("redis:", "is no tag"),
        ("redis:a/b", "is no port"),
        ("redis:.7", "is no tag"),
        (&format!("redis:{}", "x".repeat(129)), "is no tag"),
        ("r.io:port/redis", "is no port"),
        ("r.io:+80/redis", "is no port"),
        ("r..io/redis", "is no host name"),
        ("-r.io/redis", "is no host name"),
        ("a..b/redis:1", "is no host name"),
        ("a/b..c", "is no part"),
        ("a/_b", "is no part"),
        ("a/../b", "is no part"),
        ("redis@sha512:1234", "only sha256"),
        ("redis@1234", "is no digest"),
        (&format!("redis@sha256:{}", digest.to_uppercase()), "lower-case"),
        (&digest, "64 hexadecimal digits are an id"),
        (&"x".repeat(300), "longer than"),
        ("red\nis", "is no part"),
    ] {
        let error = Reference::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text:?}: {error}");
    }
}

#[test]
fn a_digest_is_never_a_path() {
    let hex = "0f".repeat(32);
    assert_eq!(Digest::parse(&format!("sha256:{hex}")).unwrap().hex(), hex);
    for text in [
        "sha256:../../x",
        "sha256:",
        "sha256",
        "../x:y",
        &format!("sha256:{hex}0"),
        &format!("sha256:/{}", &hex[1..]),
    ] {
        assert!(Digest::parse(text).is_err(), "{text}");
    }
    assert_eq!(Digest::of(b"").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn an_older_arm_runs_on_a_newer_one_only() {
    let platform = |text: &str| {
        let mut parts = text.split('/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Platform { os: next(), architecture: next(), variant: next() }
    };
    for (ours, theirs, fits) in [
        ("linux/amd64", "linux/amd64", true),
        ("linux/amd64", "linux/amd64/v1", true),
        ("linux/amd64", "linux/amd64/v3", false),
        ("linux/amd64", "linux/386", false),
        ("linux/amd64", "windows/amd64", false),
        ("linux/arm64", "linux/arm64/v8", true),
        ("linux/arm64", "linux/arm64/v9", false),
        ("linux/arm64", "linux/arm/v7", false),
        ("linux/arm/v7", "linux/arm/v6", true),
        ("linux/arm/v7", "linux/arm", true),
        ("linux/arm/v6", "linux/arm/v7", false),
        ("linux/riscv64", "linux/riscv64", true),
    ] {
        assert_eq!(platform(ours).rank(&platform(theirs)).is_some(), fits, "{theirs} on {ours}");
    }
    assert!(
        platform("linux/arm/v7").rank(&platform("linux/arm/v7"))
            > platform("linux/arm/v7").rank(&platform("linux/arm/v6"))
    );
}

/// Threat 32: a name is a claim, and the last one who makes it is believed, once. A digest is none.
#[test]
fn of_two_archives_that_fight_over_a_name_the_later_one_has_it_and_a_digest_stays() {
    let world = World::new();
    let (a, b) = (by_hand::layer("a"), by_hand::layer("b"));
    let config = config(std::slice::from_ref(&a));
    let manifest = json!({ "config": descriptor(&config), "layers": [descriptor(&a)] }).to_string();
    let mut top = descriptor(manifest.as_bytes());
    top["annotations"] = json!({ "io.containerd.image.name": "docker.io/t/t:1" });
    let first = oci(&json!({ "manifests": [top] }), &[&a, &config, manifest.as_bytes()]);
    fs::write(world.path("a.tar"), first).unwrap();
    fs::write(world.path("b.tar"), docker("t/t:1", &[b])).unwrap();
    let store = world.store();
    assert_eq!(store.import(&world.path("a.tar")).unwrap()[0].moved, [""; 0]);
    let pinned = Reference::parse(&format!("t/t@{}", Digest::of(manifest.as_bytes()))).unwrap();
    let before = store.find(&pinned).unwrap().unwrap();
    let told = store.import(&world.path("b.tar")).unwrap().remove(0);
    assert_eq!(told.moved, ["docker.io/t/t:1"], "it is told whose name it takes");
    // As an agent looks at its archives, again and again, and the next agent.
    for _ in 0..2 {
        for archive in ["a.tar", "b.tar"] {
            assert_eq!(world.store().import(&world.path(archive)).unwrap(), []);
        }
    }
    let named = store.find(&Reference::parse("t/t:1").unwrap()).unwrap().unwrap();
    let by_digest = store.find(&pinned).unwrap().unwrap();
    assert_eq!((&named.id, &by_digest.id, by_digest.lower), (&told.id, &before.id, before.lower));
}

#[test]
fn who_misses_an_image_is_told_which_file_to_put_where() {
    let folder = Path::new("/var/lib/rancher/k3s/agent/images");
    let text = absent_message(&Reference::parse("redis:7").unwrap(), None, folder, &BTreeMap::new());
    let expected = "image docker.io/library/redis:7 is not on this node and no registry is configured: put an archive of \
                    it into /var/lib/rancher/k3s/agent/images, for example by `skopeo copy \
                    docker://docker.io/library/redis:7 docker-archive:redis.tar:docker.io/library/redis:7`";
    assert_eq!(text, expected);
    let digest = format!("redis@sha256:{}", "a1".repeat(32));
    let text = absent_message(&Reference::parse(&digest).unwrap(), None, folder, &BTreeMap::new());
    assert!(text.ends_with(&format!("docker://docker.io/library/{digest} oci-archive:redis.tar`")), "{text}");
}

#[test]
fn who_misses_an_image_is_told_which_archives_are_of_no_use() {
    let unusable = BTreeMap::from([("arm.tar".to_owned(), "has images for linux/arm64 only".to_owned())]);
    let text = absent_message(&Reference::parse("redis:7").unwrap(), None, Path::new("/images"), &unusable);
    assert!(text.ends_with("; of no use there: arm.tar (has images for linux/arm64 only)"), "{text}");
}
