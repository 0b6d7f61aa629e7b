//! `corpuscle build` on dumps of MediaWiki: which pages are documents, the same bytes however the dump is compressed and
//! whoever reads it, one line about what is no dump.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};

use common::{alone, digest, has_mpi, ranks, text};
use corpuscle::corpus::container::CorpusReader;

/// Sixty words and more, different for each page, with markup that has none.
fn article(number: usize) -> String {
    let words = (0..60 + number % 7 * 40).map(|at| format!("word{} ", ["one", "two", "three"][(at * number) % 3]));
    let letters = (0..number % 9).map(|at| format!("letter{} ", ["a", "bb", "ccc"][at % 3])).collect::<String>();
    format!(
        "{{{{Infobox|name=hidden{{{{nested}}}}}}}}\n'''Bold''' [[Target page|shown link]] &lt;ref&gt;a footnote&lt;/ref&gt; {}\n\
         {{| class=\"wikitable\"\n|-\n| style=\"x\" | cell\n|}}\n{letters}&lt;math&gt;formula&lt;/math&gt; caf&amp;eacute;\n\
         [[File:picture.jpg|thumb|caption]]\n[[Category:Things]]",
        words.collect::<String>()
    )
}

fn page(title: &str, namespace: i32, id: usize, redirect: &str, text: &str) -> String {
    format!(
        "  <page>\n    <title>{title}</title>\n    <ns>{namespace}</ns>\n    <id>{id}</id>\n{redirect}    <revision>\n      \
         <id>{}</id>\n      <text bytes=\"1\" xml:space=\"preserve\">{text}</text>\n    </revision>\n  </page>\n",
        id + 1000
    )
}

/// Forty articles, and as many pages that are none: redirects, talk, stubs.
fn pages() -> Vec<String> {
    let four = |number: usize| {
        let id = 4 * number + 1;
        [
            page(&format!("Article {number} &amp; more"), 0, id, "", &article(number)),
            page(&format!("Other {number}"), 0, id + 1, "    <redirect title=\"x\" />\n", &article(number)),
            page(&format!("Talk:Article {number}"), 1, id + 2, "", &article(number)),
            page(&format!("Stub {number}"), 0, id + 3, "", "A stub of few words."),
        ]
    };
    (0..40).flat_map(four).collect()
}

fn dump(pages: &[String]) -> String {
    let head = "<mediawiki xmlns=\"http://www.mediawiki.org/xml/export-0.11/\" xml:lang=\"en\">\n  <siteinfo>\n    \
                <sitename>Test</sitename>\n  </siteinfo>\n";
    format!("{head}{}</mediawiki>\n", pages.concat())
}

fn bzip2(text: &str) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn built(count: usize, inputs: &[&Path], output: &Path, more: &[&str]) -> String {
    let mut arguments = vec!["build"];
    arguments.extend(inputs.iter().map(|input| text(input)));
    arguments.extend(["-o", text(output), "--no-below", "1", "--no-above", "1", "-q"]);
    arguments.extend(more);
    ranks(count, arguments).ok();
    digest(output)
}

fn ids(corpus: &Path) -> Vec<String> {
    let reader = CorpusReader::open(corpus).unwrap();
    reader.ids(0, reader.header().documents).unwrap()
}

#[test]
fn articles_are_documents_and_their_markup_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("x-pages-articles.xml.bz2"), folder.path().join("c.h5"));
    std::fs::write(&input, bzip2(&dump(&pages()))).unwrap();
    built(1, &[&input], &output, &[]);
    let expected = (0..40).map(|number| format!("Article {number} & more")).collect::<Vec<_>>();
    assert_eq!(ids(&output), expected);
    let terms = CorpusReader::open(&output).unwrap().terms().unwrap();
    for there in ["bold", "shown", "link", "cell", "caption", "café", "letterccc", "wordtwo"] {
        assert!(terms.iter().any(|term| term == there), "{there}: {terms:?}");
    }
    for gone in
        ["infobox", "nested", "target", "footnote", "style", "wikitable", "formula", "picture", "category", "ref"]
    {
        assert!(!terms.iter().any(|term| term == gone), "{gone}");
    }
    let count = |more: &[&str]| {
        built(1, &[&input], &output, more);
        ids(&output).len()
    };
    assert_eq!(count(&["--keep-redirects"]), 80);
    assert_eq!(count(&["--namespaces", "0,1", "--skip-titles", ""]), 80);
    assert_eq!(count(&["--namespaces", "all"]), 40);
    assert_eq!(count(&["--skip-titles", "Nothing", "--namespaces", "1"]), 40);
    assert_eq!(count(&["--min-tokens", "0"]), 80);
    assert_eq!(count(&["--min-tokens", "200"]), 16);
    built(1, &[&input], &output, &["--id-field", "id", "--label-field", "namespace", "--keep-markup"]);
    let reader = CorpusReader::open(&output).unwrap();
    assert_eq!(reader.ids(0, 2).unwrap(), ["1", "5"]);
    assert_eq!(reader.labels(0, 2).unwrap().unwrap(), ["0", "0"]);
    assert!(reader.terms().unwrap().iter().any(|term| term == "infobox"));
}

