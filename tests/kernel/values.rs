//! Values out of the pod, the node, ConfigMaps and Secrets: in variables and in volumes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::kernel::signal;
use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{A_WHILE, SOON, Seen, World, eventually, stays_true_for};

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn secret(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
}

fn of_key(name: &str, kind: &str, of: &str, key: &str) -> Value {
    json!({"name": name, "valueFrom": {kind: {"name": of, "key": key}}})
}

/// The variables of `main`, as its process has them.
fn variables(world: &World, name: &str) -> Vec<String> {
    let status = world.exec(name, &["status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    status.lines().filter_map(|line| line.strip_prefix("env.")).map(str::to_owned).collect()
}

fn has(variables: &[String], name: &str, value: &str) {
    let wanted = format!("{name}: {value}");
    assert!(variables.contains(&wanted), "no {wanted} among {variables:#?}");
}

fn message(pod: &Seen) -> String {
    pod.main()["state"]["waiting"]["message"].as_str().unwrap_or_default().to_owned()
}

/// A pod that sleeps well, with the volume `v` at `/v`.
fn with_volume(name: &str, volume: Value) -> Value {
    let mut volume = volume;
    volume["name"] = json!("v");
    let mounted =
        with_main(pod(name, &["trap-term"]), json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}));
    with(mounted, json!({"volumes": [volume]}))
}

/// What the container reads in a file.
fn reads(world: &World, name: &str, file: &str) -> Option<String> {
    let output = world.exec(name, &["cat", file]);
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// Where the volume `v` of the pod is on the node.
fn volume(world: &World, name: &str) -> PathBuf {
    world.runtime.join("pods").join(world.running(name).uid()).join("volumes/v")
}

/// 8.05, 9.06 and 9.07
#[test]
fn variables_tell_the_pod_of_itself_and_of_its_node() {
    let world = World::new();
    let field =
        |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let amount = |name: &str, resource: &str, divisor: &str| json!({"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": divisor}}});
    let mut manifest = with_main(
        pod("self", &["trap-term"]),
        json!({
            "resources": {"requests": {"cpu": "20m"}, "limits": {"memory": "33Mi"}},
            "env": [
                field("NAME", "metadata.name"), field("NAMESPACE", "metadata.namespace"), field("UID", "metadata.uid"),
                field("NODE", "spec.nodeName"), field("NOTE", "metadata.annotations['app']"),
                field("HOST", "status.hostIP"), field("HOSTS", "status.hostIPs"), field("POD", "status.podIP"),
                amount("CPU", "limits.cpu", "1"), amount("ASKED", "requests.cpu", "1m"),
                amount("MEMORY", "limits.memory", "1Mi"), amount("DISK", "limits.ephemeral-storage", "1Ki"),
                {"name": "ALL", "value": "$(NAME) on $(NODE)"},
            ],
        }),
    );
    manifest["metadata"]["annotations"] = json!({"app": "$(NAME)"});
    world.write("self.yaml", &with(manifest, json!({"hostNetwork": true})));
    let seen = world.running("self");
    let found = variables(&world, "self");
    let node: Value = serde_json::from_str(&world.says(&["get", "node", "-o", "json"])).unwrap();
    let node = if node["items"].is_array() { node["items"][0].clone() } else { node };
    let addresses = node["status"]["addresses"].as_array().unwrap();
    let address = addresses.iter().find(|address| address["type"] == "InternalIP");
    let address = address.map_or("", |found| found["address"].as_str().unwrap());
    assert_eq!(seen.0["status"]["hostIP"].as_str().unwrap_or_default(), address);
    assert_eq!(seen.0["status"]["podIP"], seen.0["status"]["hostIP"]);
    let name = world.pod_name("self");
    for (variable, value) in [
        ("NAME", name.as_str()),
        ("NAMESPACE", "default"),
        ("UID", &seen.uid()),
        ("NODE", &world.name),
        // What was taken from elsewhere is not expanded.
        ("NOTE", "$(NAME)"),
        ("HOST", address),
        ("HOSTS", address),
        ("POD", address),
        ("CPU", node["status"]["allocatable"]["cpu"].as_str().unwrap()),
        ("ASKED", "20"),
        ("MEMORY", "33"),
        ("DISK", node["status"]["allocatable"]["ephemeral-storage"].as_str().unwrap().trim_end_matches("Ki")),
        ("ALL", &format!("{name} on {}", world.name)),
    ] {
        has(&found, variable, value);
    }
}

