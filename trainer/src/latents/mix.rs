//! Latents between those of two texts.

use super::{LatentsError, Posterior};

/// How means are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MixPath {
    /// Each of the N vectors turns from the one to the other along a great circle, while its length
    /// goes from the one's to the other's. In a space of many dimensions the midpoint of the straight
    /// line between two unrelated vectors is shorter than they are, by a factor of about 0.71; on
    /// this path lengths stay between those of the texts.
    Spherical,
    /// The straight line.
    Linear,
}

/// `steps` posteriors from `a` to `b`, both `[N, dim]`, evenly spaced, the ends included and exact;
/// with each the share of `b` in it. Log variances go the straight line, so that standard deviations
/// pass through their geometric mean.
///
/// # Errors
/// [`LatentsError::TooFew`] below 2 steps.
pub fn mix(
    a: &Posterior,
    b: &Posterior,
    dim: usize,
    steps: usize,
    path: MixPath,
) -> Result<Vec<(f64, Posterior)>, LatentsError> {
    if steps < 2 {
        return Err(LatentsError::TooFew { name: "--steps", found: steps, least: 2 });
    }
    let at = |step: usize| {
        let share = step as f64 / (steps - 1) as f64;
        let posterior = match step {
            0 => a.clone(),
            step if step == steps - 1 => b.clone(),
            _ => Posterior {
                mu: match path {
                    MixPath::Linear => line(&a.mu, &b.mu, share),
                    MixPath::Spherical => {
                        let vectors = a.mu.chunks(dim).zip(b.mu.chunks(dim));
                        vectors.flat_map(|(a, b)| turn(a, b, share)).collect()
                    }
                },
                logvar: line(&a.logvar, &b.logvar, share),
            },
        };
        (share, posterior)
    };
    Ok((0..steps).map(at).collect())
}

fn line(a: &[f32], b: &[f32], share: f64) -> Vec<f32> {
    weighted(a, b, 1.0 - share, share)
}

fn weighted(a: &[f32], b: &[f32], of_a: f64, of_b: f64) -> Vec<f32> {
    a.iter().zip(b).map(|(&a, &b)| (of_a * f64::from(a) + of_b * f64::from(b)) as f32).collect()
}

/// One vector on the great circle, with a length in between.
fn turn(a: &[f32], b: &[f32], share: f64) -> Vec<f32> {
    /// Below this sine the circle is not determined, and along it there is nothing to gain.
    const PARALLEL: f64 = 1e-6;
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let (of_a, of_b) = (dot(a, a).sqrt(), dot(b, b).sqrt());
    if of_a == 0.0 || of_b == 0.0 {
        return line(a, b, share);
    }
    let angle = (dot(a, b) / (of_a * of_b)).clamp(-1.0, 1.0).acos();
    if angle.sin() < PARALLEL {
        return line(a, b, share);
    }
    let length = (1.0 - share) * of_a + share * of_b;
    let part = |share: f64, of: f64| length * (share * angle).sin() / angle.sin() / of;
    weighted(a, b, part(1.0 - share, of_a), part(share, of_b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posterior(mu: &[f32]) -> Posterior {
        Posterior { mu: mu.to_vec(), logvar: mu.iter().map(|x| -x).collect() }
    }

    fn close(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (&found, &expected) in found.iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 1e-6, "{found} against {expected}");
        }
    }

    #[test]
    fn a_right_angle_is_walked_evenly_with_the_length_in_between() {
        // The first vector turns by 90 degrees and grows from 1 to 3, the second only grows.
        let (a, b) = (posterior(&[1.0, 0.0, 0.0, 2.0]), posterior(&[0.0, 3.0, 0.0, 4.0]));
        let found = mix(&a, &b, 2, 4, MixPath::Spherical).unwrap();
        let shares: Vec<f64> = found.iter().map(|(share, _)| *share).collect();
        assert_eq!(shares, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
        let thirty = std::f64::consts::FRAC_PI_6;
        let length = 1.0 + 2.0 / 3.0;
        let expected = [length * thirty.cos(), length * thirty.sin(), 0.0, 2.0 + 2.0 / 3.0];
        close(&found[1].1.mu, &expected);
        close(&found[1].1.logvar, &[-2.0 / 3.0, -1.0, 0.0, -8.0 / 3.0]);
    }

    #[test]
    fn the_straight_line_is_shorter_in_the_middle() {
        let (a, b) = (posterior(&[1.0, 0.0]), posterior(&[0.0, 1.0]));
        let found = mix(&a, &b, 2, 3, MixPath::Linear).unwrap();
        close(&found[1].1.mu, &[0.5, 0.5]);
    }

    #[test]
    fn the_ends_are_the_texts_themselves() {
        let (a, b) = (posterior(&[0.1, 0.7]), posterior(&[-0.3, 1e-20]));
        for path in [MixPath::Spherical, MixPath::Linear] {
            let found = mix(&a, &b, 2, 2, path).unwrap();
            assert_eq!((&found[0].1, &found[1].1), (&a, &b));
        }
    }

    /// Where there is no great circle, or more than one, the way is straight, and never NaN.
    #[test]
    fn degenerate_vectors_go_straight() {
        let cases: [(&[f32], &[f32]); 3] =
            [(&[0.0, 0.0], &[2.0, 0.0]), (&[1.0, 1.0], &[1.0, 1.0]), (&[1.0, 0.0], &[-1.0, 0.0])];
        for (a, b) in cases {
            let found = mix(&posterior(a), &posterior(b), 2, 3, MixPath::Spherical).unwrap();
            let half: Vec<f64> = a.iter().zip(b).map(|(a, b)| f64::from(a + b) / 2.0).collect();
            close(&found[1].1.mu, &half);
        }
    }

    #[test]
    fn one_step_goes_nowhere() {
        let a = posterior(&[1.0]);
        let error = mix(&a, &a, 1, 1, MixPath::Linear).unwrap_err().to_string();
        assert!(error.contains("--steps is 1; expected at least 2"), "{error}");
    }
}
