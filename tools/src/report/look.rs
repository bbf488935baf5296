//! How curves look, so that a legend can say which is which.

/// Colours the style sheet defines.
pub(super) const COLORS: usize = 8;
/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A thin light line: single measurements behind their mean.
    Faint,
    /// A line.
    Line,
    /// A line with a marker and a tooltip on every point.
    Dots,
}

/// How a line is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dash {
    Solid,
    Dashed,
    Dotted,
}

/// The look shared by a curve and its entry in the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Index of the colour; `None` for that of the text.
    pub(super) color: Option<usize>,
    pub(super) dash: Dash,
    pub(super) mark: Mark,
}

impl Look {
    /// The look of the `index`-th run or curve of a chart.
    pub(super) fn new(index: usize, mark: Mark) -> Self {
        // Beyond the last colour they repeat with another dash.
        let dash = [Dash::Solid, Dash::Dashed, Dash::Dotted][index / COLORS % 3];
        Self { color: Some(index % COLORS), dash, mark }
    }

    /// The look of something said about all curves alike.
    pub(super) fn neutral() -> Self {
        Self { color: None, dash: Dash::Solid, mark: Mark::Line }
    }

    /// The classes of the group the curve is drawn in.
    pub(super) fn classes(self) -> String {
        let mark = if self.mark == Mark::Faint { " faint" } else { "" };
        let dash = match self.dash {
            Dash::Solid => "",
            Dash::Dashed => " dashed",
            Dash::Dotted => " dotted",
        };
        let color = self.color.map(|color| format!(" c{color}"));
        format!("curve{}{dash}{mark}", color.unwrap_or_default())
    }

    /// A short piece of the curve, as the legend shows it.
    pub(super) fn swatch(self) -> String {
        let dot = match self.mark {
            Mark::Dots => "<circle cx=\"14\" cy=\"5\" r=\"3\"/>",
            Mark::Faint | Mark::Line => "",
        };
        format!(
            "<svg class=\"swatch\" viewBox=\"0 0 28 10\" aria-hidden=\"true\"><g class=\"{}\"><path d=\"M2 5H26\"/>{dot}</g></svg>",
            self.classes()
        )
    }
}