/// A missing one is told with the file that would cure it, and is not waited for when it is there.
#[test]
fn a_pod_waits_for_the_config_map_and_the_secret_that_it_names() {
    let world = World::new();
    let env = json!({
        "envFrom": [
            {"prefix": "CM_", "configMapRef": {"name": "settings"}},
            {"configMapRef": {"name": "none", "optional": true}},
        ],
        "env": [
            of_key("COLOUR", "configMapKeyRef", "settings", "colour"),
            of_key("PASSWORD", "secretKeyRef", "login", "password"),
            {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "login", "key": "none", "optional": true}}},
            {"name": "URL", "value": "db://$(PASSWORD)@$(CM_host)"},
        ],
    });
    world.write("web.yaml", &with_main(pod("web", &["trap-term"]), env));
    let waits = |what: &str| {
        let what = what.to_owned();
        world.once("web", &what.clone(), move |pod| {
            pod.reason() == "CreateContainerConfigError" && message(pod).contains(&what)
        })
    };
    let seen = waits("configmap \"settings\" not found");
    let file = world.manifests().join("web.yaml");
    assert!(message(&seen).contains(&file.display().to_string()), "{}", message(&seen));
    assert_eq!(seen.phase(), "Pending");
    world.reported(&["web.yaml", "there is no ConfigMap default/settings"]);
    world.write("settings.yaml", &config_map("settings", json!({"host": "h"})));
    waits("couldn't find key colour in ConfigMap default/settings");
    world.write("settings.yaml", &config_map("settings", json!({"host": "h", "colour": "red"})));
    waits("secret \"login\" not found");
    world.write("login.yaml", &secret("login", json!({"password": "hush"})));
    world.running("web");
    let found = variables(&world, "web");
    for (name, value) in [
        ("CM_host", "h"),
        ("CM_colour", "red"),
        ("COLOUR", "red"),
        ("PASSWORD", "hush"),
        ("URL", "db://hush@h"),
    ] {
        has(&found, name, value);
    }
    assert!(!found.iter().any(|variable| variable.starts_with("NONE")));
    let said = world.reported(&["settings.yaml", "login.yaml"]);
    assert!(!said.contains("there is no"), "{said}");
}

