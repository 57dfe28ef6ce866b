//! Building one of the crate's own programs that are no part of the daemon, for the tests that run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Cargo's folder for what is built.
pub(crate) fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// Builds the example of that name, with these flags of cargo's besides, and says where it is.
pub(crate) fn build(name: &str, flags: &[&str]) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--example", name, "--message-format=json-render-diagnostics"])
        .args(flags)
        .arg("--target-dir")
        .arg(target())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the program does not build");
    let lines = String::from_utf8(output.stdout).unwrap();
    let artifacts = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut executables = artifacts.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    executables.next_back().expect("cargo says where the program is")
}
