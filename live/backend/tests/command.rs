//! The program as a process: what it says of files and arguments that it cannot use.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

fn program(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yardmaster-backend"));
    command.args(arguments.split_whitespace()).current_dir(folder).env("RUST_BACKTRACE", "1");
    command
}

/// What a run says that must fail: one message, nothing on the standard output, no panic, no backtrace.
fn fails(folder: &Path, arguments: &str) -> String {
    let output = program(folder, arguments).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments}: {}\n{errors}", output.status);
    assert!(output.stdout.is_empty(), "{arguments}");
    let is_plain = !errors.contains("panicked") && !errors.to_lowercase().contains("backtrace");
    assert!(errors.starts_with("error: ") && is_plain, "{arguments}: {errors}");
    errors
}

#[test]
fn what_is_wrong_is_one_line_and_a_status() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(program(folder, "--network tiny --write tiny.onnx").status().unwrap().success());
    std::fs::create_dir(folder.join("other")).unwrap();
    std::fs::copy(folder.join("tiny.onnx"), folder.join("other/tiny.onnx")).unwrap();
    std::fs::write(folder.join("text.onnx"), "hello, I am no model").unwrap();
    std::fs::write(folder.join("empty.onnx"), "").unwrap();
    let sound = std::fs::read(folder.join("tiny.onnx")).unwrap();
    std::fs::write(folder.join("cut.onnx"), &sound[..sound.len() / 2]).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    for (arguments, wanted) in [
        ("--model absent.onnx", "error: cannot read absent.onnx as an ONNX file: No such file"),
        ("--model other", "error: cannot read other as an ONNX file: Is a directory"),
        ("--model text.onnx", "error: text.onnx is no ONNX file, or a damaged one; export it again ("),
        ("--model cut.onnx", "error: cut.onnx is no ONNX file, or a damaged one; export it again ("),
        ("--model empty.onnx", "error: empty.onnx: there is no graph in it; is it an ONNX file?"),
        ("--model tiny.onnx --model other/tiny.onnx", "other/tiny.onnx: there is a model \"tiny\" already"),
        ("--model tiny.onnx --pace-ms NaN", "--pace-ms NaN: give a number from 0 to 600000"),
        ("--model tiny.onnx --pace-row-ms 1e300", "give a number from 0 to 600000"),
        (
            "--model tiny.onnx --listen nowhere",
            "cannot listen on nowhere; give --listen an address that is free",
        ),
        (&format!("--model tiny.onnx --listen {taken}"), "in use"),
        ("--network tiny --write absent/tiny.onnx", "error: cannot write absent/tiny.onnx: No such file"),
        ("--network tiny", "--write"),
        ("", "--model"),
    ] {
        let said = fails(folder, arguments);
        assert!(said.contains(wanted), "{arguments}: {said}\ndoes not say {wanted:?}");
        assert!(!wanted.starts_with("error: ") || said.trim_end().lines().count() == 1, "{said}");
    }
}
