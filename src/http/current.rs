//! What is in force while a request is served: each request takes one state and keeps it to its end, whatever is activated meanwhile.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use super::problem::{Code, Problem};

/// Where the current state comes from; the composition root makes one for each type.
pub struct Source<T: ?Sized>(Box<dyn Fn() -> Option<Arc<T>> + Send + Sync>);

impl<T> Source<T> {
    /// A source that asks `current` at each request; nothing means that the service isn't ready yet.
    pub fn new(current: impl Fn() -> Option<Arc<T>> + Send + Sync + 'static) -> web::Data<Self> {
        web::Data::new(Self(Box::new(current)))
    }
}

/// The state in force when the request came in. Answers 503 while there is none.
pub struct Current<T>(pub Arc<T>);

impl<T> Deref for Current<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: 'static> FromRequest for Current<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let current = request.app_data::<web::Data<Source<T>>>().and_then(|source| (source.0)());
        ready(current.map(Self).ok_or_else(|| Problem::detailed(Code::Unavailable, "the service is starting")))
    }
}
