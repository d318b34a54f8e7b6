//! What is measured: the gateway and nginx as children, and others that run already.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::{bare, proc};

/// How long a start may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a target is, and so which paths it is asked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It speaks the client's dialect, and translates.
    Gateway,
    /// It relays, so it is asked in the provider's dialect.
    Proxy,
}

/// A server under load; a child is stopped when this is dropped.
pub struct Target {
    pub name: String,
    pub kind: Kind,
    /// Where whole answers are asked for.
    pub whole: SocketAddr,
    /// Where streams are asked for.
    pub streams: SocketAddr,
    /// Where whole answers are asked for without a body being written to disk on its way.
    pub in_memory: SocketAddr,
    pub pid: u32,
    child: Option<Child>,
}

impl Target {
    /// The gateway in its default configuration, but without an access log.
    pub fn gateway(upstream: SocketAddr, variables: &[(&str, &str)]) -> Result<Self, String> {
        let mut child = gateway(upstream, 0, variables)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the gateway: {error}"))?;
        let (send, receive) = mpsc::channel();
        let said = child.stderr.take().ok_or("no standard error")?;
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on http://") {
                    let _ = send.send(address.trim().parse());
                }
                if line.contains("panicked") || line.contains(" ERROR ") {
                    eprintln!("gateway: {line}");
                }
            }
        });
        let mut target = Self {
            name: "gateway".to_owned(),
            kind: Kind::Gateway,
            whole: upstream,
            streams: upstream,
            in_memory: upstream,
            pid: child.id(),
            child: Some(child),
        };
        let address = receive.recv_timeout(PATIENCE).ok().and_then(Result::ok);
        target.whole = address.ok_or("the gateway does not say where it listens")?;
        target.streams = target.whole;
        target.in_memory = target.whole;
        Ok(target)
    }

    /// nginx as a plain reverse proxy; `None` where it is not installed.
    pub fn nginx(upstream: SocketAddr) -> Result<Option<Self>, String> {
        let ports = [free_port()?, free_port()?, free_port()?];
        let Ok(child) = nginx(upstream, ports)?.spawn() else {
            return Ok(None);
        };
        let [whole, streams, in_memory] = ports;
        let target = Self {
            name: "nginx".to_owned(),
            kind: Kind::Proxy,
            whole,
            streams,
            in_memory,
            pid: child.id(),
            child: Some(child),
        };
        first_answer(whole, Instant::now()).ok_or("nginx does not start")?;
        Ok(Some(target))
    }

    /// A bare proxy on the gateway's own libraries.
    pub fn bare(upstream: SocketAddr) -> Result<Self, String> {
        let address = free_port()?;
        let child = std::env::current_exe()
            .and_then(|own| {
                Command::new(own)
                    .args([bare::SERVE, &upstream.to_string()])
                    .arg(address.port().to_string())
                    .stdin(Stdio::null())
                    .spawn()
            })
            .map_err(|error| format!("the bare proxy: {error}"))?;
        let target = Self {
            name: "bare".to_owned(),
            kind: Kind::Proxy,
            whole: address,
            streams: address,
            in_memory: address,
            pid: child.id(),
            child: Some(child),
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > PATIENCE {
                return Err("the bare proxy does not start".to_owned());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(target)
    }

    /// One that runs already, as `NAME=URL,PID` says.
    pub fn other(words: &str) -> Result<Self, String> {
        let parsed = || {
            let (name, rest) = words.split_once('=')?;
            let (url, pid) = rest.rsplit_once(',')?;
            let place = url.strip_prefix("http://")?.trim_end_matches('/');
            let address = place.to_socket_addrs().ok()?.next()?;
            Some(Self {
                name: name.to_owned(),
                kind: Kind::Gateway,
                whole: address,
                streams: address,
                in_memory: address,
                pid: pid.parse().ok()?,
                child: None,
            })
        };
        parsed().ok_or_else(|| {
            format!(
                "--gateway wants NAME=URL,PID, as other=http://127.0.0.1:4000,1234; not {words}"
            )
        })
    }

    pub fn cpu(&self) -> Duration {
        proc::cpu(self.pid)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            stop(child);
        }
    }
}

