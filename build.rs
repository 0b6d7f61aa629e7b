//! Tells the program which commit it is built from, where it is built from a repository.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}

fn main() {
    // A source package unpacked inside somebody else's repository is not of that repository's commit.
    let ours = git(&["rev-parse", "--show-toplevel"]).is_some_and(|top| {
        let here = std::env::var_os("CARGO_MANIFEST_DIR");
        here.is_some_and(|here| std::fs::canonicalize(here).ok() == std::fs::canonicalize(top).ok())
    });
    let commit = ours.then(|| git(&["rev-parse", "--short=12", "HEAD"])).flatten();
    println!("cargo::rustc-env=CORPUSCLE_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rerun-if-changed=build.rs");
    if ours {
        // HEAD changes with the branch, its log with every commit.
        for name in ["HEAD", "logs/HEAD"] {
            if let Some(path) =
                git(&["rev-parse", "--git-path", name]).filter(|path| std::path::Path::new(path).exists())
            {
                println!("cargo::rerun-if-changed={path}");
            }
        }
    }
}
