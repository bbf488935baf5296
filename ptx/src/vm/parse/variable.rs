//! Variables and their initial contents.

use super::cursor::Cursor;
use super::error::{ParseError, ParseErrorKind};
use super::lexer::Kind;
use super::literal::{Literal, literal};
use super::scope::type_of;
use crate::vm::ast::{Space, Type, Variable};

/// Bytes of initial contents that are held.
const MOST_INITIAL: u64 = 1 << 26;
/// Extents of an array.
const MOST_DIMENSIONS: usize = 8;

/// A variable and where it stands.
pub struct Declared {
    /// The variable.
    pub variable: Variable,
    /// Its line.
    pub line: u32,
}

/// Takes `.align n` after `.align`.
pub fn alignment(cursor: &mut Cursor<'_>) -> Result<u32, ParseError> {
    const EXPECTED: &str = "an alignment: a power of two up to 65536";
    let token = cursor.peek();
    let align = cursor.unsigned32(EXPECTED)?;
    if !align.is_power_of_two() || align > 1 << 16 {
        return Err(cursor.number_error(token.line, token.text, EXPECTED));
    }
    Ok(align)
}

/// Takes the variables of a declaration, after its state space and up to its `;`.
pub fn parse(
    cursor: &mut Cursor<'_>,
    space: Space,
    external: bool,
) -> Result<Vec<Declared>, ParseError> {
    const EXPECTED: &str = "an alignment or a type";
    cursor.enter("the declaration of a variable");
    let mut align = None;
    let mut lanes = 1;
    let ty = loop {
        let token = cursor.next();
        match token.text {
            ".align" => align = Some(alignment(cursor)?),
            ".v2" => lanes = 2,
            ".v4" => lanes = 4,
            ".attribute" => {
                return Err(cursor.unsupported(token.line, "an attribute of a variable"));
            }
            _ if token.kind != Kind::Word => return Err(cursor.unexpected(token, EXPECTED)),
            name => match type_of(name) {
                Some(Type::Pred) | None => {
                    let kind =
                        ParseErrorKind::Directive { name: name.to_owned(), expected: EXPECTED };
                    return Err(cursor.error(token.line, kind));
                }
                Some(ty) => break ty,
            },
        }
    };
    let size = u64::from(ty.size()) * lanes;
    let mut found = Vec::new();
    loop {
        let name = cursor.name("the name of a variable")?;
        let too_large = |cursor: &Cursor<'_>| cursor.unsupported(name.line, "so large a variable");
        let mut extents = dimensions(cursor)?;
        if lanes > 1 {
            extents.push(Some(lanes));
        }
        let mut initial = Vec::new();
        if cursor.take_mark("=") {
            if !matches!(space, Space::Global | Space::Const) || external {
                let what = "an initial value outside .global and .const";
                return Err(cursor.unsupported(name.line, what));
            }
            Initial { cursor, ty, bytes: &mut initial }.value(&extents)?;
            if let Some(first @ None) = extents.first_mut() {
                *first = Some(1);
                let row = extent(&extents, u64::from(ty.size())).filter(|&row| row > 0);
                let row = row.ok_or_else(|| too_large(cursor))?;
                extents[0] = Some((initial.len() as u64).div_ceil(row));
            }
        }
        let bytes = if extents.contains(&None) {
            if space != Space::Shared || !external {
                let token = cursor.peek();
                return Err(cursor.unexpected(token, "the extent of the array"));
            }
            None
        } else {
            let bytes = extent(&extents, u64::from(ty.size())).ok_or_else(|| too_large(cursor))?;
            if !initial.is_empty() {
                if bytes > MOST_INITIAL {
                    return Err(too_large(cursor));
                }
                initial.resize(bytes as usize, 0);
            }
            Some(bytes)
        };
        let align = align.unwrap_or(size as u32);
        let name_text = name.text.to_owned();
        let variable = Variable { name: name_text, space, align, bytes, initial };
        found.push(Declared { variable, line: name.line });
        if cursor.take_mark(";") {
            return Ok(found);
        }
        cursor.mark(",", "`,` or `;`")?;
    }
}

