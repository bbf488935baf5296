//! What an iteration and a validation found, as records of the metrics.

use crate::evaluate::Evaluation;
use crate::metrics::{Metrics, PointFigures, PointValidation, Validation};
use crate::trainer::IterationReport;

/// The record of an iteration (from 0) after which `tokens` tokens were trained on. Where z is a
/// point, `-log p(z)` stands where the KL would; it gets its own name.
pub(super) fn metrics(
    iteration: u64,
    tokens: u64,
    report: &IterationReport,
    point: bool,
    validation: Option<Validation>,
) -> Metrics {
    let metrics = Metrics {
        iteration,
        tokens,
        loss: report.loss,
        nll: report.loss,
        kl: report.kl,
        bound: report.loss + report.kl,
        slow_lr: report.slow_lr,
        fast_lr: report.fast_lr,
        grad_norm: report.grad_norm,
        clip_factor: report.clip_factor,
        fast_nll: report.fast_nll.clone(),
        fast_kl: report.fast_kl.clone(),
        objective: report.objective,
        point: None,
        validation,
    };
    match point {
        false => metrics,
        true => Metrics {
            kl: f64::NAN,
            bound: f64::NAN,
            fast_kl: Vec::new(),
            point: Some(PointFigures {
                neg_log_prior: metrics.kl,
                neg_log_joint: metrics.bound,
                fast_neg_log_prior: metrics.fast_kl,
            }),
            ..metrics
        },
    }
}

/// The record of a validation, as a corpus figure.
pub(super) fn validation(evaluation: Evaluation, point: bool) -> Validation {
    let corpus = evaluation.summary.corpus;
    let validation = Validation {
        val_nll: corpus.nll,
        val_kl: corpus.kl,
        val_bound: corpus.bound,
        val_fast_nll: evaluation.curve.nll,
        val_fast_kl: evaluation.curve.kl,
        point: None,
    };
    match point {
        false => validation,
        true => Validation {
            val_kl: f64::NAN,
            val_bound: f64::NAN,
            val_fast_kl: Vec::new(),
            point: Some(PointValidation {
                val_neg_log_prior: validation.val_kl,
                val_neg_log_joint: validation.val_bound,
                val_fast_neg_log_prior: validation.val_fast_kl,
            }),
            ..validation
        },
    }
}
