//! The load: keep-alive connections that ask one after another, on a clock, or all at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memchr::{memchr_iter, memmem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::http::{Body, wrong};
use crate::target::Target;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked again and again.
#[derive(Clone)]
pub struct Call {
    pub address: SocketAddr,
    pub request: Arc<[u8]>,
    /// Events that a complete stream has at least; `None` for a whole answer.
    pub chunks: Option<u64>,
}

/// What one stretch of load took.
#[derive(Debug, Default, Clone)]
pub struct Round {
    /// Of the target's processes.
    pub cpu: Duration,
    /// Requests, or the provider's chunks.
    pub units: u64,
    pub requests: u64,
    pub took: Duration,
    /// Of each request, in microseconds, the shortest first.
    pub times: Vec<u64>,
}

impl Round {
    /// Microseconds of processor time for each unit.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.units.max(1) as f64
    }

    /// Requests each second.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }
}

/// The time within which so many of a thousand were over; `times` are in order.
pub fn percentile(times: &[u64], of_thousand: usize) -> u64 {
    let at = (times.len() * of_thousand).div_ceil(1000).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}

/// A connection.
struct Link {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Link {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(1 << 14);
        Ok(Self { stream, buffer })
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Asks, and reads the answer to its end; events are counted as they arrive.
    async fn ask(&mut self, call: &Call, counted: &AtomicU64) -> io::Result<()> {
        self.stream.write_all(&call.request).await?;
        self.buffer.clear();
        let end = loop {
            self.more().await?;
            if let Some(at) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
        };
        let is_ok = self.buffer.get(9..12) == Some(b"200");
        let mut body = Body::of(&self.buffer[..end])?;
        let (mut events, mut length, mut blank) = (0, 0, false);
        let mut refusal = Vec::new();
        let mut look = |data: &[u8]| {
            length += data.len();
            if !is_ok {
                refusal.extend_from_slice(data);
            }
            let mut last = None;
            let mut some = 0;
            for at in memchr_iter(b'\n', data) {
                // An empty line ends an event, also where it begins a chunk.
                let follows = last.map_or(blank && at == 0, |last| last + 1 == at);
                some += u64::from(follows);
                last = Some(at);
            }
            blank = data.last() == Some(&b'\n');
            events += some;
            if some > 0 {
                counted.fetch_add(some, Ordering::Relaxed);
            }
        };
        let mut ended = body.feed(&self.buffer[end..], &mut look)?;
        while ended.is_none() {
            self.buffer.clear();
            self.more().await?;
            ended = body.feed(&self.buffer, &mut look)?;
        }
        if !is_ok {
            return Err(io::Error::other(
                String::from_utf8_lossy(&refusal).into_owned(),
            ));
        }
        if length == 0 || call.chunks.is_some_and(|least| events < least) {
            return Err(wrong(&format!("an answer of {events} events")));
        }
        Ok(())
    }
}

async fn within<T>(asked: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|late| Err(late.into()))
}

/// Runs tasks to their end and sums up what they took.
async fn sum(
    target: &Target,
    call: &Call,
    tasks: impl Iterator<Item = impl Future<Output = io::Result<Vec<u64>>> + Send + 'static>,
) -> io::Result<Round> {
    let (cpu, start) = (target.cpu(), Instant::now());
    let mut tasks: JoinSet<_> = tasks.collect();
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done.map_err(io::Error::other)??);
    }
    let (took, cpu) = (start.elapsed(), target.cpu().saturating_sub(cpu));
    let requests = times.len() as u64;
    times.sort_unstable();
    Ok(Round {
        cpu,
        units: requests * call.chunks.unwrap_or(1),
        requests,
        took,
        times,
    })
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

async fn open(call: &Call, connections: usize) -> io::Result<Vec<Link>> {
    let mut links = Vec::with_capacity(connections);
    for _ in 0..connections {
        links.push(within(Link::open(call.address)).await?);
    }
    Ok(links)
}

