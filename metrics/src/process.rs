//! The process as the kernel sees it, under the names that all Prometheus clients use.
//!
//! It is asked at each scrape, not in between.

use std::fmt::Error;

use procfs::process::{LimitValue, Process as Kernel};
use procfs::{CurrentSI as _, KernelStats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Memory, processor time, files and start of this process. To be registered without a prefix.
#[derive(Debug)]
pub struct Process {
    /// In seconds since the Unix epoch; none where `/proc` does not say.
    started: Option<f64>,
}

impl Process {
    /// Of the process that calls.
    #[must_use]
    pub fn of_this() -> Self {
        Self { started: started() }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds since the epoch fit, ticks of this process too")]
fn started() -> Option<f64> {
    let boot = KernelStats::current().ok()?.btime;
    let ticks = Kernel::myself().ok()?.stat().ok()?.starttime;
    Some(boot as f64 + ticks as f64 / ticks_per_second())
}

#[expect(clippy::cast_precision_loss, reason = "it is a hundred")]
fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

impl Collector for Process {
    #[expect(clippy::cast_precision_loss, reason = "ticks of one process stay far below 2^53")]
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        // What the system does not tell is not there; a zero would be a lie.
        let Ok(process) = Kernel::myself() else { return Ok(()) };
        if let Ok(stat) = process.stat() {
            let seconds = (stat.utime + stat.stime) as f64 / ticks_per_second();
            let cpu = ConstCounter::new(seconds);
            let help = "Processor time that this process has used. A steep rise without more requests: something spins.";
            let named =
                encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), cpu.metric_type())?;
            cpu.encode(named)?;
            let resident = stat.rss * rustix::param::page_size() as u64;
            let help =
                "Memory of this process. Grows with the first tier up to its bound, and with connections.";
            gauge(&mut encoder, "process_resident_memory", help, Some(&Unit::Bytes), resident)?;
            let help = "Address space of this process; no sign of trouble by itself.";
            gauge(&mut encoder, "process_virtual_memory", help, Some(&Unit::Bytes), stat.vsize)?;
            let threads = u64::try_from(stat.num_threads).unwrap_or_default();
            gauge(&mut encoder, "process_threads", "Threads of this process.", None, threads)?;
        }
        if let Ok(open) = process.fd_count() {
            let help = "Open files and sockets: two for each request that is passed on. At the most, nobody can connect.";
            gauge(&mut encoder, "process_open_fds", help, None, open as u64)?;
        }
        if let Ok(limits) = process.limits()
            && let LimitValue::Value(most) = limits.max_open_files.soft_limit
        {
            gauge(&mut encoder, "process_max_fds", "How many files and sockets may be open.", None, most)?;
        }
        if let Some(started) = self.started {
            let start = ConstGauge::new(started);
            let help = "When this process started, since the Unix epoch. A change is a restart.";
            let unit = Some(&Unit::Seconds);
            let named = encoder.encode_descriptor("process_start_time", help, unit, start.metric_type())?;
            start.encode(named)?;
        }
        Ok(())
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: u64,
) -> Result<(), Error> {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
            .rsplit(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    #[test]
    fn the_kernel_says_what_this_process_takes() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::of_this()));
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        drop(file);
        assert!(value(&text, "process_resident_memory_bytes") > 500_000.0);
        assert!(value(&text, "process_open_fds") >= 4.0);
        assert!(value(&text, "process_max_fds") >= 64.0);
        assert!(value(&text, "process_threads") >= 1.0);
        assert!(value(&text, "process_cpu_seconds_total") >= 0.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let started = value(&text, "process_start_time_seconds");
        assert!(started <= now + 2.0 && started > now - 3600.0, "{started} is not about {now}");
    }
}
