//! Images in the store, in the words of crictl.

use anyhow::Result;
use serde_json::{Value, json};

use crate::api::published::Node;
use crate::cli::read;
use crate::config;
use crate::host::{Data, Runtime};
use crate::image::{Image, Store};

/// The data directory of the agent that runs or ran here, or the default one.
pub fn data(runtime: &Runtime) -> Result<Data> {
    let node: Option<Node> = read::file(&runtime.node())?;
    Ok(Data::new(node.map_or_else(|| config::DATA_DIR.into(), |node| node.data_dir)))
}

/// Everything in the agent's store.
pub fn images(runtime: &Runtime) -> Result<Vec<Value>> {
    of(&Store::read(&data(runtime)?.store())?)
}

/// Everything in `store`, by name.
pub fn of(store: &Store) -> Result<Vec<Value>> {
    let mut images: Vec<Value> = store.list()?.iter().map(image).collect();
    images.sort_by(|a, b| a["repoTags"].to_string().cmp(&b["repoTags"].to_string()));
    Ok(images)
}

/// One image, as far as it is known without a look at its layers.
pub fn image(image: &Image) -> Value {
    let names = image.names.iter().filter_map(|name| name.rsplit_once(':')).map(|(name, _)| name);
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    let digests =
        names.iter().flat_map(|name| image.digests.iter().map(move |digest| format!("{name}@{digest}")));
    json!({
        "id": image.id,
        "repoTags": image.names,
        "repoDigests": digests.collect::<Vec<_>>(),
        "size": image.size,
        "layers": image.lower.len(),
        "platform": format!("{}/{}", image.os, image.architecture),
    })
}

/// Bytes, as docker and crictl say them: decimal, three digits: `4.27MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    #[expect(clippy::cast_precision_loss, reason = "only three digits are shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    // What would be rounded to a thousand is one of the next unit.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let decimals = match value {
        _ if unit == 0 => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}
