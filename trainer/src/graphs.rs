//! Parts of an iteration that are recorded once and then repeated with one call each.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;

use ltm_engine::{Device, DeviceExt, Graph, Mark, profile};

use crate::Result;

/// A part of an iteration that calls the device in the same way every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The prefix, and the first z.
    Begin,
    /// A fast step.
    Fast,
    /// A fast step that adds weight gradients.
    FastWithWeights,
    /// The pass at the inferred z, back through the prefix.
    Slow,
    /// The update of the weights.
    Update,
}

impl Part {
    /// For people.
    pub fn name(self) -> &'static str {
        // Each is ASCII.
        self.range().to_str().unwrap_or_default()
    }

    /// The same for profilers.
    fn range(self) -> &'static CStr {
        match self {
            Part::Begin => c"begin",
            Part::Fast => c"fast step",
            Part::FastWithWeights => c"fast step with weights",
            Part::Slow => c"slow step",
            Part::Update => c"update",
        }
    }
}

/// A part that was run, and its ends.
type Timed = (Part, Mark, Mark);

/// Parts there are.
const PARTS: usize = Part::Update as usize + 1;

#[derive(Default)]
enum State {
    /// Never run.
    #[default]
    Cold,
    /// Run once: whatever the device keeps for it is there.
    Warm,
    /// Recorded.
    Recorded(Graph),
    /// Nothing is to be recorded, or the device does not.
    Direct,
}

/// The recordings of one set of programs on one workspace.
#[derive(Default)]
pub struct Graphs {
    enabled: bool,
    states: [Cell<State>; PARTS],
    /// What was run since somebody began to watch.
    watched: RefCell<Option<Vec<Timed>>>,
}

impl Graphs {
    /// Nothing recorded yet; nothing will be unless `enabled`.
    pub fn new(enabled: bool) -> Self {
        Self { enabled, ..Self::default() }
    }

    /// Forgets every recording: a buffer of theirs has been replaced.
    pub fn forget(&self) {
        self.states.iter().for_each(|state| drop(state.take()));
    }

    /// Recordings at hand.
    pub fn recorded(&self) -> usize {
        let recorded = |cell: &&Cell<State>| {
            let state = cell.take();
            let recorded = matches!(state, State::Recorded(_));
            cell.set(state);
            recorded
        };
        self.states.iter().filter(recorded).count()
    }

    /// Notes from here on when each part begins and ends.
    pub fn watch(&self) {
        *self.watched.borrow_mut() = Some(Vec::new());
    }

    /// The parts since [`Graphs::watch`] in their order, with the seconds that each took, and no
    /// longer notes them.
    ///
    /// # Errors
    /// If the device fails.
    pub fn watched(&self, device: &mut dyn Device) -> Result<Vec<(Part, f64)>> {
        let timed = self.watched.take().unwrap_or_default();
        let seconds = |(part, from, to): Timed| Ok((part, device.seconds_between(&from, &to)?));
        timed.into_iter().map(seconds).collect()
    }

    /// Does what `body` does: by calling it the first time, and from its recording later. After an
    /// error it starts anew.
    ///
    /// # Errors
    /// Of `body`, or a failing device.
    pub fn run(
        &self,
        device: &mut dyn Device,
        part: Part,
        body: impl Fn(&mut dyn Device) -> Result<()>,
    ) -> Result<()> {
        let _range = profile::range(part.range());
        let watched = self.watched.borrow().is_some();
        let from = if watched { Some(device.mark()?) } else { None };
        self.run_part(device, part, body)?;
        if let (Some(from), Some(timed)) = (from, self.watched.borrow_mut().as_mut()) {
            timed.push((part, from, device.mark()?));
        }
        Ok(())
    }

    fn run_part(
        &self,
        device: &mut dyn Device,
        part: Part,
        body: impl Fn(&mut dyn Device) -> Result<()>,
    ) -> Result<()> {
        let cell = &self.states[part as usize];
        let state = match cell.take() {
            State::Cold => {
                body(device)?;
                if self.enabled { State::Warm } else { State::Direct }
            }
            State::Warm => match device.record(|device| body(device))? {
                Some(graph) => {
                    device.replay(&graph)?;
                    State::Recorded(graph)
                }
                None => {
                    body(device)?;
                    State::Direct
                }
            },
            State::Recorded(graph) => {
                device.replay(&graph)?;
                State::Recorded(graph)
            }
            State::Direct => {
                body(device)?;
                State::Direct
            }
        };
        cell.set(state);
        Ok(())
    }
}
