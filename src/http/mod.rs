//! The server: routes, extractors, answers. The only module that knows the web framework.

mod caller;
mod chat;
mod failure;
mod health;
mod metrics;
mod models;
mod openapi;
mod providers;
mod reply;
mod responses;
mod routes;
mod ui;

use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use socket2::{Domain, Socket, Type};

pub use openapi::document;
pub use routes::ROUTES;

use crate::flow::{AppState, Shared};

/// How long an idle connection of a client is kept: longer than load balancers keep theirs.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 2048;

/// Listens on an address.
///
/// # Errors
/// Where the host has no address, or the port is taken.
pub fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut last = io::Error::other("the host has no address");
    for address in (host, port).to_socket_addrs()? {
        let listening = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
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

/// Serves on `listener` until the server is told to stop; SIGTERM and SIGINT do that too.
///
/// # Errors
/// Where a configured host cannot be connected to at all, or the listener cannot be used.
pub fn serve(shared: Shared, listener: TcpListener) -> io::Result<Server> {
    // Each thread starts its own workers below; whether they can is found out here.
    AppState::start(&shared).map_err(io::Error::other)?;
    let config = shared.config().clone();
    let server = HttpServer::new(move || {
        let state = AppState::start(&shared).expect("it was tried before the server started");
        App::new()
            .app_data(web::Data::new(state))
            .configure(routes::register)
    })
    .workers(config.http_workers)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    // Events must leave as they are written.
    .tcp_nodelay(true)
    // A client that closes its side has left; what it asked for is dropped then.
    .h1_allow_half_closed(false)
    .shutdown_timeout(config.shutdown_timeout.as_secs())
    .listen(listener)?
    .run();
    Ok(server)
}
