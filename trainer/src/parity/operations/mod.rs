//! The `ops` fixture: single operations, forward and backward.

mod attention;
mod losses;
mod optimiser;

use std::collections::BTreeSet;

use ltm_engine::ops::*;
use ltm_engine::rope::{RopeTable, rotate, rotate_back};
use ltm_engine::{Buffer, DType, Device, DeviceExt};

use super::Result;
use super::fixture::Fixture;
use super::report::Checker;

/// One case of the fixture on a device.
struct Case<'a, 'b> {
    name: String,
    checker: &'a mut Checker<'b>,
    device: &'a mut dyn Device,
}

/// Checks every case by the operation that its name begins with.
pub(super) fn check(checker: &mut Checker<'_>, device: &mut dyn Device) -> Result<()> {
    let fixture = checker.fixture;
    let cases: BTreeSet<String> = fixture
        .keys()
        .iter()
        .filter_map(|key| key.split_once(".in.").map(|(case, _)| case.to_owned()))
        .collect();
    for name in cases {
        let operation = name.split('.').next().unwrap_or_default().to_owned();
        let mut case = Case { name, checker, device };
        match operation.as_str() {
            "rmsnorm" => case.rms_norm()?,
            "rope" => case.rope()?,
            "window_attention" => case.window_attention()?,
            "latent_attention" => case.latent_attention()?,
            "swiglu" => case.swiglu()?,
            "silu_mul" => case.silu_mul()?,
            "cross_entropy" => case.cross_entropy()?,
            "posterior" => case.posterior()?,
            "embedding" => case.embedding()?,
            "adamw" => case.adamw()?,
            "clip" => case.clip()?,
            _ => return Err(fixture.malformed(format!("unknown operation {operation}"))),
        }
    }
    Ok(())
}

impl Case<'_, '_> {
    fn fixture(&self) -> &Fixture {
        self.checker.fixture
    }