#[test]
fn the_bytes_do_not_depend_on_compression_or_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let output = file("c.h5");
    let pages = pages();
    let parts = [dump(&pages[..50]), dump(&pages[50..])];
    let write = |ending: &str, pack: &dyn Fn(&str) -> Vec<u8>| -> [PathBuf; 2] {
        [0, 1].map(|part| {
            let path = file(&format!("part{part}.xml{ending}"));
            std::fs::write(&path, pack(&parts[part])).unwrap();
            path
        })
    };
    let several = |text: &str| {
        let cut = text.find("<page>").unwrap() + 2;
        [bzip2(&text[..cut]), bzip2(&text[cut..])].concat()
    };
    let of =
        |count: usize, inputs: &[PathBuf; 2], more: &[&str]| built(count, &[&inputs[0], &inputs[1]], &output, more);
    let packed = write(".bz2", &bzip2);
    let expected = of(1, &packed, &[]);
    assert_eq!(of(1, &packed, &["--threads", "3"]), expected);
    assert_eq!(of(1, &write("", &|text| text.into()), &[]), expected);
    assert_eq!(of(1, &write(".zst", &|text| zstd::encode_all(text.as_bytes(), 1).unwrap()), &[]), expected);
    let streams = write("-multistream.xml.bz2", &several);
    assert_eq!(of(1, &streams, &[]), expected);
    if has_mpi() {
        for count in [2, 3, 4] {
            assert_eq!(of(count, &packed, &[]), expected, "{count}");
        }
        assert_eq!(of(3, &streams, &["--scatter"]), expected);
    }
}

#[test]
fn what_is_no_dump_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = dump(&pages());
    let broken = whole.replace("<title>Article 7 &amp; more</title>", "<title>Article 7 & more</title>");
    let mut invalid = whole.replace("Article 3 &", "Article@3 &").into_bytes();
    let at = invalid.iter().position(|&byte| byte == b'@').unwrap();
    invalid[at] = 0xff;
    for (name, bytes, says) in [
        ("a.xml", b"<html></html>\n".to_vec(), "is no dump of MediaWiki"),
        ("a.xml", whole.as_bytes()[..whole.len() - 20].to_vec(), "does not end with </mediawiki>: is it complete?"),
        ("a.xml.bz2", bzip2(&whole[..whole.len() - 20]), "a.xml.bz2: does not end with </mediawiki>"),
        ("a.xml.bz2", bzip2(&whole)[..2000].to_vec(), "damaged or cut off"),
        ("a.xml", broken.into_bytes(), "page \"Article 7 & more\": not XML"),
        ("a.xml", invalid, "not UTF-8"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let run = alone(["build", text(&path), "-o", text(&folder.path().join("c.h5")), "-q"]);
        assert_eq!(run.code, Some(1), "{name}: {}", run.stderr);
        assert!(run.stderr.contains(says) && run.stderr.lines().count() == 1, "{says}: {}", run.stderr);
        assert!(!folder.path().join("c.h5").exists());
        std::fs::remove_file(&path).unwrap();
    }
    let lines = folder.path().join("a.txt");
    std::fs::write(&lines, "text\n").unwrap();
    let output = folder.path().join("c.h5");
    for more in [&["--keep-markup"][..], &["--input-format", "wiki", "--text-field", "body"]] {
        let run = alone([&["build", text(&lines), "-o", text(&output)], more].concat());
        assert_eq!(run.code, Some(2), "{}", run.stderr);
    }
}
