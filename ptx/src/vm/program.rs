//! A PTX module, decoded.

/// A loaded PTX module. Holds no device memory of its own beyond its `.global` variables.
#[derive(Debug)]
pub struct Program {
    names: Vec<String>,
}

impl Program {
    /// Names of the entry points, in the order of the text.
    pub fn entries(&self) -> Vec<String> {
        self.names.clone()
    }
}
