//! Pages in a real browser: Debian's headless Chromium, which jobscripts/setup.sh installs where it can.
//!
//! The page under test is a copy with two scripts more: the first notes everything that goes wrong from the beginning, the
//! second does what a reader would do and leaves what it found in the document, which Chromium prints.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Notes errors, messages on the console and attempts to fetch something.
const WATCH: &str = r#"<script>
const faults = [];
addEventListener("error", (event) => faults.push(String(event.message)), true);
addEventListener("unhandledrejection", (event) => faults.push(String(event.reason)));
document.addEventListener("securitypolicyviolation", (event) => faults.push("fetched " + event.blockedURI));
for (const kind of ["error", "warn"]) console[kind] = (...words) => faults.push(words.join(" "));
</script>"#;

/// The browser, if there is one. In continuous integration there has to be one.
pub fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let found = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|p| p.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "no Chromium in continuous integration");
        eprintln!("skipped: no Chromium; jobscripts/setup.sh installs one as root on Debian");
    }
    found
}

/// Opens a page, runs `steps`, the body of a function that returns what it found, and gives that back. Fails on anything
/// that went wrong in the page.
#[track_caller]
pub fn visit(chromium: &Path, page: &Path, dark: bool, steps: &str) -> Value {
    let text = fs::read_to_string(page).expect("the page");
    let probe = format!(
        "<script>addEventListener(\"load\", () => {{\nlet found = null;\ntry {{ found = (() => {{ {steps} }})(); }} catch (fault) {{ \
         faults.push(String(fault)); }}\nconst out = document.createElement(\"pre\");\nout.id = \"probe\";\n\
         out.textContent = encodeURIComponent(JSON.stringify({{ found, faults }}));\ndocument.body.append(out);\n}});</script>"
    );
    let (head, body) = text.split_once("<head>").expect("a head");
    let (body, end) = body.rsplit_once("</body>").expect("a body");
    let copy = page.with_extension("watched.html");
    fs::write(&copy, format!("{head}<head>{WATCH}{body}{probe}</body>{end}")).expect("written");

    let profile = tempfile::tempdir().expect("a folder");
    let mut address = OsString::from("file://");
    address.push(fs::canonicalize(&copy).expect("there"));
    let mut command = Command::new("timeout");
    command.arg("100").arg(chromium);
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    // Nothing but the page: no updates, no synchronisation.
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    if dark {
        command.arg("--blink-settings=preferredColorScheme=0");
    }
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.args(["--virtual-time-budget=10000", "--dump-dom"]).arg(address).stdin(Stdio::null());
    let output = command.output().expect("Chromium starts");
    let dom = String::from_utf8_lossy(&output.stdout);
    let said = dom.split_once("<pre id=\"probe\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let Some((said, _)) = said else {
        panic!("{}: nothing was found: {}\n{dom}", output.status, String::from_utf8_lossy(&output.stderr));
    };
    let said: Value = serde_json::from_slice(&decoded(said)).expect("JSON");
    assert_eq!(said["faults"], Value::Array(Vec::new()), "{}", page.display());
    said["found"].clone()
}

/// The inverse of `encodeURIComponent`.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (code, after) = rest.split_at(2);
            bytes.push(u8::from_str_radix(std::str::from_utf8(code).expect("ASCII"), 16).expect("hexadecimal"));
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    bytes
}