/// Each connection asks again as soon as it has its answer, for as long as it is told.
pub async fn closed(
    target: &Target,
    call: &Call,
    connections: usize,
    time: Duration,
) -> io::Result<Round> {
    let links = open(call, connections).await?;
    let until = Instant::now() + time;
    let tasks = links.into_iter().map(|mut link| {
        let call = call.clone();
        async move {
            let (mut times, events) = (Vec::new(), AtomicU64::new(0));
            loop {
                let asked = Instant::now();
                within(link.ask(&call, &events)).await?;
                times.push(micros(asked));
                if Instant::now() >= until {
                    return Ok(times);
                }
            }
        }
    });
    sum(target, call, tasks).await
}

/// So many requests a second, whatever their answers take; connections take turns.
pub async fn clock(
    target: &Target,
    call: &Call,
    per_second: u32,
    time: Duration,
) -> io::Result<Round> {
    const CONNECTIONS: u32 = 16;
    let links = open(call, CONNECTIONS as usize).await?;
    let start = Instant::now();
    let tasks = links.into_iter().zip(0..).map(|(mut link, turn)| {
        let call = call.clone();
        async move {
            let (mut times, events) = (Vec::new(), AtomicU64::new(0));
            let mut turn: u32 = turn;
            loop {
                let after = Duration::from_secs(1) * turn / per_second;
                if after >= time {
                    return Ok(times);
                }
                sleep_until(start + after).await;
                let asked = Instant::now();
                within(link.ask(&call, &events)).await?;
                times.push(micros(asked));
                turn += CONNECTIONS;
            }
        }
    });
    sum(target, call, tasks).await
}

/// The same with several targets that take turns, so that all see the same moments; their times.
pub async fn in_turn(calls: &[Call], per_second: u32, time: Duration) -> io::Result<Vec<Vec<u64>>> {
    let each = Duration::from_secs(1) / per_second;
    let mut tasks = JoinSet::new();
    let start = Instant::now() + Duration::from_millis(50);
    for (call, place) in calls.iter().zip(0_u32..) {
        const CONNECTIONS: u32 = 8;
        let shift = each * place / u32::try_from(calls.len()).unwrap_or(1);
        for (mut link, first) in open(call, CONNECTIONS as usize).await?.into_iter().zip(0..) {
            let call = call.clone();
            tasks.spawn(async move {
                let (mut times, events) = (Vec::new(), AtomicU64::new(0));
                let mut turn: u32 = first;
                while each * turn < time {
                    sleep_until(start + each * turn + shift).await;
                    let asked = Instant::now();
                    within(link.ask(&call, &events)).await?;
                    times.push(micros(asked));
                    turn += CONNECTIONS;
                }
                Ok::<_, io::Error>((place as usize, times))
            });
        }
    }
    let mut all = vec![Vec::new(); calls.len()];
    while let Some(done) = tasks.join_next().await {
        let (place, times) = done.map_err(io::Error::other)??;
        all[place].extend(times);
    }
    for times in &mut all {
        times.sort_unstable();
    }
    Ok(all)
}

/// Streams that are under way until this is dropped.
pub struct Streams {
    tasks: JoinSet<io::Result<()>>,
    events: Arc<AtomicU64>,
}

impl Streams {
    /// Opens so many at once, and waits until each has had three events or so.
    pub async fn open(call: &Call, count: usize) -> io::Result<Self> {
        let mut tasks = JoinSet::new();
        let events = Arc::new(AtomicU64::new(0));
        for mut link in open(call, count).await? {
            let (call, events) = (call.clone(), Arc::clone(&events));
            tasks.spawn(async move { link.ask(&call, &events).await });
        }
        let mut streams = Self { tasks, events };
        let since = Instant::now();
        while streams.events() < 3 * count as u64 {
            streams.check()?;
            if since.elapsed() > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(streams)
    }

    fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// No stream may have ended.
    fn check(&mut self) -> io::Result<()> {
        match self.tasks.try_join_next() {
            None => Ok(()),
            Some(ended) => {
                ended.map_err(io::Error::other)??;
                Err(wrong("a stream ended too early"))
            }
        }
    }

    /// What they take in a while.
    pub async fn watch(&mut self, target: &Target, time: Duration) -> io::Result<Round> {
        let (cpu, start, events) = (target.cpu(), Instant::now(), self.events());
        sleep(time).await;
        let round = Round {
            cpu: target.cpu().saturating_sub(cpu),
            units: self.events() - events,
            requests: 0,
            took: start.elapsed(),
            times: Vec::new(),
        };
        self.check()?;
        Ok(round)
    }
}
