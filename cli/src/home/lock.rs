//! Commands that change one thing in a home, one after the other.
//!
//! The lock is the kernel's: it goes with the process, however that ends. The file stays.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Home;
use crate::error::{CliError, Exit, Hint, Result};

const RETRY: Duration = Duration::from_millis(50);

impl Home {
    /// Holds the lock `path`, below the home, until the file is dropped; waits `at_most` for another
    /// command, which `does` something meanwhile.
    pub(crate) async fn lock(&self, path: &Path, at_most: Duration, does: &str) -> Result<File> {
        if let Some(dir) = path.parent() {
            self.create_dir(dir)?;
        }
        let failed = |e| CliError::io("lock", path, &e);
        let mut options = File::options();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(failed)?;
        let deadline = Instant::now() + at_most;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(RETRY).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let message = format!("another command {does}");
                    let hint = Hint::new("wait until it is done, then type the same again");
                    return Err(CliError::new(Exit::Failed, message, hint));
                }
            }
        }
    }
}
