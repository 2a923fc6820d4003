//! Every input of fuzz/corpus, without the fuzzer: what it found once stays found. Root, for the owners of files in layers.
#![allow(clippy::unwrap_used)]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

type Target = fn(&[u8]);

#[test]
fn what_was_fuzzed_once_holds() {
    let all: [(&str, Target); 6] = [
        ("reference", targets::reference),
        ("manifest", targets::manifest),
        ("index", targets::index),
        ("config", targets::config),
        ("tar", targets::tar),
        ("registries", targets::registries),
    ];
    let corpus = Path::new("fuzz/corpus");
    assert_eq!(fs::read_dir(corpus).unwrap().count(), all.len());
    for (target, judge) in all {
        let inputs: Vec<_> =
            fs::read_dir(corpus.join(target)).unwrap().map(|input| input.unwrap().path()).collect();
        assert!(5 <= inputs.len(), "{target}: {} inputs", inputs.len());
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            let judged = std::panic::catch_unwind(|| judge(&bytes));
            assert!(judged.is_ok(), "{}", input.display());
        }
    }
}
