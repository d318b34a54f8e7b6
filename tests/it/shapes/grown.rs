//! Each list, each text and each object of a document, grown.

use serde_json::Value;

use super::Shape;

/// Stands in texts for the number of the element they belong to.
const NUMBER: char = '#';

/// One shape for each list, each text and each object of a JSON document: the list's elements are
/// repeated, the text is made longer, the object has unknown members.
pub fn grown(document: &str) -> Vec<Shape> {
    let document: Value = serde_json::from_str(document).expect("it is written here");
    let mut paths = Vec::new();
    collect(&document, String::new(), &mut paths);
    let mut shapes = Vec::new();
    for path in paths {
        for way in [Grows::Alike, Grows::Apart] {
            let is_list = document.pointer(&path).is_some_and(Value::is_array);
            if way == Grows::Apart && !is_list {
                continue;
            }
            let document = document.clone();
            let name = format!(
                "{}{path}",
                if way == Grows::Apart { "numbered " } else { "" }
            );
            let path = path.clone();
            shapes.push(Shape::body(&format!("grown: {name}"), move |n| {
                let mut document = document.clone();
                if let Some(place) = document.pointer_mut(&path) {
                    grow(place, n, way);
                }
                number(&mut document, 0);
                document.to_string()
            }));
        }
    }
    shapes
}

/// Whether repeated elements have the same ids and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grows {
    Alike,
    Apart,
}

fn collect(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::String(_) => paths.push(path),
        Value::Array(list) => {
            for (i, element) in list.iter().enumerate() {
                collect(element, format!("{path}/{i}"), paths);
            }
            paths.push(path);
        }
        Value::Object(object) => {
            for (name, member) in object {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect(member, format!("{path}/{name}"), paths);
            }
            paths.push(path);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn grow(place: &mut Value, n: usize, way: Grows) {
    match place {
        Value::String(text) => text.push_str(&"x".repeat(n)),
        Value::Array(list) => {
            let once = std::mem::take(list);
            for i in 0..n {
                for element in &once {
                    let mut element = element.clone();
                    if way == Grows::Apart {
                        number(&mut element, i);
                    }
                    list.push(element);
                }
            }
        }
        Value::Object(object) => {
            for i in 0..n {
                object.insert(format!("x{i:05}"), Value::from(0));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn number(value: &mut Value, i: usize) {
    match value {
        Value::String(text) if text.contains(NUMBER) => {
            *text = text.replace(NUMBER, &i.to_string());
        }
        Value::Array(list) => list.iter_mut().for_each(|element| number(element, i)),
        Value::Object(object) => object.values_mut().for_each(|member| number(member, i)),
        _ => {}
    }
}