    fn key(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    fn host(&self, input: &str) -> Result<Vec<f32>> {
        self.fixture().floats(&self.key(&format!("in.{input}")))
    }

    fn shape(&self, input: &str) -> Result<Vec<usize>> {
        self.fixture().shape(&self.key(&format!("in.{input}")))
    }

    /// Shape of an input with exactly `N` axes.
    fn axes<const N: usize>(&self, input: &str) -> Result<[usize; N]> {
        let shape = self.shape(input)?;
        shape.try_into().map_err(|shape| {
            let detail = format!("{}: {input} has shape {shape:?}, expected {N} axes", self.name);
            self.fixture().malformed(detail)
        })
    }

    fn number(&self, name: &str) -> Result<f64> {
        self.fixture().number(&["cases", &self.name, name])
    }

    fn input(&mut self, input: &str) -> Result<Buffer> {
        let values = self.host(input)?;
        Ok(self.device.alloc_from(&values)?)
    }

    fn integers(&mut self, input: &str) -> Result<Buffer> {
        let values = self.fixture().integers(&self.key(&format!("in.{input}")))?;
        Ok(self.device.alloc_from(&values)?)
    }

    fn output(&mut self, len: usize) -> Result<Buffer> {
        Ok(self.device.alloc(DType::F32, len)?)
    }

    fn compare(&mut self, part: &str, buffer: &Buffer) -> Result<()> {
        let values = self.device.read::<f32>(buffer)?;
        self.checker.compare(&self.key(part), &values)
    }

    fn rms_norm(&mut self) -> Result<()> {
        let [rows, width] = self.axes("x")?;
        let eps = self.number("eps")? as f32;
        let (x, weight, d_out) = (self.input("x")?, self.input("weight")?, self.input("dy")?);
        let (out, inv_rms) = (self.output(rows * width)?, self.output(rows)?);
        let (d_x, d_weight) = (self.output(rows * width)?, self.output(width)?);
        self.device.rms_norm_forward(&RmsNormForward {
            x: &x,
            residual: None,
            weight: &weight,
            out: &out,
            inv_rms: &inv_rms,
            rows,
            width,
            eps,
        })?;
        self.device.rms_norm_backward(&RmsNormBackward {
            d_out: &d_out,
            x: &x,
            weight: &weight,
            inv_rms: &inv_rms,
            d_x: Some(&d_x),
            accumulate: false,
            d_weight: Some(&d_weight),
            rows,
            width,
        })?;
        self.compare("out.y", &out)?;
        self.compare("grad.x", &d_x)?;
        self.compare("grad.weight", &d_weight)
    }

    /// Rotation is no operation of its own: backends apply it on load. Its reference is checked.
    fn rope(&mut self) -> Result<()> {
        let [batch, seq, heads, head_dim] = self.axes("x")?;
        let positions = self.fixture().value(&["cases", &self.name, "positions"])?;
        let positions: Vec<i64> = serde_json::from_value(positions.clone())
            .map_err(|e| self.fixture().malformed(format!("positions: {e}")))?;
        let table = RopeTable::new(positions, head_dim, self.number("theta")?);
        let (x, d_y) = (self.host("x")?, self.host("dy")?);
        let (mut y, mut d_x) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        for row in 0..batch * seq * heads {
            let angles = table.row(row / heads % seq);
            let part = row * head_dim..(row + 1) * head_dim;
            rotate(&x[part.clone()], &mut y[part.clone()], angles, 1.0);
            rotate_back(&d_y[part.clone()], &mut d_x[part], angles, 1.0);
        }
        self.checker.compare(&self.key("out.y"), &y)?;
        self.checker.compare(&self.key("grad.x"), &d_x)
    }

    /// `parts` `[outer, inner]` as `[outer, parts, inner]`.
    fn pack(&self, parts: &[&str], inner: usize) -> Result<Vec<f32>> {
        let parts: Vec<Vec<f32>> = parts.iter().map(|p| self.host(p)).collect::<Result<_>>()?;
        let mut packed = Vec::new();
        for row in 0..parts[0].len() / inner.max(1) {
            for part in &parts {
                packed.extend_from_slice(&part[row * inner..(row + 1) * inner]);
            }
        }
        Ok(packed)
    }

    fn compare_packed(&mut self, parts: &[&str], inner: usize, buffer: &Buffer) -> Result<()> {
        let packed = self.device.read::<f32>(buffer)?;
        for (index, part) in parts.iter().enumerate() {
            let rows = packed.chunks_exact(inner * parts.len());
            let values: Vec<f32> =
                rows.flat_map(|row| row[index * inner..(index + 1) * inner].to_vec()).collect();
            self.checker.compare(&self.key(&format!("grad.{part}")), &values)?;
        }
        Ok(())
    }

    fn silu_mul(&mut self) -> Result<()> {
        let [rows, width] = self.axes("g")?;
        let packed = self.pack(&["g", "u"], width)?;
        let gate_up = self.device.alloc_from(&packed)?;
        let d_out = self.input("dy")?;
        let (out, d_gate_up) = (self.output(rows * width)?, self.output(packed.len())?);
        self.device.swiglu_forward(&SwigluForward { gate_up: &gate_up, out: &out, rows, width })?;
        self.device.swiglu_backward(&SwigluBackward {
            gate_up: &gate_up,
            d_out: &d_out,
            d_gate_up: &d_gate_up,
            rows,
            width,
        })?;
        self.compare("out.y", &out)?;
        self.compare_packed(&["g", "u"], width, &d_gate_up)
    }

    /// The whole feed-forward block, from linear maps and the gated activation.
    fn swiglu(&mut self) -> Result<()> {
        let [rows, dim] = self.axes("x")?;
        let [width, _] = self.axes("gate")?;
        let (x, down, d_y) = (self.input("x")?, self.input("down")?, self.input("dy")?);
        let both = [self.host("gate")?, self.host("up")?].concat();
        let weight = self.device.alloc_from(&both)?;
        let (gate_up, d_gate_up) = (self.output(2 * rows * width)?, self.output(2 * rows * width)?);
        let s = self.output(rows * width)?;
        let (y, d_x) = (self.output(rows * dim)?, self.output(rows * dim)?);
        let (d_weight, d_down) = (self.output(both.len())?, self.output(dim * width)?);
        let device = &mut *self.device;
        device.linear_swiglu_forward(&LinearSwigluForward {
            x: &x,
            weight: &weight,
            gate_up: &gate_up,
            out: &s,
            rows,
            inner: dim,
            width,
        })?;
        device.linear_forward(&LinearForward {
            x: &s,
            weight: &down,
            residual: None,
            out: &y,
            rows,
            inner: width,
            outer: dim,
        })?;
        let to_weight = |d_out, x, d_weight, inner, outer| LinearBackwardWeight {
            d_out,
            x,
            d_weight,
            rows,
            inner,
            outer,
        };
        device.linear_backward_weight(&to_weight(&d_y, &s, &d_down, width, dim))?;
        device.linear_swiglu_backward(&LinearSwigluBackward {
            d_out: &d_y,
            weight: &down,
            gate_up: &gate_up,
            d_gate_up: &d_gate_up,
            rows,
            width,
            outer: dim,
        })?;
        device.linear_backward_weight(&to_weight(&d_gate_up, &x, &d_weight, dim, 2 * width))?;
        device.linear_backward_input(&LinearBackwardInput {
            d_out: &d_gate_up,
            weight: &weight,
            d_x: &d_x,
            accumulate: false,
            rows,
            inner: dim,
            outer: 2 * width,
        })?;
        self.compare("out.y", &y)?;
        self.compare("grad.x", &d_x)?;
        self.compare("grad.down", &d_down)?;
        let half = width * dim;
        self.compare("grad.gate", &d_weight.slice(0..half)?)?;
        self.compare("grad.up", &d_weight.slice(half..2 * half)?)
    }

    fn embedding(&mut self) -> Result<()> {
        let [vocab, width] = self.axes("table")?;
        let (table, d_out) = (self.input("table")?, self.input("dy")?);
        let tokens = self.integers("tokens")?;
        let host = self.device.read::<i32>(&tokens)?;
        let rows = host.len();
        let mut order: Vec<i32> = (0..rows as i32).collect();
        order.sort_by_key(|&row| host[row as usize]);
        let order = self.device.alloc_from(&order)?;
        let (out, d_table) = (self.output(rows * width)?, self.output(vocab * width)?);
        self.device.embedding_forward(&EmbeddingForward {
            table: &table,
            tokens: &tokens,
            out: &out,
            rows,
            width,
            vocab,
        })?;
        self.device.embedding_backward(&EmbeddingBackward {
            d_out: &d_out,
            tokens: &tokens,
            order: &order,
            d_table: &d_table,
            rows,
            width,
            vocab,
        })?;
        self.compare("out.y", &out)?;
        self.compare("grad.table", &d_table)
    }
}
