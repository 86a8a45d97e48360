//! What processes use of the machine, as the kernel counts it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

use crate::error::{Error, Result};

/// CPU time, by where it was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// In the program.
    pub(crate) user: Duration,
    /// In the kernel on its behalf.
    pub(crate) system: Duration,
}

impl CpuTime {
    /// What these processes have used until now, with what those of their children used who have ended: a server may
    /// replace a worker in the middle of a measurement.
    pub(crate) fn of(processes: &[u32]) -> Result<Self> {
        let mut all = Self::default();
        for id in processes {
            let path = format!("/proc/{id}/stat");
            // Who has ended meanwhile is counted with its parent.
            let Ok(line) = fs::read_to_string(&path) else { continue };
            let [user, system, user_of_ended, system_of_ended] =
                ticks_of(&line).ok_or_else(|| Error::unreadable(path))?;
            all.user += duration(user + user_of_ended);
            all.system += duration(system + system_of_ended);
        }
        Ok(all)
    }

    /// What the children of this process have used that have ended.
    pub(crate) fn of_ended_children() -> Result<Self> {
        let path = "/proc/self/stat";
        let line = fs::read_to_string(path).map_err(Error::file(path))?;
        let [_, _, user, system] = ticks_of(&line).ok_or_else(|| Error::unreadable(path))?;
        Ok(Self { user: duration(user), system: duration(system) })
    }

    /// Both.
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }

    /// What came since an earlier time.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }
}

/// The CPU time of this process alone, to the nanosecond: those of others are counted in ticks of a hundredth of a
/// second.
pub(crate) fn own_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// What these processes have used until now, to the nanosecond, threads and processes left out that have ended: for
/// stretches that are short beside a tick.
pub(crate) fn exact_cpu_time(processes: &[u32]) -> Duration {
    let tasks =
        processes.iter().flat_map(|id| fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten());
    let time = |task: std::io::Result<fs::DirEntry>| {
        let line = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        line.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    };
    tasks.filter_map(time).sum()
}

/// A process and its descendants, those in process groups of their own included: PostgreSQL gives one to each of its
/// connections.
pub(crate) fn family(first: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            Some((id, parent_of(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
        })
        .collect();
    let mut family = vec![first];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        next += 1;
    }
    family
}

/// The second field behind the name of the command.
fn parent_of(line: &str) -> Option<u32> {
    line.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The CPU time that all processors have spent on anything until now, what the host of a virtual machine took
/// away included.
pub(crate) fn cpu_time_of_machine() -> Result<Duration> {
    let path = "/proc/stat";
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    busy_ticks(&text).map(duration).ok_or_else(|| Error::unreadable(path))
}

/// Memory of a group of processes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What is resident, where pages that processes share count for each of them.
    pub(crate) resident: u64,
    /// The same, where a page that n processes share counts as an nth.
    pub(crate) proportional: u64,
}

impl Memory {
    /// Of these processes, now.
    pub(crate) fn of(processes: &[u32]) -> Result<Self> {
        let mut all = Self::default();
        for id in processes {
            let path = format!("/proc/{id}/smaps_rollup");
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let one = Self::read(&text).ok_or_else(|| Error::unreadable(Path::new(&path)))?;
            all.resident += one.resident;
            all.proportional += one.proportional;
        }
        Ok(all)
    }

    fn read(text: &str) -> Option<Self> {
        Some(Self { resident: bytes_of(text, "Rss:")?, proportional: bytes_of(text, "Pss:")? })
    }

    /// The most that was ever resident of these processes, in bytes.
    pub(crate) fn peak_of(processes: &[u32]) -> Result<u64> {
        let peak = |id: &u32| {
            let path = format!("/proc/{id}/status");
            // Who has ended has none.
            let Ok(text) = fs::read_to_string(&path) else { return Ok(0) };
            bytes_of(&text, "VmHWM:").ok_or_else(|| Error::unreadable(path))
        };
        processes.iter().map(peak).sum()
    }
}