/// 9.08, and the same of ConfigMaps and Secrets: what is in a volume, where, and with which mode.
#[test]
fn volumes_hold_values_as_files_with_their_modes() {
    let world = World::new();
    let sources = json!([
        {"configMap": {"name": "settings", "items": [{"key": "a.conf", "path": "etc/deep/a.conf"}]}},
        {"secret": {"name": "login", "items": [{"key": "password", "path": "password", "mode": 256}]}},
        {"configMap": {"name": "none", "optional": true}},
        {"downwardAPI": {"items": [
            {"path": "pod/labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "pod/cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu", "divisor": "1m"}},
        ]}},
    ]);
    let manifest = with_volume("web", json!({"projected": {"sources": sources}}));
    let manifest = serde_json::to_string(&manifest).unwrap();
    // In YAML a mode may be octal.
    let manifest = manifest.replace("{\"sources\"", "{\"defaultMode\": 0440, \"sources\"");
    let manifest = manifest.replace("\"name\":\"web\"", "\"name\":\"web\",\"labels\":{\"app\":\"web\"}");
    let map = config_map("settings", json!({"a.conf": "a = 1\n"})).to_string();
    let login = secret("login", json!({"password": "hush"})).to_string();
    world.write_text("all.yaml", &["# one file\n", &manifest, "\n---\n", &map, "\n---\n", &login].concat());
    world.running("web");
    for (file, text) in [
        ("/v/etc/deep/a.conf", "a = 1\n"),
        ("/v/password", "hush"),
        ("/v/pod/labels", "app=\"web\""),
        ("/v/..data/password", "hush"),
    ] {
        assert_eq!(reads(&world, "web", file).as_deref(), Some(text), "{file}");
    }
    let allocatable: u64 = reads(&world, "web", "/v/pod/cpu").unwrap().parse().unwrap();
    assert!(1000 <= allocatable, "{allocatable}");
    let place = volume(&world, "web");
    let mode = |path: &str| place.join(path).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("etc/deep/a.conf"), mode("password"), mode("etc/deep")), (0o440, 0o400, 0o755));
    assert_eq!(fs::read_link(place.join("etc")).unwrap(), PathBuf::from("..data/etc"));
    let output = world.exec("web", &["write", "/v/password", "x"]);
    assert!(!output.status.success(), "it is read-only");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("Read-only") || error.contains("ReadOnlyFilesystem"), "{error}");
}

/// A tmpfs that goes with the story.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let gone = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
        assert!(gone.is_ok() || std::thread::panicking(), "{gone:?}");
    }
}

/// A script in a volume can be run, though Debian and Ubuntu mount `/run` with noexec.
#[test]
fn a_file_of_a_config_map_can_be_executed_where_the_runtime_directory_cannot() {
    let mut world = World::without_agent();
    fs::create_dir(&world.runtime).unwrap();
    let noexec = nix::mount::MsFlags::MS_NOEXEC;
    nix::mount::mount(Some("tmpfs"), &world.runtime, Some("tmpfs"), noexec, None::<&str>).unwrap();
    let mounted = Mounted(world.runtime.clone());
    world.start_agent();
    let program = json!({"configMap": {"name": "run", "defaultMode": 0o755}});
    let manifest = with_main(with_volume("web", program), json!({"command": ["/v/run"]}));
    world.write("run.yaml", &config_map("run", json!({"run": "#!/workload status"})));
    world.write("web.yaml", &manifest);
    // The kernel hands the script's own name on, of which the workload knows nothing: that it ends by itself shows it runs.
    eventually(SOON, "it ran", || {
        let pod = world.pod("web")?;
        let text = pod.0["status"]["containerStatuses"][0].to_string();
        assert!(!text.contains("StartError"), "{text}");
        text.contains("exitCode").then_some(())
    });
    world.down();
    drop(mounted);
}

/// Where the runtime directory is on a disk, values of Secrets stay in the manifest; ConfigMaps are as everywhere.
#[test]
fn values_of_secrets_go_to_no_disk() {
    let mut world = World::without_agent();
    world.runtime = world.dir.join("run");
    let on_disk = nix::sys::statfs::statfs(&world.dir).unwrap().filesystem_type();
    assert_ne!(on_disk, nix::sys::statfs::TMPFS_MAGIC, "this needs a TMPDIR on a disk");
    world.start_agent();
    let value = "kx7-Zq1-hush-disk-0451";
    world.write("login.yaml", &secret("login", json!({"password": value})));
    world.write("settings.yaml", &config_map("settings", json!({"a": "1"})));
    let env = |kind: &str, of: &str, key: &str| json!({"env": [of_key("X", kind, of, key)]});
    world.write("env.yaml", &with_main(pod("env", &["trap-term"]), env("secretKeyRef", "login", "password")));
    world.write("file.yaml", &with_volume("file", json!({"secret": {"secretName": "login"}})));
    let both = with_main(
        with_volume("map", json!({"configMap": {"name": "settings"}})),
        env("configMapKeyRef", "settings", "a"),
    );
    world.write("map.yaml", &both);
    world.running("map");
    let why = "values of Secrets are kept in memory only";
    world.once("env", "waits", |pod| {
        pod.reason() == "CreateContainerConfigError" && message(pod).contains(why)
    });
    eventually(SOON, "the other waits too", || {
        world.says(&["describe", "pod", &world.pod_name("file")]).contains(why).then_some(())
    });
    let last_good = world.data().join("agent/holdfast/last-good");
    let theirs = [world.manifests(), last_good];
    for path in files_below(&world.dir) {
        if theirs.iter().any(|theirs| path.starts_with(theirs)) {
            continue;
        }
        let text = fs::read(&path).unwrap_or_default();
        assert_eq!(worn(&clothes_of(value), &text), None, "{}", path.display());
    }
}

