//! Golden vectors: bytes that other implementations can check themselves against, and that no change
//! of ours alters by accident. They are written anew only with `SKEP_WRITE_VECTORS=1`.

use std::path::Path;

use serde_json::Value;

/// Compares `actual` with `tests/vectors/NAME`.
pub(crate) fn check(name: &str, actual: &Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let path = folder.join(name);
    if std::env::var_os("SKEP_WRITE_VECTORS").is_some_and(|value| value == "1") {
        let text = serde_json::to_string_pretty(actual).expect("JSON encodes");
        std::fs::create_dir_all(&folder).expect("the folder of vectors can be made");
        std::fs::write(&path, text + "\n").expect("the vectors can be written");
    }
    let text = std::fs::read_to_string(&path).expect("the vectors are committed");
    let expected: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    assert_eq!(*actual, expected, "{} differs", path.display());
}

#[test]
fn every_vector_is_named_in_the_specification() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let specification = std::fs::read_to_string(folder.join("SPEC.md")).expect("the specification");
    let (_, table) = specification
        .split_once("## Golden vectors")
        .expect("its table");
    let files = std::fs::read_dir(folder.join("tests/vectors")).expect("the vectors");
    let mut names: Vec<String> = files
        .map(|file| {
            file.expect("a file")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    let mut named: Vec<&str> = table
        .split('`')
        .filter(|it| it.ends_with(".json"))
        .collect();
    named.sort_unstable();
    assert_eq!(names, named);
}
