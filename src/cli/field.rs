//! Fields of objects of others, which may be of any shape: what is missing or of another kind is empty.

use serde_json::Value;

/// The text at a JSON pointer, or "".
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a JSON pointer, or 0.
pub fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// Whether there is `true` at a JSON pointer.
pub fn holds(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// The items at a JSON pointer, or none.
pub fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Names and values at a JSON pointer, by name; values that are no text as JSON.
pub fn pairs<'v>(value: &'v Value, pointer: &str) -> Vec<(&'v str, String)> {
    let fields = value.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let mut pairs: Vec<_> = fields.map(|(key, value)| (key.as_str(), text(value))).collect();
    pairs.sort();
    pairs
}

/// The item of a list that has `name`.
pub fn named<'v>(items: &'v [Value], name: &str) -> Option<&'v Value> {
    items.iter().find(|item| text(item, "/name") == name)
}

/// The containers of the core/v1 Pod `object`: init containers first.
pub fn containers(object: &Value) -> impl Iterator<Item = &Value> + Clone {
    ["/spec/initContainers", "/spec/containers"].into_iter().flat_map(|pointer| list(object, pointer))
}

/// What is the case with them, in the same order.
pub fn statuses(object: &Value) -> impl Iterator<Item = &Value> + Clone {
    let pointers = ["/status/initContainerStatuses", "/status/containerStatuses"];
    pointers.into_iter().flat_map(|pointer| list(object, pointer))
}

/// The one of a pod's containers or statuses that has `name`.
pub fn called<'v>(mut items: impl Iterator<Item = &'v Value>, name: &str) -> Option<&'v Value> {
    items.find(|item| text(item, "/name") == name)
}
