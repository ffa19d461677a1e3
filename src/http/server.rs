//! What stands below the application: threads that take connections, each of which ends by itself when it dawdles.

use std::fmt::Debug;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::body::MessageBody;
use actix_http::{Extensions, HttpService, Protocol, Request, Response};
use actix_server::Server;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::Error;
use actix_web::dev::AppConfig;
use tokio::net::TcpStream;

use super::limits::Limits;
use super::pace::{Paced, Patience};

/// Seconds that running requests may take when the service stops.
const SHUTDOWN_SECONDS: u64 = 20;
/// How long the rest of a refused body is still taken, so that its sender sees the answer and not a broken connection.
const LINGER: Duration = Duration::from_secs(1);
/// Threads that take requests; use cases run elsewhere.
const WORKERS: usize = 2;

/// Serves an application on a listener, as `actix_web::HttpServer` does, but on connections of our own.
pub fn serve<F, I, S, B>(listener: TcpListener, limits: &Limits, app: F) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let server = Server::build().workers(WORKERS).shutdown_timeout(SHUTDOWN_SECONDS).disable_signals();
    let stopping = server.graceful_shutdown_signal();
    let patience = Patience { silence: limits.silence, head: limits.head_time };
    let server = server.listen("http", listener, move || {
        let stopping = stopping.clone();
        let application = app().into_factory().map_err(|error| error.into().error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(patience.silence)
            .client_request_timeout(patience.head)
            .client_disconnect_timeout(LINGER)
            .on_connect_ext(|connection: &Paced, known: &mut Extensions| drop(known.insert(connection.pace())))
            .finish(map_config(application, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| async move {
            let peer = stream.peer_addr().ok();
            Ok((Paced::new(stream, patience), Protocol::Http1, peer))
        })
        .and_then(http)
    })?;
    Ok(server.run())
}
