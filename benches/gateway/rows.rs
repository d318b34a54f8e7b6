//! The lines of the table, each in rounds that take turns.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::load::{Round, Streams, in_turn, percentile};
use crate::proc;
use crate::report::{Bound, Report, median, shown};
use crate::target::{self, Target};
use crate::workloads::{IMAGE, Load, WORKLOADS, Workload, settle};

/// How much is asked for.
pub struct Plan {
    /// How many rounds; their median counts.
    pub rounds: usize,
    /// How long a round loads one target.
    pub time: Duration,
    /// Words of which one must be in a line's name; none for all.
    pub only: Vec<String>,
}

/// Everything that takes part.
pub struct Bench {
    pub plan: Plan,
    pub upstream: SocketAddr,
    /// The gateway, nginx where it is installed, and others.
    pub targets: Vec<Target>,
    pub has_nginx: bool,
    pub report: Report,
}

impl Bench {
    fn wants(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.plan.only.is_empty() || self.plan.only.iter().any(|word| name.contains(word))
    }

    /// All lines that are wanted.
    pub async fn run(&mut self) {
        for workload in &WORKLOADS {
            if self.wants(workload.name) {
                self.workload(workload).await;
            }
        }
        self.latency().await;
        let memory = "memory added per concurrent stream";
        if self.wants(memory) {
            let mut sizes = Vec::new();
            for _ in 0..self.plan.rounds {
                match self.memory_of_a_stream().await {
                    Ok(size) => sizes.push(size),
                    Err(why) => return self.report.failed(memory, &why),
                }
            }
            let bound = Bound::AtMost(40.0);
            self.report.own(memory, &sizes, " KB", &bound);
        }
        let idle = "idle memory";
        if self.wants(idle) {
            let mut sizes = Vec::new();
            for _ in 0..self.plan.rounds {
                match Target::gateway(self.upstream, &[]) {
                    Ok(target) => {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        sizes.push(kilobytes(proc::rss(target.pid)) / 1024.0);
                    }
                    Err(why) => return self.report.failed(idle, &why),
                }
            }
            let bound = Bound::AtMost(12.0);
            self.report.own(idle, &sizes, " MB", &bound);
        }
        self.start();
    }

