//! Who a container's process is: the image's USER, looked up in the image's own /etc/passwd and /etc/group.
//!
//! The rules are containerd's: a number is a user ID and need not be in the file; a user brings its group, its home and
//! the groups that list it; `user:group` replaces the group.
//!
//! Invariant: the image's files are read inside its root, at most [`LONGEST`] bytes of them.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::sys::beneath::Root;

/// Most bytes of a passwd or group file that are looked at.
const LONGEST: u64 = 1024 * 1024;

/// Largest user or group ID (runc's limit, too): the next ones turn negative, and -1 means "leave as it is".
const LARGEST: u64 = i32::MAX as u64;

/// A user as the kernel wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User ID.
    pub uid: u32,
    /// Primary group ID.
    pub gid: u32,
    /// Groups that list the user, in the file's order.
    pub groups: Vec<u32>,
    /// Home directory; `/` where the file does not say.
    pub home: String,
}

/// Looks up `wanted` (`redis`, `1000`, `redis:redis`, empty for root) in the root file system at `root`.
pub fn resolve_in(root: &Path, wanted: &str) -> Result<Identity> {
    let root = Root::open(root).with_context(|| format!("open {}", root.display()))?;
    resolve(wanted, &read(&root, "/etc/passwd")?, &read(&root, "/etc/group")?)
}

/// The text of a file in the image; one that is not there is empty.
fn read(root: &Root, path: &str) -> Result<String> {
    let file = match root.file(Path::new(path)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => return Ok(String::new()),
        other => other.with_context(|| format!("open the image's {path}"))?,
    };
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).with_context(|| format!("read the image's {path}"))?;
    if bytes.len() as u64 > LONGEST {
        bail!("the image's {path} is longer than {LONGEST} bytes");
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn resolve(wanted: &str, passwd: &str, group: &str) -> Result<Identity> {
    let (user, chosen) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (wanted, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = number(user).with_context(|| format!("user {wanted:?}"))?;
    let entry = passwd.lines().filter_map(Entry::parse).find(|entry| match number {
        Some(uid) => entry.uid == uid,
        None => entry.name == user,
    });
    let (uid, mut gid, name, home) = match (&entry, number) {
        (Some(entry), _) => (entry.uid, entry.gid, entry.name, entry.home),
        (None, Some(uid)) => (uid, 0, "", ""),
        (None, None) => bail!("user {user:?} is not in the image's /etc/passwd"),
    };
    if let Some(chosen) = chosen {
        gid = group_id(chosen, group)?;
    }
    let lists = |members: &str| !name.is_empty() && members.split(',').any(|member| member.trim() == name);
    let groups = group.lines().filter_map(group_entry).filter(|(_, _, members)| lists(members));
    let groups = groups.map(|(_, gid, _)| gid).collect();
    let home = if home.starts_with('/') { home } else { "/" };
    Ok(Identity { uid, gid, groups, home: home.to_owned() })
}

fn group_id(wanted: &str, group: &str) -> Result<u32> {
    if let Some(gid) = number(wanted).with_context(|| format!("group {wanted:?}"))? {
        return Ok(gid);
    }
    let found = group.lines().filter_map(group_entry).find(|(name, _, _)| *name == wanted);
    let (_, gid, _) = found.with_context(|| format!("group {wanted:?} is not in the image's /etc/group"))?;
    Ok(gid)
}

/// The ID that `text` is; `None` where it is a name.
fn number(text: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u64>().ok().filter(|id| *id <= LARGEST).and_then(|id| u32::try_from(id).ok()) {
        Some(id) => Ok(Some(id)),
        None => bail!("an ID must be between 0 and {LARGEST}"),
    }
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl Entry<'_> {
    /// `name:password:uid:gid:comment:home:shell`; a line that is something else is no entry.
    fn parse(line: &str) -> Option<Entry<'_>> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = number(fields.nth(1)?).ok()??;
        let gid = number(fields.next()?).ok()??;
        let home = fields.nth(1).unwrap_or("");
        Some(Entry { name, uid, gid, home })
    }
}

/// `name:password:gid:members`.
fn group_entry(line: &str) -> Option<(&str, u32, &str)> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let gid = number(fields.nth(1)?).ok()??;
    Some((name, gid, fields.next().unwrap_or("")))
}

#[cfg(test)]
mod tests;
