//! The face of the daemon: help texts, what it says when it is called wrongly, and its exit codes.
//!
//! The words themselves are in `tests/cli/`; `TRYCMD=overwrite cargo test --test cli` takes over those of today.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// `roomd` with these flags, in an environment that sets nothing, its log off.
fn roomd(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomd"));
    command.args(flags).env_clear().env("RUST_LOG", "off").stdin(Stdio::null());
    command
}

fn output_of(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("roomd starts");
    let text = |bytes| String::from_utf8(bytes).expect("what it says is text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn what_it_says_is_what_the_files_in_cmd_say() {
    trycmd::TestCases::new()
        .register_bin("roomd", PathBuf::from(env!("CARGO_BIN_EXE_roomd")).as_path())
        // A daemon that runs instead of complaining is a failure as well.
        .timeout(Duration::from_secs(30))
        .case("tests/cli/*.toml")
        .case("tests/cli/*.trycmd");
}

#[test]
fn a_wrong_call_is_one_sentence_on_standard_error_and_exit_code_2() {
    let long = format!("--listen={}", "x".repeat(10_000));
    for flags in [
        &["--nope"][..],
        &["lobby"],
        &["--ping-interval"],
        &["--ping-interval=0s"],
        &["--max-message=x"],
        &["--replay=-1"],
        &["--listen=8000"],
        &["--listen="],
        &["--listen=127.0.0.1:8000,x"],
        &["--origin=x"],
        &["--history="],
        &["--history=memory", "--keep-days=1"],
        &["--sync=half"],
        &["--max-queue=1\n2\n\n3"],
        &[&long],
    ] {
        let (code, stdout, stderr) = output_of(&mut roomd(flags));
        assert_eq!(code, Some(2), "{flags:?}");
        assert_eq!(stdout, "", "{flags:?}");
        assert_eq!(stderr.lines().count(), 1, "{flags:?}: {stderr}");
        assert!(stderr.starts_with("roomd: ") && stderr.ends_with("; see roomd --help\n"), "{flags:?}: {stderr}");
    }
    let (code, stdout, stderr) = output_of(roomd(&[]).env("ROOMD_MAX_MESSAGE", "x"));
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(2), "", 1), "{stderr}");
}

#[test]
fn help_goes_to_standard_output_and_fits_the_terminal() {
    for flag in ["--help", "-h"] {
        for (columns, widest) in [("80", 80), ("100", 100), ("300", 100)] {
            let (code, stdout, stderr) = output_of(roomd(&[flag]).env("COLUMNS", columns));
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{flag}");
            // What stands below is laid out by hand and is not wrapped.
            let flags = stdout.split("Try it:").next().unwrap();
            let width = flags.lines().map(|line| line.trim_end().chars().count()).max();
            assert!(width <= Some(widest), "{flag} is {width:?} wide in a terminal of {columns} columns");
        }
    }
}

#[test]
fn its_version_is_that_of_the_package() {
    let said = output_of(&mut roomd(&["--version"]));
    assert_eq!(said, (Some(0), format!("roomd {}\n", env!("CARGO_PKG_VERSION")), String::new()));
    assert_eq!(said, output_of(&mut roomd(&["-V"])));
}

#[test]
fn a_port_that_is_taken_is_said_so_and_ends_with_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, stdout, stderr) = output_of(&mut roomd(&["--listen", &address]));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let sentence = format!("roomd: cannot listen on {address}: it is in use already; choose another with --listen\n");
    assert_eq!(stderr, sentence);
}

#[test]
fn a_directory_that_cannot_be_written_is_said_so_and_ends_with_exit_code_1() {
    let ours = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("unwritable");
    fs::create_dir_all(&ours).unwrap();
    fs::set_permissions(&ours, Permissions::from_mode(0o555)).unwrap();
    // The superuser writes to it all the same, but not to a file system that takes no files.
    let directory = [ours, "/sys".into(), "/proc".into()].into_iter().find(|directory| {
        let probe = directory.join("probe");
        File::create(&probe).map(|_| fs::remove_file(&probe)).is_err()
    });
    let path = directory.expect("a directory that cannot be written").join("roomd.sock");
    let (code, stdout, stderr) = output_of(&mut roomd(&["--listen", &format!("unix:{}", path.display())]));
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{stderr}");
    assert!(stderr.starts_with(&format!("roomd: cannot listen on unix:{}: ", path.display())), "{stderr}");
}
