#![allow(clippy::unwrap_used)]

use super::*;

fn page_of(told: &str) -> String {
    let mut told: Value = serde_json::from_str(told).unwrap();
    told["needs"] = json!(judge::needs(&told));
    page::page(&told, "2026-11-21T22:39:24Z".parse().unwrap())
}

/// 80 columns and 24 lines, the prompt's included.
fn assert_fits(page: &str) {
    assert!(page.lines().all(|line| line.chars().count() < 80), "{page}");
    assert!(!page.chars().any(|c| c.is_control() && c != '\n'), "{page}");
}

#[test]
fn a_node_that_is_well_fits_on_a_small_terminal() {
    let page = page_of(include_str!("well.json"));
    assert_eq!(page, include_str!("well.txt"));
    assert_fits(&page);
    assert!(page.lines().count() < 24, "{page}");
}

#[test]
fn a_node_in_trouble_says_what_needs_a_person() {
    let page = page_of(include_str!("troubled.json"));
    assert_eq!(page, include_str!("troubled.txt"));
    assert_fits(&page);
}

#[test]
fn anything_at_all_is_shown_without_a_panic() {
    for told in ["{}", r#"{"pods": 1, "disks": [1, {"free": -1}], "events": ["x"], "load": [3]}"#] {
        assert_fits(&page_of(told));
    }
}

fn pod(status: Value, created: &str) -> Value {
    json!({
        "metadata": {"name": "web-edge-1", "namespace": "default", "creationTimestamp": created},
        "spec": {"containers": [{"name": "a"}]},
        "status": {"phase": status["phase"], "containerStatuses": [status]},
    })
}

#[test]
fn a_pod_that_is_on_its_way_is_no_matter_until_it_takes_long() {
    let now: Timestamp = "2026-11-21T22:40:00Z".parse().unwrap();
    let under_way = |pod: &Value| judge::unwell(pod, now).map(|it| it["underWay"] == true);
    let waiting =
        json!({"name": "a", "phase": "Pending", "state": {"waiting": {"reason": "ContainerCreating"}}});
    assert_eq!(under_way(&pod(waiting.clone(), "2026-11-21T22:39:00Z")), Some(true));
    assert_eq!(under_way(&pod(waiting.clone(), "2026-11-21T22:30:00Z")), Some(false));
    assert_eq!(under_way(&pod(waiting, "")), Some(false), "nobody knows since when");
    let running = json!({"name": "a", "phase": "Running", "ready": true, "state": {"running": {}}});
    assert_eq!(under_way(&pod(running.clone(), "2026-11-21T22:30:00Z")), None);
    let mut ending = pod(running, "2026-11-21T22:30:00Z");
    ending["metadata"]["deletionTimestamp"] = json!("2026-11-21T22:40:20Z");
    assert_eq!(under_way(&ending), Some(true));
    let done = json!({"name": "a", "phase": "Succeeded", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    assert_eq!(under_way(&pod(done, "2026-11-21T22:30:00Z")), None);
    let failed =
        json!({"name": "a", "phase": "Failed", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}});
    let told = judge::unwell(&pod(failed, "2026-11-21T22:39:59Z"), now).unwrap();
    assert_eq!((&told["underWay"], &told["message"]), (&json!(false), &json!("container a exited with 3")));
}

#[test]
fn warnings_of_the_last_day_are_told() {
    let event =
        |kind: &str, last: &str| json!({"type": kind, "lastTimestamp": last, "reason": "X", "count": 1});
    let all = [
        event("Warning", "2026-11-20T22:39:00Z"),
        event("Warning", "2026-11-20T22:41:00Z"),
        event("Normal", "2026-11-21T22:39:00Z"),
        event("Warning", "never"),
    ];
    let told = events(&all, "2026-11-21T22:40:00Z".parse().unwrap());
    assert_eq!(told.len(), 1, "{told:?}");
}
