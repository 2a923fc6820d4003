//! One image as JSON: what `get images` has of it, in the words of crictl, and everything else.

use serde_json::{Value, json};

use super::users::User;
use crate::cli::get::images;
use crate::image::Details;

/// Everything about an image: what it is, where it is, who uses it, and its own configuration as it came.
pub fn object(details: &Details, users: &[&User]) -> Value {
    let mut object = images::image(&details.image);
    let layers: Vec<Value> = details.layers.iter().map(layer).collect();
    let users: Vec<Value> = users.iter().map(|user| json!({"pod": user.pod, "image": user.image})).collect();
    object["layers"] = layers.into();
    object["archives"] = details.archives.iter().map(|path| path.display().to_string()).collect();
    object["usedBy"] = users.into();
    // What cannot be read is null, and for `image verify` to tell.
    object["imageSpec"] = serde_json::from_slice(&details.configuration).unwrap_or_default();
    object
}

fn layer(layer: &crate::image::Layer) -> Value {
    json!({
        "diffID": layer.diff_id,
        "chainID": layer.chain_id,
        "size": layer.size,
        "path": layer.path.display().to_string(),
        "sealed": layer.is_sealed,
    })
}
