//! `ai-gateway healthcheck`: requests `/healthz` on the configured port, for images without curl.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use super::terminal::{configuration, print_error};
use crate::config::from_environment;

/// The time limit for connecting, and for each read.
const PATIENCE: Duration = Duration::from_secs(3);

/// Exits 0 if the status is 200, 1 if not, 2 if the configuration is unusable.
pub(super) fn run() -> ExitCode {
    let config = match configuration(from_environment) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let host = match config.server.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    match ask(host, config.server.port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            print_error(&format!(
                "no healthy gateway at {host}:{}: {wrong}",
                config.server.port
            ));
            ExitCode::FAILURE
        }
    }
}

fn ask(host: &str, port: u16) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let address = (host, port)
        .to_socket_addrs()
        .map_err(text)?
        .next()
        .ok_or("the host has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(text)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: healthcheck\r\nConnection: close\r\n\r\n")
        .map_err(text)?;
    let mut head = [0_u8; 12];
    stream.read_exact(&mut head).map_err(text)?;
    if head == *b"HTTP/1.1 200" {
        Ok(())
    } else {
        Err("it did not answer 200".to_owned())
    }
}
