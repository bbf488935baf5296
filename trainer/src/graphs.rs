//! Parts of an iteration that are recorded once and then repeated with one call each.

use std::cell::Cell;

use ltm_engine::{Device, DeviceExt, Graph};

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
pub struct Graphs {
    enabled: bool,
    states: [Cell<State>; PARTS],
}

impl Graphs {
    /// Nothing recorded yet; nothing will be unless `enabled`.
    pub fn new(enabled: bool) -> Self {
        Self { enabled, states: Default::default() }
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
