//! The documentation is true: commands of the README and of the tutorial run as they are written and print what is shown,
//! Python reads the files they leave, the tables of options name all options there are and no others, and no link is dead.
//!
//! A comment before a fenced block says what is to be done with it:
//!
//! ```text
//! <!-- test: tour -->     sh: run it (in the tutorial: tutorial; on numbers of topics: topics)
//! <!-- test: mpi -->      sh: run it where there is an MPI launcher
//! <!-- test: debian -->   sh: the same, on the sample instead of the descriptions of Debian's packages
//! <!-- test: output -->   text: what the block before it printed
//! <!-- test: python -->   python: run it where its packages are
//! <!-- test: words -->    python: the same; it prints the topics of the words of a document
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_corpuscle");
/// Seconds that one block may take.
const DEADLINE: &str = "300";

/// A fenced block that is tested.
struct Block {
    /// The word after `test:`.
    kind: String,
    body: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|cause| panic!("{name}: {cause}"))
}

fn tested_blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("<!-- test: ").and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        let fence = lines.next().unwrap_or_default();
        assert!(fence.starts_with("```"), "no block after {line}");
        let body = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        blocks.push(Block { kind: kind.to_owned(), body });
    }
    blocks
}

/// Runs a program in a folder, with the program under test first on the path and the launcher's settings made.
fn run_in(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    let mut path = OsString::from(Path::new(PROGRAM).parent().expect("a folder"));
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("timeout");
    command.arg(DEADLINE).arg(program).args(arguments).current_dir(folder).env("PATH", path).stdin(Stdio::null());
    if env::var_os("CORPUSCLE_MPIRUN").is_none() {
        command.env("CORPUSCLE_MPIRUN", "mpirun --oversubscribe --bind-to none");
    }
    for name in ["OMPI_ALLOW_RUN_AS_ROOT", "PRTE_ALLOW_RUN_AS_ROOT"] {
        command.env(name, "1").env(format!("{name}_CONFIRM"), "1");
    }
    command.output().unwrap_or_else(|cause| panic!("{command:?}: {cause}"))
}

/// Runs a block, which must end well, and returns what it printed.
fn succeed(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = run_in(folder, program, arguments);
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{program} {}\n{status}\n{stdout}{stderr}", arguments.join(" "));
    stdout.into_owned()
}

/// Compares what was printed with what the README shows: words exactly, numbers to 2 % and one unit of the last digit
/// shown, since CPUs without fused multiply-add and other versions of MKL round differently.
fn assert_alike(shown: &str, printed: &str) {
    let separates = |c: char| c.is_whitespace() || c == '*';
    let words =
        |text: &str| -> Vec<String> { text.split(separates).filter(|w| !w.is_empty()).map(str::to_owned).collect() };
    let (expected, actual) = (words(shown), words(printed));
    let alike = |(one, other): (&String, &String)| match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(a), Ok(b)) => {
            let decimals = one.split('.').nth(1).filter(|_| !one.contains('e')).map_or(0, str::len);
            let unit = if decimals > 0 { 10f64.powi(-(decimals as i32)) } else { 0.0 };
            // Two digits are shown of residuals, so their last one is worth up to 10 %.
            let share = if one.contains('e') { 0.11 } else { 0.02 };
            let whole = a.fract() == 0.0 && !one.contains(['.', 'e']);
            if whole { a == b } else { (a - b).abs() <= share * a.abs() + unit }
        }
        _ => one == other || (one.starts_with("--") && other.starts_with("--")),
    };
    let same = expected.len() == actual.len() && expected.iter().zip(&actual).all(alike);
    assert!(same, "the README shows\n{shown}\nbut printed is\n{printed}");
}

/// A launcher for this build.
fn has_launcher(folder: &Path) -> bool {
    cfg!(feature = "mpi") && run_in(folder, "bash", &["-c", "${CORPUSCLE_MPIRUN%% *} --version"]).status.success()
}

