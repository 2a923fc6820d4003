//! The table of images, for `image ls` and `get images`.

use super::size::size;
use crate::image::Image;

/// The columns; a narrow table has the first [`NARROW`].
pub const HEAD: [&str; 6] = ["NAME", "IMAGE ID", "SIZE", "LAYERS", "PLATFORM", "DIGEST"];
/// How many columns a narrow table has.
pub const NARROW: usize = 3;
/// How many digits of an id are shown, as by crictl.
const DIGITS: usize = 13;

/// A row for each name, by name; one for an image without.
///
/// Names and digests were read by us and consist of letters; what a platform is called is the image's own word.
pub fn rows(images: &[Image]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for image in images {
        let none = [String::new()];
        for name in if image.names.is_empty() { &none } else { &image.names[..] } {
            rows.push(vec![
                if name.is_empty() { "<none>".to_string() } else { name.clone() },
                short(&image.id),
                size(image.size),
                image.lower.len().to_string(),
                format!("{}/{}", image.os, image.architecture),
                image.digests.first().cloned().unwrap_or_else(|| "<none>".to_string()),
            ]);
        }
    }
    rows.sort();
    rows
}

/// What to type to mean the image of a row.
pub fn name_or_id(row: &[String]) -> &str {
    let at = |column: usize| row.get(column).map(String::as_str).unwrap_or_default();
    if at(0) == "<none>" { at(1) } else { at(0) }
}

/// The first digits of an id.
fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(DIGITS).collect()
}
