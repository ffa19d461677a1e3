//! What the code of each fault means: a page for authors, with what is wrong and what would be right.

/// The pages, each below a heading with its code.
const PAGES: &str = include_str!("explanations.md");

/// The page of a code, in Markdown.
pub fn explanation(code: &str) -> Option<&'static str> {
    pages().find(|(known, _)| *known == code).map(|(_, page)| page)
}

/// All codes with their pages, sorted.
pub fn pages() -> impl Iterator<Item = (&'static str, &'static str)> {
    let sections = PAGES.strip_prefix("## ").unwrap_or(PAGES).split("\n## ");
    sections.filter_map(|section| section.split_once('\n')).map(|(code, page)| (code.trim(), page.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_found_by_its_code() {
        let codes: Vec<&str> = pages().map(|(code, _)| code).collect();
        assert!(codes.is_sorted() && codes.len() > 90, "{codes:?}");
        assert!(codes.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(pages().all(|(code, page)| explanation(code) == Some(page) && !page.is_empty()));
        assert!(explanation("maybe").unwrap().starts_with("`customer.maybe.<field>` reads what may be absent"));
        assert_eq!(explanation("nothing_like_it"), None);
    }
}
