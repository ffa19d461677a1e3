//! Pages made of Markdown: complete HTML that needs no network.

use pulldown_cmark::{Event, Options, Parser, html};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\
    code{background:#8882;padding:.1em .3em}pre{background:#8882;padding:.6em;overflow-x:auto}pre code{background:none;padding:0}th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}\
    :root{color-scheme:light dark}";

/// The page of a text in a language. HTML in the text is shown, and does nothing.
pub fn page(title: &str, language: &str, text: &str) -> String {
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_HEADING_ATTRIBUTES);
    let harmless = parser.map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        event => event,
    });
    let mut body = String::new();
    html::push_html(&mut body, harmless);
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!doctype html><html lang=\"{language}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title} - Baremo</title><style>{STYLE}</style></head><body>{body}</body></html>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_in_a_text_is_shown_and_does_nothing() {
        let page = page("<x>", "es", "# Title { #here }\n\nA <script>alert(1)</script> | b\n\n<img src=x>\n");
        assert!(page.contains("<h1 id=\"here\">Title</h1>") && page.contains("lang=\"es\""), "{page}");
        assert!(
            page.contains("&lt;script&gt;") && page.contains("&lt;img src=x&gt;") && !page.contains("<script"),
            "{page}"
        );
        assert!(page.contains("<title>&lt;x> - Baremo</title>"), "{page}");
    }
}
