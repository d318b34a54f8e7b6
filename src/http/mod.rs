//! The HTTP server: routes, extractors, responses. The only module that knows the web framework.

mod caller;
mod chat;
mod connection;
mod error_response;
mod handlers;
mod health;
mod metrics;
mod models;
mod openapi;
mod providers;
mod request_context;
mod request_head;
mod response;
mod responses;
mod routes;
mod schema;
mod signals;
mod socket;
mod state;
mod ui;

use std::cell::Cell;
use std::future::{Future as _, pending, poll_fn, ready};
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, Server, Service};
use actix_web::rt::net::TcpStream;
use actix_web::{App, rt};
use futures_util::future::{Either, select};
use socket2::{Domain, Type};
use tokio::time::timeout;

pub use openapi::document;
pub use routes::ROUTES;
pub use signals::Signals;

use crate::flow::{AppState, SharedState};
use crate::shutdown::Stage;
use connection::{ClientTimeouts, Connections};
use signals::Signal;
use socket::ClientSocket;

/// Maximum number of response bytes that wait for the client before the gateway stops reading from
/// the provider.
const WRITE_BUFFER: usize = 4 << 10;

/// How long the body of a refused request may continue before the connection is cut.
const LINGER: Duration = Duration::from_secs(1);

/// Maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 2048;

/// Listens on the first address of the host that works.
///
/// # Errors
/// If the host has no address, or the port is taken.
pub fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut last = io::Error::other("the host has no address");
    for address in (host, port).to_socket_addrs()? {
        let listening = || {
            let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(TcpListener::from(socket))
        };
        match listening() {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Serves on `listener` until its handle stops it.
///
/// # Errors
/// If a configured host cannot be connected to at all, or the listener cannot be used.
pub fn serve(shared: SharedState, listener: TcpListener) -> io::Result<Server> {
    // Each thread starts its own workers below; this detects errors before the server starts.
    AppState::start(&shared).map_err(io::Error::other)?;
    let config = Arc::clone(shared.config());
    let address = listener.local_addr()?;
    let patience = ClientTimeouts {
        head: config.server.head_timeout,
        rest: config.server.connection_idle_timeout,
        write: config.server.write_timeout,
    };
    let app = move || {
        let state = AppState::start(&shared).expect("it was tried before the server started");
        let config = Arc::clone(shared.config());
        let metrics = Arc::clone(shared.metrics());
        let shutdown = shared.shutdown().clone();
        let (closing, ending) = (shutdown.clone(), shutdown.clone());
        let connections = Rc::new(Connections::default());
        let watched = Cell::new(false);
        let app = App::new()
            .app_data(Rc::new(state))
            .wrap_fn(move |request, next| {
                if request_context::is_too_late(&request) {
                    // The socket ends the connection; no response is being written by then.
                    return Either::Left(pending());
                }
                let open = request_context::open(&request);
                let shutdown = shutdown.clone();
                let answer = match request_context::refused(&request, &open) {
                    None => Either::Left(next.call(request)),
                    Some(failure) => Either::Right(ready(Ok(request.error_response(failure)))),
                };
                Either::Right(async move {
                    let mut answer = pin!(answer);
                    let answered = poll_fn(|cx| match answer.as_mut().poll(cx) {
                        Poll::Pending if shutdown.is_at(Stage::Ending) => {
                            Poll::Ready(Err(request_context::ended(&open)))
                        }
                        polled => polled,
                    });
                    Ok(request_context::close(answered.await?, open))
                })
            })
            .configure(|app| handlers::register(app, config.server.serve_docs))
            .into_factory()
            .map_err(|error: actix_web::Error| error.error_response());
        // The default host is enough, because the app builds no URLs.
        let app = map_config(app, |()| AppConfig::default());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || closing.reached(Stage::Closing))
            // The socket enforces the idle timeout and the head timeout of every request; the
            // server would only limit the first head.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            // A client that is refused in the middle of its body can read the response; a reset
            // would discard it.
            .client_disconnect_timeout(LINGER)
            // This is the memory that a client which stops reading costs.
            .h1_write_buffer_size(WRITE_BUFFER)
            // The socket detects when a client has left.
            .h1_allow_half_closed(true)
            .local_addr(address)
            .on_connect_ext(|socket: &ClientSocket, data| {
                data.insert(socket.connection());
            })
            .h1(app);
        fn_service(move |io: TcpStream| {
            let client = io.peer_addr().ok();
            let socket = ClientSocket::new(io, patience, Arc::clone(&metrics));
            connections.add(&socket.connection());
            if !watched.replace(true) {
                let (ended, connections) = (ending.reached(Stage::Ending), Rc::clone(&connections));
                rt::spawn(async move {
                    ended.await;
                    connections.wake();
                });
            }
            ready(Ok::<_, DispatchError>((socket, client)))
        })
        .and_then(http)
    };
    let server = actix_server::Server::build()
        .workers(config.server.http_workers)
        .disable_signals()
        // Whatever is left after this time would never end by itself.
        .shutdown_timeout((config.server.shutdown_timeout + ENDING).as_secs())
        .listen("gateway", listener, app)?
        .run();
    Ok(server)
}

/// How long the last events may take to be written once the time for running requests is over.
const ENDING: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT. After SIGTERM, running requests may continue for the shutdown
/// timeout; SIGINT, or a second SIGTERM, ends that time.
///
/// # Errors
/// The same as for [`serve`].
pub async fn serve_until_told(
    shared: SharedState,
    listener: TcpListener,
    mut signals: Signals,
) -> io::Result<()> {
    let (shutdown, config) = (shared.shutdown().clone(), Arc::clone(shared.config()));
    let metrics = Arc::clone(shared.metrics());
    let server = serve(shared, listener)?;
    let handle = server.handle();
    let stopping = async move {
        let mut hurry = signals.next().await == Signal::Interrupt;
        let under_way = metrics.in_flight();
        shutdown.go_to(Stage::Stopping);
        let time = config.server.shutdown_timeout.as_secs();
        if hurry {
            log::info!("told to stop at once: {under_way} requests under way are ended");
        } else {
            log::info!("told to stop: {under_way} requests under way may go on for {time} s");
        }
        hurry = hurry || signals.within(config.server.shutdown_delay).await;
        shutdown.go_to(Stage::Closing);
        // It resolves when the last connection is closed; the code does not wait for it here.
        let stopped = handle.stop(true);
        if !hurry {
            signals.within(config.server.shutdown_timeout).await;
        }
        let left = metrics.in_flight();
        if left > 0 {
            log::warn!("{left} requests are still under way and are ended");
        }
        shutdown.go_to(Stage::Ending);
        let _ = timeout(ENDING, stopped).await;
    };
    match select(Box::pin(server), Box::pin(stopping)).await {
        Either::Left((served, _)) => served,
        Either::Right(((), _)) => Ok(()),
    }
}
