//! Moments in a device's work, between which time is measured.

use std::any::Any;
use std::time::Instant;

use crate::{Error, Result};

/// A moment in the work of a device; see [`crate::Device::mark`].
pub struct Mark(Kind);

enum Kind {
    /// On the host's clock, when the device had nothing left to do.
    Host(Instant),
    /// On the device's own clock; only its driver knows more.
    Device(Box<dyn Any + Send + Sync>),
}

impl Mark {
    /// Now, on the host's clock.
    pub fn on_host() -> Self {
        Self(Kind::Host(Instant::now()))
    }

    /// What a driver keeps of a moment on the device's clock.
    pub fn on_device(kept: Box<dyn Any + Send + Sync>) -> Self {
        Self(Kind::Device(kept))
    }

    /// What the driver keeps of it, if it is a `T`.
    pub fn kept<T: 'static>(&self) -> Option<&T> {
        match &self.0 {
            Kind::Host(_) => None,
            Kind::Device(kept) => kept.downcast_ref(),
        }
    }

    /// Seconds from one mark of the host's clock to another; 0 if `to` is the earlier.
    ///
    /// # Errors
    /// [`Error::Foreign`] for marks of another clock.
    pub fn host_seconds(from: &Self, to: &Self) -> Result<f64> {
        match (&from.0, &to.0) {
            (Kind::Host(from), Kind::Host(to)) => Ok(to.duration_since(*from).as_secs_f64()),
            _ => Err(Error::Foreign { op: "seconds_between" }),
        }
    }
}

impl std::fmt::Debug for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mark").finish_non_exhaustive()
    }
}

/// Whose clock marks are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The host's: what lies between two marks includes the calls themselves.
    Host,
    /// The device's own.
    Device,
}

impl Clock {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Clock::Host => "the host's clock",
            Clock::Device => "device events",
        }
    }
}
