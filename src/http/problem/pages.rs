//! The pages that explain problems: what their `type` refers to. They need no network.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use pulldown_cmark::{Options, Parser, html};

use super::{Code, Entry, LANGUAGES, Problem};
use crate::faults::CODES;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\
    code{background:#8882;padding:.1em .3em}pre{background:#8882;padding:.6em;overflow-x:auto}pre code{background:none;padding:0}th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}\
    :root{color-scheme:light dark}";

/// Mounts the pages.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(index).service(show);
}

#[get("/problems")]
async fn index() -> HttpResponse {
    let line = |code: &Code| {
        let Entry { code, status, titles: [title, ..], .. } = code.entry();
        format!("| {} | [`{code}`](/problems/{code}) | {title} |\n", status.as_u16())
    };
    let fault = |(code, meaning): &(&str, &str)| format!("| `{code}` | {meaning} |\n");
    let text = format!(
        "# Problems\n\nEvery error is answered as `application/problem+json` (RFC 9457). Its `code` never changes its meaning, \
         `title` follows `Accept-Language`, `detail` says what is wrong this time.\n\n\
         | status | code | title |\n|---|---|---|\n{}\n<h2 id=\"faults\">Faults</h2>\n\nThe codes in `errors` of an \
         [`invalid`](/problems/invalid) request, and in the reports of batches and imports.\n\n| code | means |\n|---|---|\n{}",
        Code::ALL.iter().map(line).collect::<String>(),
        CODES.iter().map(fault).collect::<String>(),
    );
    answer("Problems", &text)
}

#[get("/problems/{code}")]
async fn show(code: web::Path<String>) -> Result<HttpResponse, Problem> {
    let wanted = Code::ALL.iter().map(|code| code.entry()).find(|entry| entry.code == *code);
    let entry = wanted.ok_or_else(|| Problem::new(Code::NotFound))?;
    let [title, ..] = entry.titles;
    let titles = LANGUAGES.iter().zip(entry.titles).map(|(language, title)| format!("- `{language}` {title}\n"));
    let text = format!(
        "# {title}\n\nStatus {}, code `{}`.\n\n## What it means\n\n{}\n\n## What to do\n\n{}\n\n## Titles\n\n{}\n[All problems](/problems)",
        entry.status.as_u16(),
        entry.code,
        entry.meaning,
        entry.remedy,
        titles.collect::<String>(),
    );
    Ok(answer(title, &text))
}

/// A page of a text in Markdown.
pub fn answer(title: &str, text: &str) -> HttpResponse {
    let mut body = String::new();
    html::push_html(&mut body, Parser::new_ext(text, Options::ENABLE_TABLES));
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title} - Baremo</title><style>{STYLE}</style></head><body>{body}</body></html>"
    );
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8")).body(page)
}