/// The number on the line that begins so, which counts kibibytes.
fn bytes_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// User and system time of a process, then those of its children who have ended, from its `stat` line. The
/// name of the command, second in the line, may hold blanks and brackets: counting begins after the last one.
fn ticks_of(line: &str) -> Option<[u64; 4]> {
    let (_, rest) = line.rsplit_once(')')?;
    // `rest` begins with the third field, the user time is the fourteenth.
    let mut fields = rest.split_ascii_whitespace().skip(11).map(|field| field.parse().ok());
    Some([fields.next()??, fields.next()??, fields.next()??, fields.next()??])
}

/// The first line of `/proc/stat`: user, nice, system, idle, waiting, interrupts, soft interrupts, stolen. What
/// follows is time of guests, which is in the first two already.
fn busy_ticks(text: &str) -> Option<u64> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> =
        line.split_ascii_whitespace().map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let [user, nice, system, _idle, _waiting, interrupts, soft, stolen] = *fields.first_chunk::<8>()?;
    Some(user + nice + system + interrupts + soft + stolen)
}

fn duration(ticks: u64) -> Duration {
    Duration::from_micros(ticks * 1_000_000 / clock_ticks_per_second().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn times_are_found_behind_a_name_with_brackets() {
        let line = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 12 34 5 6 20 0 1 0 100 1000 10";
        assert_eq!(ticks_of(line), Some([12, 34, 5, 6]));
        assert_eq!(ticks_of("7 (cut off) S 1 7"), None);
    }

    #[test]
    fn a_process_is_found_with_its_children_and_their_children() {
        let script = "set -m; sleep 60 & sh -c 'sleep 60 & wait' & wait";
        let mut shell = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while family(shell.id()).len() < 4 && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let found = family(shell.id());
        for id in &found {
            let id = rustix::process::Pid::from_raw(i32::try_from(*id).unwrap()).unwrap();
            rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
        assert_eq!((found.len(), found[0]), (4, shell.id()));
    }

    #[test]
    fn idle_and_waiting_are_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 1000 8 16 32 0 0\ncpu0 9 9"), Some(63));
        assert_eq!(busy_ticks("intr 1 2"), None);
    }

    #[test]
    fn memory_is_read_in_kibibytes() {
        let text = "00400000-7ff000 ---p 00000000 00:00 0 [rollup]\nRss:     2048 kB\nPss:  1024 kB\nPss_Anon: 9 kB\n";
        assert_eq!(Memory::read(text), Some(Memory { resident: 2 << 20, proportional: 1 << 20 }));
    }

    #[test]
    fn the_work_of_this_very_process_is_counted() {
        let own = [std::process::id()];
        let exactly_before = own_cpu_time();
        let before = CpuTime::of(&own).unwrap();
        let machine_before = cpu_time_of_machine().unwrap();
        while CpuTime::of(&own).unwrap().since(before).user < Duration::from_millis(50) {
            std::hint::black_box(0);
        }
        assert!(cpu_time_of_machine().unwrap() > machine_before);
        assert!(own_cpu_time() - exactly_before > Duration::from_millis(40));
        assert!(exact_cpu_time(&own) > Duration::from_millis(40));
        let resident = Memory::of(&own).unwrap().resident;
        assert!(resident > 0 && Memory::peak_of(&own).unwrap() >= resident);
    }

    #[test]
    fn the_work_of_a_child_is_counted_when_it_has_ended() {
        let own = [std::process::id()];
        let before = CpuTime::of(&own).unwrap();
        let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        assert!(Command::new("/bin/sh").args(["-c", script]).status().unwrap().success());
        assert!(CpuTime::of(&own).unwrap().since(before).total() > Duration::ZERO);
        assert!(CpuTime::of_ended_children().unwrap().total() > Duration::ZERO);
    }
}
