//! The page for those who build front ends, the same as in the repository. It needs no network.

use actix_web::{HttpResponse, get};

use super::problem::pages;

/// Shows the page.
#[get("/docs/front-ends")]
pub async fn front_ends() -> HttpResponse {
    pages::answer("For front-end builders", include_str!("../../docs/front-ends.md"))
}
