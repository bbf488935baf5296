//! Results as a page of Markdown.

use std::fmt::Write;

use serde_json::Value;

use super::{Results, Status};

/// Points of a curve that are told.
const POINTS: usize = 12;
/// Iterations on either side that a point of a curve is a mean of.
const SMOOTHED: usize = 4;
/// The first lines of a training's timing, which warm up.
const WARM_UP: u64 = 2;

/// The page.
pub fn markdown(results: &Results) -> String {
    let mut page = heading(results);
    page += &steps(results);
    page += &measurements(results);
    page += &kernels(results);
    if let Some(peers) = &results.peers {
        page += &peers_table(peers);
    }
    page += &curves(results);
    page
}

fn heading(results: &Results) -> String {
    let e = &results.environment;
    let or = |value: &Option<String>, none: &str| value.clone().unwrap_or_else(|| none.to_owned());
    let changed = if e.bundle.uncommitted_changes { " with uncommitted changes" } else { "" };
    let commit: String = e.bundle.commit.chars().take(12).collect();
    let mut page = format!(
        "# A bundle's results\n\n{}, driver {}, memory {}; {}, {} cores, {}. {}, commit {commit}{changed}, {}. \
         {}, {}; PyTorch {}; compute-sanitizer {}.\n",
        or(&e.gpu, "**No GPU**"),
        or(&e.driver, "none"),
        or(&e.gpu_memory, "unknown"),
        or(&e.cpu, "an unknown CPU"),
        e.cores,
        or(&e.system, "an unknown system"),
        e.date,
        e.bundle.ltm,
        e.bundle.rustc,
        e.python.as_ref().map_or("no Python".to_owned(), |version| format!("Python {version}")),
        or(&e.torch, "none"),
        e.sanitizer.as_ref().map_or("none", |_| "found"),
    );
    if !results.complete {
        page += "\nThe last run was cut short: what is missing here was not reached.\n";
    }
    page
}

fn steps(results: &Results) -> String {
    let mut text =
        "\n## Steps\n\n| step | group | result | seconds | detail |\n|---|---|---|---|---|\n"
            .to_owned();
    for step in &results.steps {
        let ran = step.status.is_failure() || step.status == Status::Passed;
        let seconds = if ran { format!("{:.1}", step.seconds) } else { String::new() };
        let detail = step.detail.replace('|', "\\|").replace('`', "'");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {seconds} | {detail} |",
            step.step, step.group, step.status
        );
    }
    let count = |of: &dyn Fn(Status) -> bool| results.steps.iter().filter(|s| of(s.status)).count();
    let passed = count(&|status| status == Status::Passed);
    let failed = count(&Status::is_failure);
    let open = results.steps.len() - passed - failed;
    let _ = writeln!(text, "\n{passed} passed, {failed} failed, {open} not run.");
    text
}

/// Rows of one step, shape and reading: medians of what has a speed; other lines are only counted.
fn measurements(results: &Results) -> String {
    let mut groups: Vec<([String; 4], Vec<&Value>)> = Vec::new();
    let mut others = 0;
    for (step, values) in &results.measurements {
        let warming = values.get("impl").is_none()
            && values["iteration"].as_u64().is_some_and(|iteration| iteration < WARM_UP);
        if values["kernel"].is_string() {
            continue;
        }
        if values["tokens_per_second"].as_f64().is_none() {
            others += 1;
        } else if !warming {
            let field = |name: &str| values[name].as_str().unwrap_or("").to_owned();
            let key = [step.clone(), field("shape"), field("reading"), field("device")];
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, rows)) => rows.push(values),
                None => groups.push((key, vec![values])),
            }
        }
    }
    let mut text = String::new();
    if !groups.is_empty() {
        text += "\n## Speed\n\n| step | shape | reading | device | tokens/s | lines |\n|---|---|---|---|---|---|\n";
    }
    for ([step, shape, reading, device], rows) in &groups {
        let mut speeds: Vec<f64> =
            rows.iter().filter_map(|row| row["tokens_per_second"].as_f64()).collect();
        speeds.sort_by(f64::total_cmp);
        let _ = writeln!(
            text,
            "| {step} | {shape} | {reading} | {device} | {:.1} | {} |",
            speeds[speeds.len() / 2],
            rows.len()
        );
    }
    if others > 0 {
        let _ = writeln!(text, "\n{others} further measurements are in `results.jsonl`.");
    }
    text
}