/// A change comes without a restart; a missing volume source is waited for as the kubelet does (8.03).
#[test]
fn a_change_reaches_volumes_of_pods_that_run() {
    let mut world = World::new();
    world.write("web.yaml", &with_volume("web", json!({"configMap": {"name": "settings"}})));
    world.once("web", "is there", |_| true);
    let described = || world.says(&["describe", "pod", &world.pod_name("web")]);
    eventually(SOON, "it is told what is missing", || {
        let text = described();
        (text.contains("FailedMount") && text.contains("configmap \"settings\" not found")).then_some(())
    });
    world.write("settings.yaml", &config_map("settings", json!({"a": "1", "b": "1"})));
    let before = world.running("web").life();
    assert_eq!(reads(&world, "web", "/v/a").as_deref(), Some("1"));
    world.write("settings.yaml", &config_map("settings", json!({"a": "2", "c": "2"})));
    eventually(SOON, "the change is there", || (reads(&world, "web", "/v/a")? == "2").then_some(()));
    assert_eq!(reads(&world, "web", "/v/c").as_deref(), Some("2"));
    eventually(SOON, "what went is gone", || reads(&world, "web", "/v/b").is_none().then_some(()));
    // One that is broken or gone takes nothing away, and the next agent knows it too.
    world.write_text("settings.yaml", "kind: [");
    world.reported(&["settings.yaml", "ConfigMap default/settings (as it was)"]);
    world.kill_agent();
    world.start_agent();
    assert_eq!(reads(&world, "web", "/v/a").as_deref(), Some("2"));
    world.remove("settings.yaml");
    stays_true_for(A_WHILE, "its files stay", || reads(&world, "web", "/v/a").as_deref() == Some("2"));
    // What changes while no agent is there is brought by the next.
    world.kill_agent();
    world.write("settings.yaml", &config_map("settings", json!({"a": "3"})));
    world.start_agent();
    eventually(SOON, "the change is there", || (reads(&world, "web", "/v/a")? == "3").then_some(()));
    assert_eq!(world.running("web").life(), before, "and nothing was restarted");
    let names = fs::read_dir(volume(&world, "web")).unwrap().count();
    assert_eq!(names, 3, "a link, ..data and one directory");
}

#[test]
fn a_pod_that_asks_for_it_is_started_anew_by_a_change() {
    let world = World::new();
    let env = json!({"env": [of_key("COLOUR", "configMapKeyRef", "settings", "colour")]});
    let mut manifest = with_main(pod("web", &["trap-term"]), env);
    world.write("settings.yaml", &config_map("settings", json!({"colour": "red"})));
    world.write("calm.yaml", &with(manifest.clone(), json!({"hostname": "calm"})));
    manifest["metadata"] =
        json!({"name": "keen", "annotations": {"holdfast.io/restart-on-config-change": "true"}});
    world.write("keen.yaml", &manifest);
    let (calm, keen) = (world.running("web"), world.running("keen"));
    world.write("settings.yaml", &config_map("settings", json!({"colour": "blue"})));
    let new = world.once("keen", "is another", |pod| pod.uid() != keen.uid() && pod.is("Ready"));
    has(&variables(&world, "keen"), "COLOUR", "blue");
    has(&variables(&world, "web"), "COLOUR", "red");
    assert_eq!((world.running("web").life(), new.restarts()), (calm.life(), 0));
}

