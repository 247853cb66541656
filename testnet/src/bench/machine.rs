//! The machine that a figure is of, and what else it was doing.

use std::fs;
use std::path::Path;

/// Model of the processor, cores, and what the bench's files lie on.
pub(super) fn describe(dir: &Path) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "machine: {}, {cores} cores, files on {}\n",
        model.unwrap_or_else(|| "a processor without a name".to_owned()),
        file_system(dir)
    )
}

/// The kind of file system: that of the longest mount point above `dir`.
fn file_system(dir: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let above = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        dir.starts_with(point).then_some((point.len(), kind))
    });
    let nearest = above.max_by_key(|(len, _)| *len);
    nearest
        .map_or("an unknown disk", |(_, kind)| kind)
        .to_owned()
}

/// Processes that ran or waited to run, in the mean of the last minute.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// A field of /proc/PID/status that is in KiB, in MiB.
pub(super) fn memory_mib(pid: u32, field: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path)?;
    let kib = status.lines().find_map(|line| {
        let value = line.strip_prefix(field)?.strip_prefix(':')?;
        value.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()
    });
    let kib = kib.ok_or_else(|| anyhow::anyhow!("{path} has no {field}"))?;
    Ok(kib / 1024.0)
}

/// Seconds that a process has spent on processors.
pub(super) fn cpu_s(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path)?;
    // The name of the program stands in brackets and may hold spaces; after it come the fields
    // from the third on, and the times are the 14th and the 15th.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let times = after.split_whitespace().skip(11).take(2);
    let ticks: f64 = times.filter_map(|time| time.parse::<f64>().ok()).sum();
    #[expect(clippy::cast_precision_loss, reason = "100 on every Linux")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Ok(ticks / per_second)
}