/// Every operation that was timed, by step.
fn kernels(results: &Results) -> String {
    let mut text = String::new();
    let mut steps: Vec<&str> = Vec::new();
    let timed = results.measurements.iter().filter(|(_, values)| values["kernel"].is_string());
    for (step, values) in timed {
        if !steps.contains(&step.as_str()) {
            steps.push(step);
            let number = |name: &str, unit: f64| values[name].as_f64().unwrap_or(f64::NAN) / unit;
            let _ = write!(
                text,
                "\n## Operations: {step}\n\n{} sequences of {} tokens, {}. Ceilings: copy {:.0} GB/s, product \
                 {:.1} TFLOP/s ({}).\n\n| operation | of | us | p10 | p90 | GB/s | TFLOP/s | of the ceiling | cuBLASLt, us |\n\
                 |---|---|---|---|---|---|---|---|---|\n",
                values["batch"],
                values["seq_len"],
                values["dtype"].as_str().unwrap_or(""),
                number("copy_bytes_per_second", 1e9),
                number("product_flops_per_second", 1e12),
                values["product_by"].as_str().unwrap_or(""),
            );
        }
        let number = |name: &str| values[name].as_f64().unwrap_or(f64::NAN);
        let seconds = number("seconds");
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} | {:.2} | {:.1} | {:.2} | {:.1}% | {} |",
            values["kernel"].as_str().unwrap_or(""),
            values["of"].as_str().unwrap_or(""),
            seconds * 1e6,
            number("seconds_p10") * 1e6,
            number("seconds_p90") * 1e6,
            number("bytes") / seconds / 1e9,
            number("flops") / seconds / 1e12,
            number("share_of_ceiling") * 100.0,
            values["cublas"]["seconds"]
                .as_f64()
                .map_or(String::new(), |seconds| format!("{:.2}", seconds * 1e6))
        );
    }
    text
}

fn peers_table(peers: &Value) -> String {
    let mut text = "\n## Beside PyTorch\n\nSpeed ratio: tokens/s of ltm over the peer's, above 1 is faster.\n\n\
                    | shape | reading | batch | program | tokens/s | iteration ms | fast step ms | ltm speed |\n\
                    |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in peers["table"].as_array().into_iter().flatten() {
        let number = |name: &str, digits: usize| {
            row[name].as_f64().map_or(String::new(), |x| format!("{x:.digits$}"))
        };
        let field = |name: &str| row[name].as_str().unwrap_or("").to_owned();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            field("shape"),
            field("reading"),
            row["batch"],
            field("impl"),
            number("tokens_per_second", 1),
            number("iteration_ms", 2),
            number("fast_step_ms", 3),
            number("ltm_speed_ratio", 2)
        );
    }
    let failed =
        peers["runs"].as_array().into_iter().flatten().filter(|run| run["error"].is_string());
    for run in failed {
        let field = |name: &str| run[name].as_str().unwrap_or("").to_owned();
        let _ = writeln!(
            text,
            "\n- {} {}, {}: {}",
            field("shape"),
            field("reading"),
            field("impl"),
            field("error")
        );
    }
    text
}

/// Losses of both sides at a few iterations, each a mean over its neighbours.
fn curves(results: &Results) -> String {
    let [(a, ours), (b, theirs)] = results.curves.as_slice() else { return String::new() };
    let count = ours.len().min(theirs.len());
    if count == 0 {
        return String::new();
    }
    let mut text = format!(
        "\n## Training on the same data, noise and weights\n\nnll in nats per token, {count} iterations in \
         common, each figure a mean over up to {} iterations.\n\n| iteration | {a} | {b} | difference |\n|---|---|---|---|\n",
        2 * SMOOTHED + 1
    );
    let mean = |curve: &[(u64, f64)], at: usize| {
        let part = &curve[at.saturating_sub(SMOOTHED)..(at + SMOOTHED + 1).min(count)];
        part.iter().map(|(_, loss)| loss).sum::<f64>() / part.len() as f64
    };
    let mut places: Vec<usize> = (0..POINTS).map(|i| i * (count - 1) / (POINTS - 1)).collect();
    places.dedup();
    for at in places {
        let (x, y) = (mean(ours, at), mean(theirs, at));
        let _ = writeln!(text, "| {} | {x:.4} | {y:.4} | {:+.4} |", ours[at].0, x - y);
    }
    text
}
