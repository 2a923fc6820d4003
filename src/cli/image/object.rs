//! Images as JSON, in the words of crictl.

use serde_json::{Value, json};

use super::users::User;
use crate::image::{Details, Image};

/// What `crictl images -o json` prints, as far as it is known without a look at each image.
pub fn list(images: &[Image]) -> Value {
    let images: Vec<Value> = images.iter().map(brief).collect();
    json!({ "images": images })
}

fn brief(image: &Image) -> Value {
    json!({
        "id": image.id,
        "repoTags": image.names,
        "repoDigests": repo_digests(image),
        "size": image.size,
        "platform": format!("{}/{}", image.os, image.architecture),
    })
}

/// Everything about an image: what it is, where it is, who uses it, and its own configuration as it came.
pub fn object(details: &Details, users: &[&User]) -> Value {
    let mut object = brief(&details.image);
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

/// `name@digest`, for every name and digest: any of them finds the image.
fn repo_digests(image: &Image) -> Vec<String> {
    let mut names: Vec<&str> =
        image.names.iter().filter_map(|name| name.rsplit_once(':')).map(|(name, _)| name).collect();
    names.dedup();
    names.iter().flat_map(|name| image.digests.iter().map(move |digest| format!("{name}@{digest}"))).collect()
}
