//! Running programs.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Error;

/// How a step's program ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Whether that was for its time limit.
    pub timed_out: bool,
    /// Wall time.
    pub elapsed: Duration,
}

/// Exit codes of `timeout`: the limit was reached, and the program did not end when it was asked.
const TIMED_OUT: [i32; 2] = [124, 137];
/// Seconds between asking a program to end and killing it.
const GRACE: &str = "10";

/// Runs a shell command in `folder` for at most `limit`, with its streams into two files. The whole
/// process group is stopped at the limit, by `timeout` of the core utilities.
///
/// # Errors
/// If the files cannot be made or `timeout` is not there.
pub fn shell<S: AsRef<OsStr>>(
    script: &str,
    variables: &[(S, S)],
    folder: &Path,
    limit: Duration,
    (out, err): (&Path, &Path),
) -> Result<Ended, Error> {
    let create = |path| File::create(path).map_err(Error::file("create", path));
    let start = Instant::now();
    let seconds = limit.as_secs().max(1);
    let status = Command::new("timeout")
        .args(["-k", GRACE, &seconds.to_string(), "sh", "-c", script])
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(create(out)?)
        .stderr(create(err)?)
        .status()
        .map_err(|source| Error::Program {
            program: "timeout".into(),
            source,
            hint: "the core utilities have it; every step runs under a time limit",
        })?;
    let elapsed = start.elapsed();
    let code = status.code();
    // A program may end with these codes itself; then it was faster than its limit.
    let ended_late = elapsed.as_secs_f64() + 0.5 >= seconds as f64;
    let killed = code.is_none_or(|code| TIMED_OUT.contains(&code));
    Ok(Ended { code, timed_out: killed && ended_late, elapsed })
}

/// The trimmed standard output of a program that succeeds; nothing where it does not or is not
/// there.
pub fn answer(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Runs a program that must succeed, and returns its standard output. What it says on its
/// standard error is shown as it comes if `shown`, and else kept for the error.
///
/// # Errors
/// If it cannot be started or fails.
pub fn succeed(command: &mut Command, shown: bool, hint: &'static str) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(if shown { Stdio::inherit() } else { Stdio::piped() });
    let output = command
        .spawn()
        .and_then(|child| child.wait_with_output())
        .map_err(|source| Error::Program { program, source, hint })?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(out);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let detail = last_line(&said).or(last_line(&out)).unwrap_or("it said nothing").to_owned();
    Err(Error::Failed { command: format!("{command:?}"), detail })
}

/// The last line of a text that is not blank.
pub fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}
