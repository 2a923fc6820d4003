//! Scripts and units, judged by the programs of others: `systemd-analyze`, `shellcheck`, and shells themselves.

#![allow(missing_docs, reason = "each name is a sentence")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod debian;

use std::fs;
use std::process::Command;

use debian::{root, run, tool};

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    let units = ["holdfast.service", "holdfast-shutdown.service"];
    let folder = std::env::temp_dir().join(format!("units-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let verify = |change: fn(String) -> String| {
        for unit in units {
            let text = fs::read_to_string(format!("systemd/{unit}")).unwrap();
            // The program is not installed where tests run.
            fs::write(folder.join(unit), change(text.replace("/usr/local/bin/holdfast", "/bin/true")))
                .unwrap();
        }
        let path = format!("{}:{}", folder.display(), root().join("lib/systemd/system").display());
        let mut command = tool("systemd-analyze");
        command.env("SYSTEMD_UNIT_PATH", path).arg("verify").args(units.map(|unit| folder.join(unit)));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), said)
    };
    let clean = verify(|text| text);
    let wrong = verify(|text| text.replace("WatchdogSec=120", "WatchdogSecs=120"));
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(clean, (true, String::new()));
    assert!(wrong.1.contains("WatchdogSecs"), "what is wrong is told: {wrong:?}");
}

/// What each would do is in the unit's own comments.
#[test]
fn the_units_have_nothing_that_strands_or_ends_pods() {
    let agent = fs::read_to_string("systemd/holdfast.service").unwrap();
    let shutdown = fs::read_to_string("systemd/holdfast-shutdown.service").unwrap();
    for unit in [&agent, &shutdown] {
        let names =
            unit.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        for (name, _) in names {
            let harms =
                ["Private", "Protect", "ReadOnly", "ReadWrite", "Inaccessible", "Bind", "Root", "Mount"];
            let harms =
                [&harms[..], &["RuntimeDirectory", "DynamicUser", "TemporaryFile", "PartOf"]].concat();
            assert!(!harms.iter().any(|harm| name.starts_with(harm)), "{name}");
        }
    }
    for line in ["Type=notify", "WatchdogSec=120", "Delegate=yes", "KillMode=process", "OOMScoreAdjust=-999"]
    {
        assert!(agent.lines().any(|known| known == line), "{line}");
    }
    for line in ["After=holdfast.service network.target local-fs.target", "TimeoutStopSec=infinity"] {
        assert!(shutdown.lines().any(|known| known == line), "{line}");
    }
}

#[test]
fn shells_and_shellcheck_have_nothing_to_say_against_the_scripts() {
    let machines = ["run", "power-cut", "managers"].map(|name| format!("tests/vm/{name}.sh"));
    let builds = ["toolchain", "musl", "dist", "dist-check"].map(|name| format!("build/{name}.sh"));
    let others = ["sysv/holdfast", "openrc/holdfast", "fuzz/run.sh"].map(String::from);
    let scripts = others.into_iter().chain(machines).chain(builds);
    for script in scripts {
        run(Command::new("sh").args(["-n", &script]));
        run(Command::new(debian::busybox()).args(["sh", "-n", &script]));
        run(tool("shellcheck").args(["-x", &script]));
    }
}
