//! Operands of an instruction.

use super::body::Body;
use super::error::ParseError;
use super::lexer::{Kind, Token};
use super::literal::{Literal, literal};
use super::scope::is_special;
use crate::vm::ast::{AddressBase, Operand, RegisterId};

impl<'a> Body<'_, 'a> {
    /// One operand.
    pub fn operand(&mut self) -> Result<Operand, ParseError> {
        if self.cursor.at_mark("{") {
            return Ok(Operand::Vector(self.vector()?));
        }
        if self.cursor.at_mark("[") {
            return self.address();
        }
        self.plain_operand()
    }

    /// `{a, b, ...}`.
    fn vector(&mut self) -> Result<Vec<Operand>, ParseError> {
        self.cursor.mark("{", "`{`")?;
        let mut elements = Vec::new();
        loop {
            elements.push(self.plain_operand()?);
            if self.cursor.take_mark("}") {
                return Ok(elements);
            }
            self.cursor.mark(",", "`,` or `}`")?;
        }
    }

    /// An operand that is neither a vector nor an address.
    fn plain_operand(&mut self) -> Result<Operand, ParseError> {
        const EXPECTED: &str = "an operand";
        let token = self.cursor.peek();
        match (token.kind, token.text) {
            (Kind::Number, _) => {
                let token = self.cursor.next();
                self.number(token, false)
            }
            (Kind::Mark, "-") => {
                self.cursor.next();
                let token = self.cursor.next();
                if token.kind != Kind::Number {
                    return Err(self.cursor.unexpected(token, "a number after `-`"));
                }
                self.number(token, true)
            }
            (Kind::Mark, "!") => {
                self.cursor.next();
                let name = self.cursor.name("a predicate after `!`")?;
                Ok(Operand::Not(self.register(name)?))
            }
            (Kind::Word, _) => {
                let name = self.cursor.name(EXPECTED)?;
                let first = self.named(name)?;
                if !self.cursor.take_mark("|") {
                    return Ok(first);
                }
                let name = self.cursor.name("a register or `_` after `|`")?;
                let second = self.named(name)?;
                let result = |x: &Operand| matches!(x, Operand::Register(_) | Operand::Sink);
                if !result(&first) || !result(&second) {
                    return Err(self.cursor.unexpected(name, "two registers around `|`"));
                }
                Ok(Operand::Pair(Box::new(first), Box::new(second)))
            }
            _ => Err(self.cursor.unexpected(token, EXPECTED)),
        }
    }

    /// A number, negated or not.
    fn number(&mut self, token: Token<'a>, negative: bool) -> Result<Operand, ParseError> {
        const SIGN32: u32 = 1 << 31;
        const SIGN64: u64 = 1 << 63;
        let value = literal(token.text).ok_or_else(|| {
            self.cursor.number_error(token.line, token.text, "an integer, or 0f or 0d and digits")
        })?;
        Ok(match value {
            Literal::Integer(value) if negative => Operand::Integer((value as i64).wrapping_neg()),
            Literal::Integer(value) => Operand::Integer(value as i64),
            Literal::F32(bits) => Operand::F32(if negative { bits ^ SIGN32 } else { bits }),
            Literal::F64(bits) => Operand::F64(if negative { bits ^ SIGN64 } else { bits }),
        })
    }

    /// A register, a special register, a variable or parameter, or `_`.
    fn named(&mut self, name: Token<'a>) -> Result<Operand, ParseError> {
        if name.text == "_" {
            return Ok(Operand::Sink);
        }
        if let Some(register) = self.find_register(name.text) {
            return Ok(Operand::Register(register));
        }
        if is_special(name.text) {
            return Ok(Operand::Special(name.text.to_owned()));
        }
        if !self.symbols.has(name.text) {
            return Err(self.undefined_name(name));
        }
        let offset = self.offset()?;
        Ok(Operand::Symbol { name: name.text.to_owned(), offset })
    }

    /// A register by its name.
    pub fn register(&self, name: Token<'a>) -> Result<RegisterId, ParseError> {
        self.find_register(name.text)
            .ok_or_else(|| self.cursor.undefined(name.line, "register", name.text))
    }

    fn undefined_name(&self, name: Token<'a>) -> ParseError {
        let register = name.text.starts_with('%');
        let what = if register { "register" } else { "register, variable or parameter" };
        self.cursor.undefined(name.line, what, name.text)
    }

    /// `+n`, `-n`, `+-n` or nothing, which is 0.
    fn offset(&mut self) -> Result<i64, ParseError> {
        let plus = self.cursor.take_mark("+");
        let minus = self.cursor.take_mark("-");
        if !plus && !minus {
            return Ok(0);
        }
        let value = self.cursor.unsigned("an offset in bytes")? as i64;
        Ok(if minus { value.wrapping_neg() } else { value })
    }

    /// `[base+offset]`, or `[map, {coordinates}]`.
    fn address(&mut self) -> Result<Operand, ParseError> {
        const EXPECTED: &str = "an address: a register, a variable or a number";
        self.cursor.mark("[", "`[`")?;
        let token = self.cursor.peek();
        let (base, offset) = match token.kind {
            Kind::Number => (AddressBase::Absolute, self.cursor.unsigned(EXPECTED)? as i64),
            _ => {
                let name = self.cursor.name(EXPECTED)?;
                let base = match self.find_register(name.text) {
                    Some(register) => AddressBase::Register(register),
                    None if self.symbols.has(name.text) => {
                        AddressBase::Symbol(name.text.to_owned())
                    }
                    None => return Err(self.undefined_name(name)),
                };
                (base, self.offset()?)
            }
        };
        let address = if self.cursor.take_mark(",") {
            if !self.cursor.at_mark("{") {
                let what = "an address with a sampler";
                return Err(self.cursor.unsupported(token.line, what));
            }
            Operand::TensorAddress { base, offset, coordinates: self.vector()? }
        } else {
            Operand::Address { base, offset }
        };
        self.cursor.mark("]", "`]`")?;
        Ok(address)
    }
}