    /// Processor time for each unit, in turn; a proxy that fails has no figures.
    async fn workload(&mut self, workload: &Workload) {
        let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); self.targets.len()];
        let mut why: Vec<Option<io::Error>> = self.targets.iter().map(|_| None).collect();
        for round in 0..=self.plan.rounds {
            for place in turns(round, self.targets.len()) {
                let target = &self.targets[place];
                if why[place].is_some() {
                    continue;
                }
                // The first one only warms up.
                let time = match (round, workload.load) {
                    (0, Load::Streams(_)) => continue,
                    (0, _) => self.plan.time / 5,
                    _ => self.plan.time,
                };
                match workload.run(target, time).await {
                    Err(error) => why[place] = Some(error),
                    Ok(_) if round == 0 => {}
                    Ok(done) => rounds[place].push(done),
                }
            }
        }
        for (target, why) in self.targets.iter().zip(&why) {
            if let Some(why) = why {
                let why = format!("{}: {why}", target.name);
                self.report.failed(workload.name, &why);
            }
        }
        let nginx = self.has_nginx.then(|| &rounds[1]);
        let cells = rounds.iter().enumerate().map(|(place, all)| {
            let over = nginx.filter(|_| place > 1).map(|nginx| over(all, nginx));
            cell(all, over.as_deref())
        });
        let cells: Vec<_> = cells.collect();
        let ratios = nginx.map_or_else(Vec::new, |nginx| over(&rounds[0], nginx));
        let bound = workload.bound.map_or(Bound::None, Bound::AtMost);
        self.report.ratios(workload.name, cells, &ratios, &bound);
        if workload.name == IMAGE.name {
            let rates = |all: &[Round]| all.iter().map(Round::rate).collect::<Vec<_>>();
            let cells = rounds
                .iter()
                .map(|all| format!("{:.0}/s", median(&rates(all))));
            let cells = cells.collect();
            let ratios = nginx.map_or_else(Vec::new, |nginx| {
                let pairs = rounds[0].iter().zip(nginx);
                pairs
                    .map(|(own, nginx)| own.rate() / nginx.rate())
                    .collect()
            });
            let name = "throughput of the 1 MB request";
            self.report
                .ratios(name, cells, &ratios, &Bound::AtLeast(1.0));
        }
    }

    /// What each adds to a call that goes directly to the provider.
    async fn latency(&mut self) {
        const PER_SECOND: u32 = 200;
        let names = [
            "latency added at 200 requests/s, p50",
            "latency added at 200 requests/s, p99",
        ];
        if !names.iter().any(|name| self.wants(name)) {
            return;
        }
        let [relayed, ..] = &WORKLOADS;
        let mut calls: Vec<_> = self.targets.iter().map(|one| relayed.call(one)).collect();
        let mut direct = calls[0].clone();
        direct.address = self.upstream;
        calls.push(direct);
        // For each round the added p50 and p99 of each target, in microseconds.
        let mut added: Vec<Vec<[f64; 2]>> = Vec::new();
        let mut of_direct = Vec::new();
        for round in 0..=self.plan.rounds {
            let times = match in_turn(&calls, PER_SECOND, self.plan.time * 2).await {
                Ok(times) => times,
                Err(error) => return self.report.failed(names[0], &error.to_string()),
            };
            if round == 0 {
                continue;
            }
            let both: Vec<_> = times
                .iter()
                .map(|times| [500, 990].map(|of| float(percentile(times, of))))
                .collect();
            let (direct, all) = both.split_last().expect("the direct one is the last");
            let less = |one: &[f64; 2]| [one[0] - direct[0], one[1] - direct[1]];
            of_direct.push(*direct);
            added.push(all.iter().map(less).collect());
        }
        for (which, bound) in [1.4, 2.0].into_iter().enumerate() {
            let direct: Vec<_> = of_direct.iter().map(|one| one[which]).collect();
            let cells = self.targets.iter().enumerate().map(|(place, _)| {
                let all: Vec<_> = added.iter().map(|round| round[place][which]).collect();
                format!("{} over {}", shown(median(&all)), shown(median(&direct)))
            });
            let cells = cells.collect();
            let ratios = added.iter().filter(|_| self.has_nginx);
            let ratios: Vec<_> = ratios
                // A proxy adds something; less than a microsecond is noise.
                .map(|round| round[0][which] / round[1][which].max(1.0))
                .collect();
            self.report
                .ratios(names[which], cells, &ratios, &Bound::AtMost(bound));
        }
    }

    /// In KB, with 512 streams in a gateway of its own.
    async fn memory_of_a_stream(&self) -> Result<f64, String> {
        let slow = WORKLOADS
            .iter()
            .find(|workload| matches!(workload.load, Load::Streams(_)));
        let slow = slow.ok_or("no workload has streams")?;
        let Load::Streams(count) = slow.load else {
            return Err("no streams".to_owned());
        };
        let target = Target::gateway(self.upstream, &[])?;
        let call = slow.call(&target);
        let failed = |error: io::Error| error.to_string();
        // What is made once is made by a few.
        let few = Streams::open(&call, 16).await.map_err(failed)?;
        drop(few);
        settle().await;
        let before = proc::rss(target.pid);
        let _many = Streams::open(&call, count).await.map_err(failed)?;
        settle().await;
        let added = proc::rss(target.pid).saturating_sub(before);
        Ok(kilobytes(added) / kilobytes(count))
    }

    /// From the start to the first 200.
    fn start(&mut self) {
        let name = "start to first 200 on /healthz";
        if !self.wants(name) {
            return;
        }
        let (mut own, mut nginx) = (Vec::new(), Vec::new());
        for _ in 0..self.plan.rounds * 3 {
            let both = target::gateway_start(self.upstream).and_then(|own| {
                let nginx = self
                    .has_nginx
                    .then(|| target::nginx_start(self.upstream))
                    .transpose()?;
                Ok((own, nginx))
            });
            match both {
                Ok((took, other)) => {
                    own.push(took.as_secs_f64() * 1e6);
                    nginx.extend(other.map(|took| took.as_secs_f64() * 1e6));
                }
                Err(why) => return self.report.failed(name, &why),
            }
        }
        let ratios: Vec<_> = own.iter().zip(&nginx).map(|(own, all)| own / all).collect();
        let mut cells = vec![shown(median(&own))];
        if self.has_nginx {
            cells.push(shown(median(&nginx)));
        }
        self.report
            .ratios(name, cells, &ratios, &Bound::AtMost(2.5));
    }

    /// What the targets are called.
    pub fn names(&self) -> Vec<String> {
        let names = self.targets.iter().map(|target| {
            let is_other = !matches!(target.name.as_str(), "gateway" | "nginx");
            let over = if is_other { " (÷ nginx)" } else { "" };
            format!("{}{over}", target.name)
        });
        names.collect()
    }
}

/// The order in which targets are asked in a round: each begins in its turn, since who follows whom
/// shows in the figures.
fn turns(round: usize, targets: usize) -> impl Iterator<Item = usize> {
    (0..targets).map(move |step| (round + step) % targets)
}

/// Processor time over another's, round by round.
fn over(all: &[Round], other: &[Round]) -> Vec<f64> {
    let pairs = all.iter().zip(other);
    pairs
        .map(|(one, other)| one.micros() / other.micros())
        .collect()
}

/// Processor time; where they were measured, requests each second and how long they took.
fn cell(all: &[Round], over: Option<&[f64]>) -> String {
    if all.is_empty() {
        return "failed".to_owned();
    }
    let mut text = shown(median(&all.iter().map(Round::micros).collect::<Vec<_>>()));
    if let Some(over) = over {
        let _ = write!(text, " (×{:.2})", median(over));
    }
    if all.iter().all(|round| !round.times.is_empty()) {
        let middle = |of: &dyn Fn(&Round) -> f64| median(&all.iter().map(of).collect::<Vec<_>>());
        let rate = middle(&Round::rate);
        let p50 = shown(middle(&|round| float(percentile(&round.times, 500))));
        let p99 = shown(middle(&|round| float(percentile(&round.times, 990))));
        let _ = write!(text, "; {rate:.0}/s, p50 {p50}, p99 {p99}");
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "times far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}

fn kilobytes(number: usize) -> f64 {
    float(number as u64)
}
