//! Every mnemonic, with who decodes it.

use super::modifiers::Modifiers;
use super::operands::Context;
use super::{Decoded, Flow, arithmetic, control, convert, data, integer, lanes, matrix};

/// Decodes the form at hand, taking the modifiers that it understands.
pub(super) type Row = fn(&mut Context<'_>, &mut Modifiers<'_>, Flow) -> Result<Decoded, String>;

const ROWS: &[(&str, Row)] = &[
    ("abs", arithmetic::unary),
    ("activemask", lanes::active_mask),
    ("add", arithmetic::binary),
    ("addc", integer::carry),
    ("and", integer::logic),
    ("atom", data::atomic),
    ("bar", control::barrier),
    ("barrier", control::barrier),
    ("bfe", integer::extract),
    ("bfi", integer::insert),
    ("bfind", integer::count),
    ("bra", control::branch),
    ("brev", integer::reverse),
    ("clz", integer::count),
    ("cnot", integer::not),
    ("copysign", arithmetic::copysign),
    ("cos", arithmetic::approximate),
    ("cp", data::copy_async),
    ("cvt", convert::convert),
    ("cvta", data::to_generic),
    ("discard", data::hint),
    ("div", arithmetic::divide),
    ("dp4a", integer::dot),
    ("elect", lanes::elect),
    ("ex2", arithmetic::approximate),
    ("exit", control::exit),
    ("fence", control::fence),
    ("fma", arithmetic::fused),
    ("isspacep", data::is_space),
    ("ld", data::load),
    ("ldmatrix", matrix::load),
    ("ldu", data::load),
    ("lg2", arithmetic::approximate),
    ("lop3", integer::lop3),
    ("mad", arithmetic::fused),
    ("mad24", integer::product24),
    ("madc", integer::carry),
    ("match", lanes::matching),
    ("max", arithmetic::extreme),
    ("membar", control::fence),
    ("min", arithmetic::extreme),
    ("mma", matrix::mma),
    ("mov", data::mov),
    ("movmatrix", matrix::transpose),
    ("mul", arithmetic::binary),
    ("mul24", integer::product24),
    ("nanosleep", control::sleep),
    ("neg", arithmetic::unary),
    ("not", integer::not),
    ("or", integer::logic),
    ("popc", integer::count),
    ("prefetch", data::hint),
    ("prefetchu", data::hint),
    ("prmt", integer::permute),
    ("rcp", arithmetic::approximate),
    ("red", data::atomic),
    ("redux", lanes::redux),
    ("rem", arithmetic::divide),
    ("ret", control::exit),
    ("rsqrt", arithmetic::approximate),
    ("sad", integer::sad),
    ("selp", convert::select),
    ("set", convert::set),
    ("setp", convert::set_predicate),
    ("shf", integer::funnel),
    ("shfl", lanes::shuffle),
    ("shl", integer::shift),
    ("shr", integer::shift),
    ("sin", arithmetic::approximate),
    ("slct", convert::select_sign),
    ("sqrt", arithmetic::approximate),
    ("st", data::store),
    ("sub", arithmetic::binary),
    ("subc", integer::carry),
    ("tanh", arithmetic::approximate),
    ("testp", convert::test),
    ("trap", control::trap),
    ("vote", lanes::vote),
    ("xor", integer::logic),
];

/// The row of a mnemonic.
pub(super) fn find(base: &str) -> Option<Row> {
    let at = ROWS.binary_search_by_key(&base, |(name, _)| name).ok()?;
    Some(ROWS[at].1)
}

#[cfg(test)]
mod tests {
    use super::{ROWS, find};

    #[test]
    fn rows_are_in_order_so_that_each_is_found() {
        assert!(ROWS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(ROWS.iter().all(|(name, _)| find(name).is_some()));
        assert!(find("wgmma").is_none());
    }
}