/// The Python that jobscripts/env.sh names, or any, if it has the packages.
fn python(folder: &Path) -> Option<String> {
    let named = env::var("CORPUSCLE_PYTHON").ok();
    let mut candidates = named.into_iter().chain(["python3".to_owned()]);
    let works = |python: &String| run_in(folder, python, &["-c", "import anndata, h5py, scipy"]).status.success();
    let found = candidates.find(works);
    // Set-up installs them there: silence would hide that it failed to.
    assert!(found.is_some() || env::var_os("CI").is_none(), "no Python with anndata, h5py and scipy in CI");
    found
}

/// A folder with the sample corpus where the repository has it, and as somebody's own texts.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["data", "my-texts"] {
        fs::create_dir(folder.path().join(name)).expect("created");
    }
    let sample = page("data/sample.jsonl");
    fs::write(folder.path().join("data/sample.jsonl"), &sample).expect("written");
    for (number, line) in sample.lines().enumerate() {
        let document: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = document["text"].as_str().expect("a text");
        fs::write(folder.path().join(format!("my-texts/{number:03}.txt")), text).expect("written");
    }
    folder
}

/// Runs the blocks of a page, one after the other; how many there were of each kind.
fn run_blocks(folder: &Path, text: &str) -> BTreeMap<String, usize> {
    let mut printed = String::new();
    let mut kinds = BTreeMap::new();
    for Block { kind, body } in tested_blocks(text) {
        match kind.as_str() {
            "tour" | "tutorial" | "topics" => printed = succeed(folder, "bash", &["-euo", "pipefail", "-c", &body]),
            "output" => assert_alike(&body, &printed),
            "mpi" | "debian" if has_launcher(folder) => {
                if kind == "debian" {
                    // The archive is far, and takes minutes: the quick start goes there.
                    let script = "cp data/sample.jsonl \"$1\"\n";
                    fs::write(folder.join("data/debian-descriptions.sh"), script).expect("written");
                }
                succeed(folder, "bash", &["-euo", "pipefail", "-c", &body]);
            }
            "mpi" | "debian" => eprintln!("skipped: no MPI launcher, or a build without MPI"),
            "python" | "words" => match python(folder) {
                Some(python) => {
                    let said = succeed(folder, &python, &["-c", &body]);
                    let shown = if kind == "words" { "([(" } else { "n_obs × n_vars = 108 × 772" };
                    assert!(said.contains(shown), "{said}");
                }
                None => eprintln!("skipped: no Python with anndata, h5py and scipy; jobscripts/setup.sh installs one"),
            },
            other => panic!("a block is marked {other:?}, which means nothing"),
        }
        *kinds.entry(kind).or_insert(0) += 1;
    }
    kinds
}

#[test]
fn the_tour_runs_as_written_and_python_reads_what_it_leaves() {
    let folder = workplace();
    let kinds = run_blocks(folder.path(), &page("README.md"));
    assert!(kinds["tour"] >= 6 && kinds["output"] >= 3, "blocks have lost their marks: {kinds:?}");
    assert_eq!((kinds["mpi"], kinds["debian"]), (1, 1));
    let kinds = run_blocks(folder.path(), &page("docs/python.md"));
    assert_eq!((kinds["python"], kinds["words"]), (1, 1));
}

#[test]
fn the_tutorial_runs_as_written_in_ten_commands() {
    let folder = workplace();
    let text = page("docs/tutorial.md");
    let kinds = run_blocks(folder.path(), &text);
    assert_eq!((kinds["tutorial"], kinds["output"]), (1 + 10, 2));
    let commands = tested_blocks(&text).iter().filter(|block| block.body.starts_with("corpuscle ")).count();
    assert_eq!(commands, 10);
    assert!(folder.path().join("topics.html").exists());
}

