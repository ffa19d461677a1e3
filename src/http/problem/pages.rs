//! The pages that explain problems: what their `type` refers to. They need no network.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};

use super::{Code, Entry, LANGUAGES, Problem};
use crate::faults::CODES;
use crate::markdown;

/// The language of the pages.
const ENGLISH: &str = "en";

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
         | status | code | title |\n|---|---|---|\n{}\n## Faults {{ #faults }}\n\nThe codes in `errors` of an \
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
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .body(markdown::page(title, ENGLISH, text))
}
