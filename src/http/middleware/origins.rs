//! Which web pages of other origins may call the API (CORS).

use std::str::FromStr;
use std::sync::Arc;

use actix_cors::Cors;
use actix_web::http::Uri;
use actix_web::http::header;
use actix_web::middleware::Condition;

/// The origins that are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Arc<[String]>);

impl FromStr for Origins {
    type Err = ();

    /// Reads origins such as `https://crm.example`, separated by commas; an empty text is none.
    fn from_str(text: &str) -> Result<Self, ()> {
        let read = |origin: &str| {
            let uri: Uri = origin.parse().map_err(drop)?;
            let is_origin = ["http", "https"].contains(&uri.scheme_str().unwrap_or_default())
                && uri.authority().is_some_and(|authority| origin.ends_with(authority.as_str()));
            if is_origin { Ok(origin.to_owned()) } else { Err(()) }
        };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl Origins {
    /// The middleware that lets their pages in; without any, none is told anything.
    pub fn cors(&self) -> Condition<Cors> {
        let allowed = [
            header::ACCEPT_LANGUAGE.as_str(),
            "authorization",
            "content-type",
            "if-match",
            "if-none-match",
            "idempotency-key",
            "x-request-id",
        ];
        let exposed = [
            "ETag",
            "Location",
            "Retry-After",
            "Link",
            "X-Request-Id",
            "Idempotency-Replayed",
            "RateLimit",
            "RateLimit-Policy",
            "Content-Language",
        ];
        let cors = Cors::default()
            .allowed_methods(["GET", "POST", "PUT", "PATCH", "DELETE"])
            .allowed_headers(allowed)
            .expose_headers(exposed)
            .max_age(3600);
        let cors = self.0.iter().fold(cors, |cors, origin| cors.allowed_origin(origin));
        Condition::new(!self.0.is_empty(), cors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_and_host_alone() {
        assert_eq!("https://a.example, http://localhost:3000".parse::<Origins>().unwrap().0.len(), 2);
        assert_eq!("".parse(), Ok(Origins::default()));
        for wrong in ["*", "a.example", "https://a.example/", "https://a.example/path", "ftp://a.example"] {
            assert_eq!(wrong.parse::<Origins>(), Err(()), "{wrong}");
        }
    }
}