/// Ends a child. It is asked first, since nginx takes its worker along.
fn stop(child: &mut Child) {
    let told = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    let asked = Instant::now();
    while told.is_ok() && asked.elapsed() < Duration::from_secs(3) {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn gateway(upstream: SocketAddr, port: u16, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ai-gateway"));
    command
        // Its folder has no `.env`, and its environment nothing of this machine.
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .env_clear()
        .env("HOST", "127.0.0.1")
        .env("PORT", port.to_string())
        .env("ACCESS_LOG", "false")
        .env("OPENAI_BASE_URL", format!("http://{upstream}"))
        .env("ANTHROPIC_BASE_URL", format!("http://{upstream}"))
        .env("DEEPSEEK_BASE_URL", format!("http://{upstream}/v1"))
        // So that a run can end while streams are under way.
        .env("SHUTDOWN_TIMEOUT_SECS", "1")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn nginx(upstream: SocketAddr, ports: [SocketAddr; 3]) -> Result<Command, String> {
    let folder = scratch().join(ports[0].port().to_string());
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration(upstream, ports))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let mut command = Command::new("nginx");
    command
        .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
        .arg(&folder)
        .stdin(Stdio::null());
    Ok(command)
}

/// Where nginx has its files in this run.
fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("nginx-{}", std::process::id()))
}

/// Removes what nginx left.
pub fn clean() {
    let _ = std::fs::remove_dir_all(scratch());
}

/// A plain reverse proxy that logs nothing and keeps its connections, with as many workers as the
/// gateway has threads. Bodies go as nginx does it unasked, by way of a file where they are large; at
/// the last port they stay in memory.
fn configuration(upstream: SocketAddr, ports: [SocketAddr; 3]) -> String {
    let descriptors = proc::descriptors();
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let mut text = format!(
        "user root;\nworker_processes {workers};\ndaemon off;\npid nginx.pid;\nerror_log stderr crit;\n\
         worker_rlimit_nofile {descriptors};\nevents {{ worker_connections {descriptors}; }}\n\
         http {{\naccess_log off;\nclient_max_body_size 100m;\n\
         keepalive_requests 1000000000;\nproxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\n\
         upstream mock {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}\n"
    );
    for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(text, "{name}_temp_path {name};");
    }
    let settings = [
        "",
        "proxy_buffering off;\n",
        "client_body_buffer_size 32m;\n",
    ];
    for (address, setting) in ports.iter().zip(settings) {
        let _ = writeln!(
            text,
            "server {{\nlisten {address} backlog=4096;\n{setting}\
             location = /healthz {{ return 200 ok; }}\n\
             location / {{ proxy_pass http://mock; }}\n}}"
        );
    }
    text + "}\n"
}

fn free_port() -> Result<SocketAddr, String> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.map_err(|error| format!("a port: {error}"))
}

/// The time from the gateway's start to its first answer; it is stopped then.
pub fn gateway_start(upstream: SocketAddr) -> Result<Duration, String> {
    let address = free_port()?;
    let mut command = gateway(upstream, address.port(), &[]);
    started(command.stderr(Stdio::null()), address)
}

/// The time from nginx's start to its first answer; it is stopped then.
pub fn nginx_start(upstream: SocketAddr) -> Result<Duration, String> {
    let ports = [free_port()?, free_port()?, free_port()?];
    started(&mut nginx(upstream, ports)?, ports[0])
}

fn started(command: &mut Command, address: SocketAddr) -> Result<Duration, String> {
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let took = first_answer(address, start);
    stop(&mut child);
    took.ok_or_else(|| "it does not start".to_owned())
}

/// The time from `start` to the first 200 on `/healthz`.
pub fn first_answer(address: SocketAddr, start: Instant) -> Option<Duration> {
    const ASKED: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
    while start.elapsed() < PATIENCE {
        if let Ok(mut stream) = TcpStream::connect(address) {
            let mut answer = [0; 12];
            let asked = stream.set_read_timeout(Some(PATIENCE));
            let asked = asked.and_then(|()| stream.write_all(ASKED));
            let asked = asked.and_then(|()| stream.read_exact(&mut answer));
            if asked.is_ok() && answer.ends_with(b" 200") {
                return Some(start.elapsed());
            }
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    None
}