#[test]
fn the_page_on_numbers_of_topics_runs_as_written() {
    let folder = workplace();
    assert_eq!(run_blocks(folder.path(), &page("docs/topics.md"))["topics"], 2);
    let sweep = fs::read_to_string(folder.path().join("k/sweep.csv")).expect("a table of runs");
    assert_eq!(sweep.lines().count(), 5, "{sweep}");
    // Perplexities of the first line under each head.
    let perplexity = |k: usize| {
        let table = fs::read_to_string(folder.path().join(format!("k/lda-{k}.csv"))).expect("an evaluation");
        let (head, values) = table.split_once('\n').expect("a head");
        let place = head.split(',').position(|name| name == "perplexity").expect("a perplexity");
        values.split([',', '\n']).nth(place).and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    // The corpus was made of twelve topics: fewer foretell less, more hardly more.
    let [three, six, twelve, many] = [3, 6, 12, 24].map(perplexity);
    assert!(twelve < six && six < three, "{three}, {six}, {twelve}");
    assert!((many / twelve - 1.0).abs() < 0.015 && twelve < 0.97 * three, "{three}, {twelve}, {many}");
}

/// What a heading's link is called: lower case, blanks as hyphens, nothing but letters, digits and these.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn no_link_is_dead() {
    let docs = fs::read_dir(root().join("docs")).expect("docs");
    let mut pages: Vec<String> = docs
        .map(|entry| format!("docs/{}", entry.expect("an entry").file_name().to_string_lossy()))
        .filter(|name| name.ends_with(".md"))
        .collect();
    pages.extend(["README.md", "ARCHITECTURE.md"].map(String::from));
    let mut links = 0;
    for name in &pages {
        let text = page(name);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.contains([' ', '\n']) {
                continue;
            }
            links += 1;
            let (file, part) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => root().join(name),
                file => root().join(name).parent().expect("a folder").join(file),
            };
            assert!(path.exists(), "{name}: {target}");
            if !part.is_empty() {
                let there = fs::read_to_string(&path).expect("text");
                let mut heads = there.lines().filter(|line| line.starts_with('#'));
                assert!(heads.any(|head| anchor(head.trim_start_matches('#')) == part), "{name}: {target}");
            }
        }
    }
    assert!(links > 20, "{links}");
}

/// Long options of a text: words of letters and hyphens after two hyphens.
fn options(text: &str) -> BTreeSet<String> {
    let end = |rest: &str| rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
    let starts = text.split("--").skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    starts.map(|rest| rest[..end(rest)].to_owned()).collect()
}

/// The options a command says it has: the heads of its help's entries.
fn options_of_help(arguments: &[&str]) -> BTreeSet<String> {
    let help = succeed(root(), PROGRAM, arguments);
    let heads = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    // In the wrapped form of help a head stands alone, but for the name of its value.
    heads.flat_map(|head| options(head.split('<').next().unwrap_or(head))).collect()
}

/// First cells of the tables below a heading, up to the next heading.
fn options_of_tables(section: &str) -> BTreeSet<String> {
    let end = section.find("\n#").unwrap_or(section.len());
    let rows = section[..end].lines().filter_map(|line| line.strip_prefix("| `"));
    rows.flat_map(|row| options(row.split(" | ").next().unwrap_or(row))).collect()
}

#[test]
fn the_tables_of_options_are_those_of_help() {
    let manual = page("docs/commands.md");
    let always = ["help", "version"].map(str::to_owned);
    let section = |head: &str| manual.split_once(head).unwrap_or_else(|| panic!("no {head:?}")).1;
    let common = options_of_tables(section("\n## Options\n"));
    let mut known = options_of_help(&["--help"]);
    always.iter().for_each(|name| assert!(known.remove(name), "--{name}"));
    assert_eq!(common, known, "options of all commands");

    let help = succeed(root(), PROGRAM, &["--help"]);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = list.filter_map(|line| line.split_whitespace().next());
    let commands: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert_eq!(manual.matches("\n### corpuscle ").count(), commands.len(), "commands documented");
    for command in commands {
        let mut known = options_of_help(&[command, "--help"]);
        known.retain(|name| !common.contains(name) && !always.contains(name));
        let shown = options_of_tables(section(&format!("\n### corpuscle {command} ")));
        assert_eq!(shown, known, "options of {command}");
    }
}
