//! Refuses what an operation doesn't take, and what stands twice in a query: nothing is left out silently.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use serde_json::Value as Json;

use crate::faults::{Fault, MOST, enough, pointer_segment, unknown_field};
use crate::http::extract::{self, Parameters};
use crate::http::paths::Paths;
use crate::http::problem::Problem;
use crate::identity::model::Principal;

/// The middleware: a query or a body of an operation that declares none, and parameters of which only one could hold.
pub async fn only(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let paths = request.app_data::<web::Data<Paths>>().cloned();
    let takes = paths.as_ref().and_then(|paths| paths.operation(request.method(), request.path()));
    // Who may not do it at all is told that instead, by the handler.
    let principal = request.extensions().get::<Arc<Principal>>().cloned();
    let may = |permission: &String| principal.as_ref().is_some_and(|principal| principal.permissions.has(permission));
    let Some(takes) = takes.filter(|takes| takes.permission.as_ref().is_none_or(may)) else {
        return next.call(request).await;
    };
    let Parameters(sent) = Parameters::of(request.query_string())?;
    let (mut faults, mut seen) = (Vec::new(), BTreeSet::new());
    for (name, _) in &sent {
        let is_second = !seen.insert(name);
        faults.extend((!takes.query).then(|| Parameters::unknown(name, &[])));
        faults.extend(is_second.then(|| Fault::new(name, "doubled", "the parameter stands twice")));
        if enough(&faults) {
            break;
        }
    }
    if !takes.body && request.method() != Method::GET {
        let (head, payload) = request.parts_mut();
        let body = extract::bytes(head, payload).await?;
        faults.extend(members(&body));
        request.set_payload(Payload::None);
    }
    if faults.is_empty() { next.call(request).await } else { Err(Problem::invalid(faults).into()) }
}

/// What stands in a body that should be empty; an object without members is as good as nothing.
fn members(body: &[u8]) -> Vec<Fault> {
    match serde_json::from_slice(body) {
        _ if body.trim_ascii().is_empty() => Vec::new(),
        Ok(Json::Object(members)) => {
            members.keys().take(MOST).map(|name| unknown_field(&pointer_segment(name), name, [])).collect()
        }
        _ => vec![Fault::new("", "not_allowed", "this operation takes no body")],
    }
}
