//! The form of an image's name: `[host[:port]/]path[:tag][@algorithm:digest]`, as the distribution project defines it.

/// Longest name without tag and digest, in bytes.
const MAX_NAME: usize = 255;

/// What is wrong with `image` as the name of an image, if anything.
pub fn complaint(image: &str) -> Option<String> {
    let (named, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let (name, tag) = split_tag(named);
    let path = path_of(name);
    if image.chars().any(char::is_whitespace) {
        return Some("must not contain white space".to_owned());
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some("must be lower case, but for the tag".to_owned());
    }
    if name.len() > MAX_NAME {
        return Some(format!("must be no more than {MAX_NAME} characters before the tag"));
    }
    if path.is_empty() || !path.split('/').all(is_component) || !host_of(name).is_none_or(is_host) {
        return Some(
            "is no image name, like redis, redis:7 or registry.example:5000/team/app:1.0".to_owned(),
        );
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Some(
            "has a wrong tag: at most 128 letters, digits, '_', '-' and '.' after the last ':'".to_owned(),
        );
    }
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Some("has a wrong digest: sha256: and 64 hexadecimal digits after the '@'".to_owned());
    }
    None
}

/// Whether `image` means the moving tag `latest`: named, or neither tag nor digest given.
pub fn is_latest(image: &str) -> bool {
    match image.split_once('@') {
        // As in Go's parser, a tag beside a digest counts.
        Some((named, _)) => split_tag(named).1 == Some("latest"),
        None => split_tag(image).1.is_none_or(|tag| tag == "latest"),
    }
}

/// The name without its tag, and the tag: what follows a ':' after the last '/'.
fn split_tag(named: &str) -> (&str, Option<&str>) {
    let last = named.rfind('/').map_or(0, |slash| slash + 1);
    match named[last..].find(':') {
        Some(colon) => (&named[..last + colon], Some(&named[last + colon + 1..])),
        None => (named, None),
    }
}

/// The registry's host, where the first part looks like one.
fn host_of(name: &str) -> Option<&str> {
    let (first, _) = name.split_once('/')?;
    let looks =
        first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase());
    looks.then_some(first)
}

fn path_of(name: &str) -> &str {
    host_of(name).map_or(name, |host| &name[host.len() + 1..])
}

fn is_host(host: &str) -> bool {
    let port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_address = address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
        return is_address && (rest.is_empty() || rest.strip_prefix(':').is_some_and(port));
    }
    let (name, number) = host.split_once(':').map_or((host, None), |(name, number)| (name, Some(number)));
    let label = |label: &str| {
        let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(part) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(label) && number.is_none_or(port)
}

/// Lower case letters and digits, parted by one '.', one or two '_', or any number of '-'.
fn is_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<u8>| byte.is_some_and(is_word);
    let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends(component.bytes().next())
        && ends(component.bytes().last())
        && separators
            .filter(|text| !text.is_empty())
            .all(|text| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    let length = match digest.split_once(':') {
        Some(("sha256", _)) => 64,
        Some(("sha512", _)) => 128,
        _ => return false,
    };
    let hex = &digest[7..];
    hex.len() == length && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_are_told_from_others() {
        let digest = format!("@sha256:{}", "0a".repeat(32));
        let good = ["redis", "redis:7", "a/b", "localhost/busybox:1.35", "r.example:5000/a/b_c/d--e:V_1.0-x"];
        let good = good.map(str::to_owned).into_iter();
        let digests = ["redis", "redis:7", "r.example/a"].map(|name| format!("{name}{digest}"));
        for name in good.chain(digests).chain(["[::1]:5000/a".to_owned(), "REG.example/a".to_owned()]) {
            assert_eq!(complaint(&name), None, "{name}");
        }
        let bad = [
            "",
            " redis",
            "redis ",
            "Redis",
            "re dis",
            "redis:",
            "redis:a:b",
            ":7",
            "/redis",
            "redis/",
            "a//b",
            "a..b",
            "a___b",
            "-a",
            "a@",
            "a@sha256:12",
            "a@md5:00",
            "http://a/b",
            "a:é",
            "é",
            "r.example:/a",
            "a:-x",
            "../a",
        ];
        for name in bad {
            assert!(complaint(name).is_some(), "{name}");
        }
    }

    #[test]
    fn latest_is_what_has_no_other_tag() {
        for (image, latest) in [
            ("redis", true),
            ("redis:latest", true),
            ("redis:7", false),
            ("r.example:5000/redis", true),
            ("r.example:5000/redis:7", false),
            ("redis@sha256:00", false),
            ("redis:latest@sha256:00", true),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }
}
