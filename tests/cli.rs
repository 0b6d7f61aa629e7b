//! What the command line says about itself: completions, manual pages, versions.

mod common;

use std::process::{Command, Stdio};

use common::{alone, has_mpi, names, ranks, text};

/// Commands as the help lists them.
fn commands() -> Vec<String> {
    let help = alone(["--help"]).ok().stdout;
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = list.filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    names.filter(|name| name != "help").collect()
}

#[test]
fn every_shell_learns_every_command() {
    let commands = commands();
    assert!(commands.len() > 10, "{commands:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = alone(["completions", shell]).ok().stdout;
        for command in &commands {
            assert!(script.contains(command.as_str()), "{command} in {shell}");
        }
        assert!(script.contains("one-pass"), "options in {shell}");
    }
    alone(["completions", "cmd.exe"]).failed(2, &["cmd.exe"]);
    assert_eq!(alone(["completions"]).code, Some(2));
}

#[test]
fn bash_completes_with_what_is_printed() {
    let script = alone(["completions", "bash"]).ok().stdout;
    // The completion function, called as bash calls it: the words so far, and which of them is being typed.
    let ask = format!(
        "{script}\nCOMP_WORDS=(corpuscle ls); COMP_CWORD=1; _corpuscle corpuscle ls corpuscle\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["-c", &ask]).stdin(Stdio::null()).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "lsi\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("man/man1");
    alone(["completions", "--man-pages", text(&pages)]).ok();
    let found = names(&pages);
    assert!(found.contains(&"corpuscle.1".to_owned()), "{found:?}");
    for command in commands() {
        let name = format!("corpuscle-{command}.1");
        let page = std::fs::read_to_string(pages.join(&name)).unwrap_or_else(|cause| panic!("{name}: {cause}"));
        assert!(page.contains(".SH SYNOPSIS") && page.contains("\\-\\-seed"), "{name} stands alone");
    }
}

#[test]
fn the_version_names_what_results_depend_on() {
    let short = alone(["--version"]).ok().stdout;
    assert_eq!(short, format!("corpuscle {}\n", env!("CARGO_PKG_VERSION")));
    for arguments in [["--version", "-v"], ["-v", "--version"], ["-V", "--verbose"]] {
        let long = alone(arguments).ok().stdout;
        for (what, which) in [
            ("corpuscle", env!("CARGO_PKG_VERSION")),
            ("commit", ""),
            ("MPI", ""),
            ("dense back end", ""),
            ("HDF5", "1."),
        ] {
            let line = long.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{what}: {long}"));
            let said = line[what.len()..].trim();
            assert!(!said.is_empty() && said.starts_with(which), "{line}");
        }
    }
    if has_mpi() {
        let said = ranks(2, ["--version"]).ok().stdout;
        assert_eq!(said.matches("corpuscle ").count(), 1, "one rank talks: {said}");
    }
}
