//! MediaWiki's dumps of its pages (`pages-articles.xml`), Wikipedia's among them, as text.
//!
//! A dump is one XML document with a `page` element for each page. [`page`] finds and parses these, [`WikiSpec`] says which
//! of them are articles, [`markup`] takes the markup off their text, and [`ranges`] finds the pages of a range of a
//! dump compressed by bzip2, in one stream or many.

pub mod input;
pub mod markup;
pub mod page;
pub mod ranges;
mod tables;

use serde::{Deserialize, Serialize};

use page::Page;

/// Fields of a page that can be a document's identifier, and its label.
pub const FIELDS: (&[&str], &str) = (&["title", "id"], "namespace");

/// Fewest tokens of a document, unless told otherwise.
pub const MIN_TOKENS: u64 = 50;

/// Which pages are documents, and what of them is text. By default as gensim's `WikiCorpus` has it, and no redirects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WikiSpec {
    /// Numbers of the namespaces that are read; none for all.
    pub namespaces: Option<Vec<i64>>,
    /// Pages whose title begins with one of these and a colon are left out.
    pub skip_titles: Vec<String>,
    /// Pages that only lead to another are documents too.
    pub redirects: bool,
    /// The markup stays in the text.
    pub markup: bool,
}

impl Default for WikiSpec {
    fn default() -> Self {
        // Old dumps do not say which namespace a page is in; these are what its title then begins with.
        let titles = "Wikipedia Category File Portal Template MediaWiki User Help Book Draft WikiProject Special Talk";
        WikiSpec {
            namespaces: Some(vec![0]),
            skip_titles: titles.split(' ').map(str::to_owned).collect(),
            redirects: false,
            markup: false,
        }
    }
}

impl WikiSpec {
    /// Whether a page is to be a document.
    pub fn takes(&self, page: &Page<'_>) -> bool {
        let namespace = match &self.namespaces {
            None => true,
            // Dumps of before 2012 have no such element.
            Some(_) if page.namespace.is_empty() => true,
            Some(numbers) => page.namespace.trim().parse().is_ok_and(|number| numbers.contains(&number)),
        };
        let prefix = page.title.split_once(':').map(|(prefix, _)| prefix);
        namespace && (self.redirects || !page.redirect) && !self.skip_titles.iter().any(|skip| prefix == Some(skip))
    }

    /// The text of a page.
    pub fn text(&self, page: &Page<'_>) -> String {
        if self.markup { page.text.clone().into_owned() } else { markup::plain_text(&page.text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_are_told_from_other_pages() {
        let page = |title: &'static str, namespace: &'static str, redirect| Page {
            title: title.into(),
            namespace: namespace.into(),
            redirect,
            ..Page::default()
        };
        let takes = |spec: &WikiSpec, page: Page<'_>| spec.takes(&page);
        let plain = WikiSpec::default();
        assert!(takes(&plain, page("Talking: a film", "0", false)) && takes(&plain, page("Old", "", false)));
        assert!(!takes(&plain, page("Talk:X", "1", false)) && !takes(&plain, page("Talk:X", "", false)));
        assert!(!takes(&plain, page("X", "0", true)) && !takes(&plain, page("X", "?", false)));
        let all = WikiSpec { namespaces: None, skip_titles: vec![], redirects: true, markup: true };
        assert!(takes(&all, page("Talk:X", "1", true)));
        assert_eq!(all.text(&Page { text: "[[x]]".into(), ..Page::default() }), "[[x]]");
    }
}
