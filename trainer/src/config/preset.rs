//! The configurations that come with the program.

use std::str::FromStr;

use super::ConfigError;

/// A configuration that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Bytes, 2 layers: learns visibly within minutes on a small CPU.
    Tiny,
    /// The published 38.4M model.
    Small,
    /// The published 51.0M model.
    Medium,
    /// The published 76.3M model.
    Large,
}

impl Preset {
    /// Every preset, smallest first.
    pub const ALL: [Self; 4] = [Self::Tiny, Self::Small, Self::Medium, Self::Large];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// The settings in which it differs from the defaults, as TOML.
    pub fn toml(self) -> &'static str {
        match self {
            Self::Tiny => include_str!("../../presets/tiny.toml"),
            Self::Small => include_str!("../../presets/small.toml"),
            Self::Medium => include_str!("../../presets/medium.toml"),
            Self::Large => include_str!("../../presets/large.toml"),
        }
    }
}

impl FromStr for Preset {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL.into_iter().find(|preset| preset.name() == name).ok_or_else(|| {
            ConfigError::UnknownPreset {
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}