/// 9.09 (one and several containers), 9.10, 9.11: variables of a file in an emptyDir.
#[test]
fn variables_come_from_a_file_in_an_empty_dir() {
    let world = World::new();
    let of_file = |name: &str, key: &str, optional: bool| {
        let of = json!({"volumeName": "v", "path": "env", "key": key, "optional": optional});
        json!({"name": name, "valueFrom": {"fileKeyRef": of}})
    };
    let manifest = with_volume("web", json!({"emptyDir": {}}));
    let mut manifest =
        with_main(manifest, json!({"env": [of_file("A", "A", false), of_file("N", "NONE", true)]}));
    let mut writer = container("writer", &["write", "/v/env", "# so\nA='one\ntwo'\n"]);
    writer["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    manifest["spec"]["containers"].as_array_mut().unwrap().push(writer);
    world.write("web.yaml", &manifest);
    world.running("web");
    let status = String::from_utf8(world.exec("web", &["status"]).stdout).unwrap();
    assert!(status.contains("env.A: one\ntwo"), "{status}");
    assert!(!status.contains("env.N:"));
    // 9.10
    let missing = with_volume("missing", json!({"emptyDir": {}}));
    world.write("missing.yaml", &with_main(missing, json!({"env": [of_file("A", "A", false)]})));
    let seen = world.once("missing", "waits", |pod| pod.reason() == "CreateContainerConfigError");
    assert!(message(&seen).contains("file \"env\" of volume \"v\""), "{}", message(&seen));
}

/// Threat 8, CVE-2017-1002102 and CVE-2025-9566: a container that has the node's side of the volume in its hands puts links
/// in the way of the next change. Nothing outside is written to, and the change arrives.
#[test]
fn links_in_the_way_of_a_change_lead_nowhere() {
    let world = World::new();
    world.write("settings.yaml", &config_map("settings", json!({"a": "1", "b": "1"})));
    let items = json!([{"key": "a", "path": "a"}, {"key": "b", "path": "deep/b"}]);
    world.write("web.yaml", &with_volume("web", json!({"configMap": {"name": "settings", "items": items}})));
    let place = volume(&world, "web");
    let outside = world.shared().join("outside");
    fs::create_dir_all(outside.join("deep")).unwrap();
    let (file, inner) = (outside.join("a"), outside.join("deep/b"));
    let mut content = 1;
    let data = fs::read_link(place.join("..data")).unwrap();
    let attacks: [&dyn Fn(&PathBuf); 6] = [
        // The files themselves, as they were served.
        &|place| {
            let data = place.join(fs::read_link(place.join("..data")).unwrap());
            fs::remove_file(data.join("a")).unwrap();
            symlink(&file, data.join("a")).unwrap();
        },
        // The directory below.
        &|place| {
            let data = place.join(fs::read_link(place.join("..data")).unwrap());
            fs::remove_dir_all(data.join("deep")).unwrap();
            symlink(outside.join("deep"), data.join("deep")).unwrap();
        },
        // The link that is swapped, and what it is made as.
        &|place| {
            fs::remove_file(place.join("..data")).unwrap();
            symlink(&outside, place.join("..data")).unwrap();
            symlink(&outside, place.join("..data_tmp")).unwrap();
        },
        // A directory where a link must be.
        &|place| {
            fs::remove_file(place.join("..data")).unwrap();
            fs::create_dir_all(place.join("..data/deep")).unwrap();
            symlink(&outside, place.join("..data/deep/out")).unwrap();
        },
        // The links that are seen.
        &|place| {
            fs::remove_file(place.join("a")).unwrap();
            symlink(&file, place.join("a")).unwrap();
            fs::remove_file(place.join("deep")).unwrap();
            symlink(outside.join("deep"), place.join("deep")).unwrap();
        },
        // The whole volume.
        &|place| {
            fs::rename(place, place.with_file_name("away")).unwrap();
            symlink(&outside, place).unwrap();
        },
    ];
    assert!(place.join(data).is_dir());
    for (number, attack) in attacks.iter().enumerate() {
        fs::write(&file, "precious").unwrap();
        fs::write(&inner, "precious").unwrap();
        attack(&place);
        content += 1;
        let text = content.to_string();
        world.write("settings.yaml", &config_map("settings", json!({"a": text, "b": text})));
        eventually(SOON, &format!("change {number} arrives"), || {
            let is_link = place.symlink_metadata().ok()?.is_symlink();
            let read = |path: &str| fs::read_to_string(place.join("..data").join(path)).ok();
            (!is_link && read("a")? == text && read("deep/b")? == text).then_some(())
        });
        for precious in [&file, &inner] {
            assert_eq!(fs::read_to_string(precious).unwrap(), "precious", "attack {number}");
            let mode = precious.metadata().unwrap().permissions().mode() & 0o777;
            assert_ne!(mode, 0o777, "attack {number}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 2, "attack {number}: something was made outside");
    }
}

/// Threat 27: the value of a Secret is in the manifest, and for root on the tmpfs; nowhere else, in no clothes.
#[test]
fn values_of_secrets_are_nowhere_else() {
    let mut world = World::new();
    // Long enough that no other text holds them; in base64 at each of the three alignments they look otherwise.
    let (in_env, in_file) = ("kx7-Zq1-hush-env-0451", "kx7-Zq1-hush-file-0451");
    let clothes: Vec<String> = [in_env, in_file].into_iter().flat_map(clothes_of).collect();
    world.write("login.yaml", &secret("login", json!({"env": in_env, "file": in_file, "bad": "kx7\0bad"})));
    let env = json!({"env": [of_key("PASSWORD", "secretKeyRef", "login", "env")]});
    let web =
        with_main(with_volume("web", json!({"secret": {"secretName": "login", "defaultMode": 0o400}})), env);
    world.write("web.yaml", &web);
    world.running("web");
    // And what goes wrong with one, at every place where something can.
    let wrong = |key: &str| json!({"env": [of_key("PASSWORD", "secretKeyRef", "login", key)]});
    world.write("bad.yaml", &with_main(pod("bad", &["trap-term"]), wrong("bad")));
    let used = json!({"env": [of_key("P", "secretKeyRef", "login", "env")], "command": ["/none-$(P)"]});
    let used = with(with_main(pod("none", &[]), used), json!({"restartPolicy": "Never"}));
    world.write("none.yaml", &with_main(used, json!({"workingDir": "/none"})));
    world.write_text(
        "torn.yaml",
        &format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: t}}\ndata: {{k: {in_env}}}\n"),
    );
    world.write_text(
        "list.yaml",
        &format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: u}}\nstringData: [{in_file}]\n"),
    );
    world.once("bad", "waits", |pod| pod.reason() == "CreateContainerConfigError");
    world.reported(&["torn.yaml", "list.yaml"]);
    assert_eq!(reads(&world, "web", "/v/file").as_deref(), Some(in_file));
    has(&variables(&world, "web"), "PASSWORD", in_env);

    world.kill_agent();
    world.start_agent();
    world.running("web");
    let name = world.pod_name("web");
    for words in [
        &["describe", "pod", &name][..],
        &["describe", "manifest", "login.yaml"],
        &["describe", "manifest", "torn.yaml"],
        &["describe", "manifest", "list.yaml"],
        &["get", "pods", "-A", "-o", "yaml"],
        &["get", "pods", "-A", "-o", "json"],
        &["get", "manifests", "-o", "yaml"],
        &["events", "-A"],
        &["get", "events", "-A", "-o", "json"],
        &["status"],
        &["check", &world.manifests().display().to_string()],
    ] {
        let output = world.cli(words);
        let said = [output.stdout, output.stderr].concat();
        assert!(!said.is_empty(), "{words:?}");
        assert_eq!(worn(&clothes, &said), None, "holdfast {}", words.join(" "));
    }
    assert_eq!(worn(&clothes, world.agent_log().as_bytes()), None, "the agent's log");
    let uid = world.running("web").uid();
    let allowed = [format!("pods/{uid}/volumes/v/"), format!("pods/{uid}/containers/")];
    let last_good = world.data().join("agent/holdfast/last-good");
    let mut found = 0;
    for (root, on_disk) in [(world.runtime.clone(), false), (world.dir.clone(), true)] {
        for path in files_below(&root) {
            if path.starts_with(world.manifests()) || path.starts_with(world.archives()) {
                continue;
            }
            let text = fs::read(&path).unwrap_or_default();
            let Some(which) = worn(&clothes, &text) else { continue };
            let place = path.strip_prefix(&root).unwrap().display().to_string();
            let fine = !on_disk && allowed.iter().any(|allowed| place.starts_with(allowed.as_str()));
            let fine = fine || (!on_disk && place.contains("/containers/main-"));
            assert!(fine || path.starts_with(&last_good), "{which} is in {}", path.display());
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            assert!(mode & 0o077 == 0, "{} has mode {mode:o}", path.display());
            found += 1;
        }
    }
    assert!(3 <= found, "the volume, the variable and the last good copy were looked at");
}

