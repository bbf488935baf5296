//! The arguments of a call as its reference reads them.

use crate::{Arg, Data};

/// Contents of arguments before a call, by name.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a>(&'a [Arg]);

impl<'a> Inputs<'a> {
    /// Of these arguments.
    pub fn new(args: &'a [Arg]) -> Self {
        Self(args)
    }

    /// Whether the call has such an argument.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|arg| arg.name == name)
    }

    fn data(&self, name: &str) -> &'a Data {
        let arg = self.0.iter().find(|arg| arg.name == name);
        &arg.unwrap_or_else(|| panic!("the case has no argument {name}")).data
    }

    /// Numbers of any type.
    ///
    /// # Panics
    /// If there is no such argument.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        self.data(name).widened()
    }

    /// Tokens and indices.
    ///
    /// # Panics
    /// If there is no such argument, or it holds no integers.
    pub fn integers(&self, name: &str) -> &'a [i32] {
        match self.data(name) {
            Data::I32(x) => x,
            other => panic!("{name} holds {}", other.dtype()),
        }
    }
}
