//! What a package needs: licences, a version that all agree on, recipes that parse and name what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|cause| panic!("{name}: {cause}"))
}

/// Whether a shell or Python takes a text as a program of its language.
fn parses(program: &str, arguments: &[&str], text: &str) -> Option<bool> {
    use std::io::Write;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().ok()?;
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("read");
    Some(child.wait().expect("ended").success())
}

#[test]
fn licences_and_version_are_the_same_everywhere() {
    assert!(
        file("LICENSE-MIT").contains("Permission is hereby granted") && file("LICENSE-APACHE").contains("Version 2.0")
    );
    let manifest = file("Cargo.toml");
    assert!(manifest.contains("license = \"MIT OR Apache-2.0\""));
    let version = env!("CARGO_PKG_VERSION");
    assert!(file("CHANGELOG.md").contains(&format!("\n## {version}")));
    let spack = file("jobscripts/spack/package.py");
    assert!(spack.contains(&format!("version(\"{version}\")")) && spack.contains("license(\"MIT OR Apache-2.0\")"));
    let wanted = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    let wanted = wanted.trim_matches('"');
    assert!(
        spack.contains(&format!("\"rust@{wanted}:\""))
            && file("jobscripts/corpuscle.def").contains(&format!("From: rust:{wanted}"))
    );
}

#[test]
fn the_apptainer_definition_has_sections_that_are_shell() {
    let text = file("jobscripts/corpuscle.def");
    let known = ["files", "post", "environment", "runscript", "test", "help"];
    let mut heads = BTreeSet::new();
    let mut sections: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(head) = line.strip_prefix('%') {
            let name = head.split_whitespace().next().unwrap_or_default().to_owned();
            assert!(known.contains(&name.as_str()), "%{name}");
            sections.push((name, String::new()));
            inside = true;
        } else if line.is_empty() || line.starts_with(' ') {
            if let (true, Some((_, body))) = (inside, sections.last_mut()) {
                *body += &format!("{line}\n");
            }
        } else {
            inside = false;
            let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}"));
            assert!(["Bootstrap", "From", "Stage"].contains(&key) && !value.is_empty(), "{line}");
            heads.insert(key.to_owned());
        }
    }
    assert_eq!(heads.len(), 3);
    for (name, body) in &sections {
        if matches!(name.as_str(), "post" | "environment" | "runscript" | "test") {
            assert_eq!(parses("bash", &["-n"], body), Some(true), "%{name}");
        }
    }
    assert_eq!(sections.iter().filter(|(name, _)| name == "post").count(), 2);
}

#[test]
fn the_spack_package_is_python_and_names_features_there_are() {
    let text = file("jobscripts/spack/package.py");
    let compile = "import ast, sys; ast.parse(sys.stdin.read())";
    match parses("python3", &["-c", compile], &text) {
        Some(parsed) => assert!(parsed, "a syntax error"),
        None => eprintln!("skipped: no Python to parse the Spack package with"),
    }
    let manifest = file("Cargo.toml");
    let features = manifest.split_once("[features]").expect("features").1;
    for feature in ["openblas", "faer", "mpi"] {
        assert!(
            text.contains(&format!("\"{feature}\"")) && features.contains(&format!("\n{feature} = [")),
            "{feature}"
        );
    }
}