/// Threat 27: what ends an agent with a core dump leaves none, though anybody else's is written.
#[test]
fn the_agent_leaves_no_core() {
    let world = World::without_agent();
    let place = world.shared();
    let dies = |command: &Command, ready: &dyn Fn() -> bool| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -c $(ulimit -Hc) && exec \"$@\"", "sh"]);
        shell.arg(command.get_program()).args(command.get_args()).current_dir(&place);
        let mut child = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually(SOON, "it runs", || ready().then_some(()));
        signal(child.id().try_into().unwrap(), Signal::SIGABRT);
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(Signal::SIGABRT as i32));
        status.core_dumped()
    };
    let mut other = Command::new("sleep");
    other.arg("60");
    let is_sleep =
        |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep");
    let children =
        || fs::read_to_string(format!("/proc/self/task/{}/children", nix::unistd::gettid())).unwrap();
    assert!(
        dies(&other, &|| children().split_whitespace().any(is_sleep)),
        "this machine writes no cores at all: see ulimit -Hc and core_pattern"
    );
    let published = world.runtime.join("node.json");
    assert!(!dies(&world.agent_command(&[]), &|| published.exists()), "the agent's memory was written down");
}

/// What a text may be written as.
fn clothes_of(text: &str) -> Vec<String> {
    let mut all = vec![text.to_owned()];
    for skip in 0..3 {
        // What is encoded from the third, second or first byte on stands in any base64 of it, but for its ends.
        let encoded = base64(&text.as_bytes()[skip..]);
        all.push(encoded[..encoded.len() - 4].to_owned());
    }
    all.push(text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "));
    all.push(text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(","));
    all
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |bits: u32, shift: u32| char::from(LETTERS[(bits >> shift & 63) as usize]);
    let chunks = bytes.chunks_exact(3);
    let encoded = chunks.map(|three| {
        let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        [18, 12, 6, 0].map(|shift| letter(bits, shift)).iter().collect::<String>()
    });
    encoded.collect()
}

/// Which of `clothes` is in `text`.
fn worn<'a>(clothes: &'a [String], text: &[u8]) -> Option<&'a str> {
    let has = |one: &&String| text.windows(one.len()).any(|window| window == one.as_bytes());
    clothes.iter().find(has).map(String::as_str)
}

/// Every regular file below `root`; no link is followed.
fn files_below(root: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}
