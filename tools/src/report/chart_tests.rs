use super::axis::Scale;
use super::chart::{AxisTitle, Chart, Curve};
use super::look::{Dash, Look, Mark};
use super::series::Series;

fn chart(points: &[(f64, f64)], mark: Mark, scale: Scale) -> Chart {
    let mut series = Series::default();
    for &(x, y) in points {
        series.push(x, y);
    }
    let look = Look::new(0, mark);
    Chart {
        title: "A < B".to_owned(),
        x: AxisTitle { text: "iteration".to_owned(), scale: Scale::Whole },
        y: AxisTitle { text: "nats".to_owned(), scale },
        curves: vec![Curve { points: series, look }],
        legend: vec![(look, "run & co".to_owned())],
        width: 400,
    }
}

#[test]
fn a_small_chart_in_full() {
    let figure = chart(&[(0.0, 0.0), (2.0, 5.0)], Mark::Dots, Scale::FromZero).figure();
    let expected = r#"<figure>
<figcaption>A &lt; B</figcaption>
<ul class="legend"><li><svg class="swatch" viewBox="0 0 28 10" aria-hidden="true"><g class="curve c0"><path d="M2 5H26"/><circle cx="14" cy="5" r="3"/></g></svg>run &amp; co</li></ul>
<svg viewBox="0 0 400 300" role="img">
<title>A &lt; B: nats over iteration</title>
<path class="grid" d="M40.6 254.0h343.4"/><text class="y" x="34.6" y="258.0">0</text>
<path class="grid" d="M40.6 207.1h343.4"/><text class="y" x="34.6" y="211.1">1</text>
<path class="grid" d="M40.6 160.2h343.4"/><text class="y" x="34.6" y="164.2">2</text>
<path class="grid" d="M40.6 113.2h343.4"/><text class="y" x="34.6" y="117.2">3</text>
<path class="grid" d="M40.6 66.3h343.4"/><text class="y" x="34.6" y="70.3">4</text>
<path class="grid" d="M40.6 19.4h343.4"/><text class="y" x="34.6" y="23.4">5</text>
<path class="axis" d="M40.6 254.0v4"/><text class="x" x="40.6" y="271.0">0</text>
<path class="axis" d="M212.3 254.0v4"/><text class="x" x="212.3" y="271.0">1</text>
<path class="axis" d="M384.0 254.0v4"/><text class="x" x="384.0" y="271.0">2</text>
<path class="axis" d="M40.6 254.0h343.4"/><text class="x" x="212.3" y="292.0">iteration</text><text class="x" transform="translate(13 132.0) rotate(-90)">nats</text>
<svg x="36.6" y="6.0" width="351.4" height="252.0" viewBox="-4 -4 351.4 252.0">
<g class="curve c0"><path d="M0.0 244.0L343.4 9.4"/><circle cx="0.0" cy="244.0" r="3"><title>0: 0</title></circle><circle cx="343.4" cy="9.4" r="3"><title>2: 5.000</title></circle></g>
</svg>
</svg>
</figure>
"#;
    assert_eq!(figure, expected);
}

#[test]
fn gaps_break_the_line_and_lone_points_are_dots() {
    let nan = f64::NAN;
    let points =
        [(0.0, 1.0), (1.0, 2.0), (2.0, nan), (3.0, 2.0), (4.0, nan), (5.0, 1.0), (6.0, 1.5)];
    let figure = chart(&points, Mark::Line, Scale::Linear).figure();
    let curve = figure.split("<g class=\"curve c0\">").nth(2).unwrap();
    let path = curve.split('"').nth(1).unwrap();
    assert_eq!((path.matches('M').count(), path.matches('L').count()), (3, 2));
    assert_eq!(curve.matches("<circle").count(), 1);
    assert!(curve.contains("<title>3: 2.000</title>"));
}

#[test]
fn a_spike_in_a_faint_curve_does_not_flatten_it() {
    let mut points: Vec<(f64, f64)> =
        (0..2000).map(|i| (f64::from(i), f64::from(i % 10))).collect();
    points[700].1 = 1e30;
    let figure = chart(&points, Mark::Faint, Scale::Linear).figure();
    assert!(figure.contains("1 of 2,000 values lie outside the range shown."));
    assert!(figure.contains(">8</text>"), "the axis follows the spike");
    assert!(!figure.contains("e30"));
}

#[test]
fn charts_without_a_finite_value_say_so() {
    let figure = chart(&[(0.0, f64::NAN)], Mark::Line, Scale::Log).figure();
    assert!(figure.contains("no finite values") && !figure.contains("NaN"));
    assert!(chart(&[], Mark::Line, Scale::Linear).is_empty());
}

#[test]
fn looks_repeat_with_another_dash() {
    assert_eq!(Look::new(1, Mark::Line).dash, Dash::Solid);
    let ninth = Look::new(9, Mark::Line);
    assert_eq!((ninth.color, ninth.dash), (Some(1), Dash::Dashed));
}