/// Takes `[a][b]...`; `None` for an extent that is left open, which only the first may be.
fn dimensions(cursor: &mut Cursor<'_>) -> Result<Vec<Option<u64>>, ParseError> {
    let mut extents = Vec::new();
    while cursor.at_mark("[") {
        let line = cursor.next().line;
        if extents.len() >= MOST_DIMENSIONS {
            return Err(cursor.unsupported(line, "an array of more than 8 extents"));
        }
        if extents.is_empty() && cursor.take_mark("]") {
            extents.push(None);
            continue;
        }
        extents.push(Some(cursor.unsigned("the extent of an array")?));
        cursor.mark("]", "`]`")?;
    }
    Ok(extents)
}

/// Bytes of an array of elements of `size` bytes; `None` where that passes 2^63.
fn extent(extents: &[Option<u64>], size: u64) -> Option<u64> {
    let bytes = extents.iter().flatten().try_fold(size, |bytes, &n| bytes.checked_mul(n))?;
    (bytes < 1 << 63).then_some(bytes)
}

/// Initial contents that are being read.
struct Initial<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    ty: Type,
    bytes: &'c mut Vec<u8>,
}

impl Initial<'_, '_> {
    /// A number, or for an array its values in braces. An array that is left short is filled with
    /// zeros. Values of inner arrays may stand without braces of their own.
    fn value(&mut self, extents: &[Option<u64>]) -> Result<(), ParseError> {
        let token = self.cursor.peek();
        let Some((count, inner)) = extents.split_first() else { return self.number() };
        let start = self.bytes.len() as u64;
        let most = match count {
            Some(_) => extent(extents, u64::from(self.ty.size())),
            None => Some(MOST_INITIAL),
        };
        let most = most.filter(|&most| most <= MOST_INITIAL && start <= MOST_INITIAL);
        let most =
            most.ok_or_else(|| self.cursor.unsupported(token.line, "so large an initial value"))?;
        self.cursor.mark("{", "`{` and the initial values")?;
        if !self.cursor.take_mark("}") {
            loop {
                if self.cursor.at_mark("{") && !inner.is_empty() {
                    self.value(inner)?;
                } else {
                    self.number()?;
                }
                if self.bytes.len() as u64 - start > most {
                    let what = "more initial values than the variable holds:";
                    let token = self.cursor.peek();
                    let found = format!("{what} {most} bytes");
                    let expected = "at most as many";
                    return Err(self.cursor.number_error(token.line, &found, expected));
                }
                if self.cursor.take_mark("}") {
                    break;
                }
                self.cursor.mark(",", "`,` or `}`")?;
            }
        }
        if count.is_some() {
            self.bytes.resize((start + most) as usize, 0);
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), ParseError> {
        const EXPECTED: &str = "an initial value: a number";
        let negative = self.cursor.take_mark("-");
        let token = self.cursor.next();
        match token.kind {
            Kind::Number => {}
            Kind::Word => {
                let what = "the address of a variable as an initial value";
                return Err(self.cursor.unsupported(token.line, what));
            }
            _ => return Err(self.cursor.unexpected(token, EXPECTED)),
        }
        let wrong = || self.cursor.number_error(token.line, token.text, EXPECTED);
        let bits = match (literal(token.text).ok_or_else(wrong)?, self.ty) {
            (Literal::F32(bits), Type::F64) => f64::from(f32::from_bits(bits)).to_bits(),
            (Literal::F32(bits), _) if self.ty.size() == 4 => u64::from(bits),
            (Literal::F64(bits), Type::F32) => u64::from((f64::from_bits(bits) as f32).to_bits()),
            (Literal::F64(bits), _) if self.ty.size() == 8 => bits,
            (Literal::Integer(value), Type::F32) => u64::from((value as f32).to_bits()),
            (Literal::Integer(value), Type::F64) => (value as f64).to_bits(),
            (Literal::Integer(value), _) => {
                if negative {
                    value.wrapping_neg()
                } else {
                    value
                }
            }
            _ => return Err(wrong()),
        };
        let sign = match self.ty {
            Type::F32 if negative => 1 << 31,
            Type::F64 if negative => 1 << 63,
            _ => 0,
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(bits ^ sign).to_le_bytes());
        self.bytes.extend_from_slice(&bytes[..self.ty.size() as usize]);
        Ok(())
    }
}
