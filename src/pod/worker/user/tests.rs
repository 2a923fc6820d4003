#![allow(clippy::unwrap_used)]

use super::*;

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
redis:x:999:1000::/home/redis:/bin/false
# a comment
broken:x:many:1::/:
huge:x:4294967295:1::/:
relative:x:7:7::home:/bin/sh
";
const GROUP: &str = "\
root:x:0:root
audio:x:29:redis,root
redis:x:1000:
video:x:44: redis
nobody:x:minus:redis
";

fn check(wanted: &str, expected: Result<(u32, u32, &[u32], &str), &str>) {
    match (resolve(wanted, PASSWD, GROUP), expected) {
        (Ok(found), Ok((uid, gid, groups, home))) => {
            let expected = Identity { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
            assert_eq!(found, expected, "{wanted:?}");
        }
        (Err(error), Err(words)) => assert!(format!("{error:#}").contains(words), "{wanted:?}: {error:#}"),
        (found, expected) => panic!("{wanted:?}: {found:?}, expected {expected:?}"),
    }
}

#[test]
fn a_name_brings_its_group_its_home_and_the_groups_that_list_it() {
    check("redis", Ok((999, 1000, &[29, 44], "/home/redis")));
}

#[test]
fn nobody_said_is_root() {
    check("", Ok((0, 0, &[0, 29], "/root")));
    check(":redis", Ok((0, 1000, &[0, 29], "/root")));
}

#[test]
fn a_number_is_looked_up_but_need_not_be_there() {
    check("999", Ok((999, 1000, &[29, 44], "/home/redis")));
    check("1234", Ok((1234, 0, &[], "/")));
    check("1234:5678", Ok((1234, 5678, &[], "/")));
}

#[test]
fn a_group_after_a_colon_replaces_the_users_own() {
    check("redis:video", Ok((999, 44, &[29, 44], "/home/redis")));
    check("redis:", Ok((999, 1000, &[29, 44], "/home/redis")));
}

#[test]
fn an_unknown_name_is_named() {
    check("postgres", Err("user \"postgres\" is not in the image's /etc/passwd"));
    check("redis:wheel", Err("group \"wheel\" is not in the image's /etc/group"));
    check("broken", Err("\"broken\""));
    check("huge", Err("\"huge\""));
}

#[test]
fn an_id_that_would_overflow_is_refused() {
    for wanted in ["2147483648", "4294967295", "4294967296", "-1", "99999999999999999999", "0:4294967295"] {
        check(wanted, Err("an ID must be between 0 and 2147483647"));
    }
}

#[test]
fn a_home_that_is_no_path_is_the_root() {
    check("relative", Ok((7, 7, &[], "/")));
}
