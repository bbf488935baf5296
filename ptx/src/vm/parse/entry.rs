//! Entry points: parameters and what is asked of a launch.

use super::body;
use super::cursor::Cursor;
use super::error::{ParseError, ParseErrorKind};
use super::lexer::Kind;
use super::scope::{Symbols, type_of};
use super::variable::alignment;
use crate::vm::ast::{Function, Module, Parameter, Type};

/// Bytes of parameters that PTX allows.
const MOST_PARAMETER_BYTES: u64 = 32764;

/// Takes an entry point, after `.entry`.
pub fn parse(cursor: &mut Cursor<'_>, module: &Module) -> Result<Function, ParseError> {
    cursor.enter("the head of an entry point");
    let name = cursor.name("the name of an entry point")?;
    if module.functions.iter().any(|function| function.name == name.text) {
        return Err(cursor.duplicate(name.line, "entry point", name.text));
    }
    let mut function = Function { name: name.text.to_owned(), ..Function::default() };
    let mut symbols = Symbols::of_module(module);
    if cursor.take_mark("(") && !cursor.take_mark(")") {
        loop {
            parameter(cursor, &mut symbols, &mut function)?;
            if cursor.take_mark(")") {
                break;
            }
            cursor.mark(",", "`,` or `)`")?;
        }
    }
    while !cursor.at_mark("{") {
        let token = cursor.next();
        match token.text {
            ".reqntid" => function.required_threads = Some(extents(cursor)?),
            ".maxntid" => function.maximum_threads = Some(extents(cursor)?),
            ".minnctapersm" | ".maxnctapersm" | ".maxnreg" => {
                cursor.unsigned32("a count")?;
            }
            ".pragma" => {
                cursor.quoted("a quoted pragma")?;
                cursor.mark(";", "`;` after a pragma")?;
            }
            ".reqnctapercluster" | ".explicitcluster" | ".maxclusterrank" => {
                return Err(cursor.unsupported(token.line, "a cluster of blocks"));
            }
            name if token.kind == Kind::Word && name.starts_with('.') => {
                let expected = ".reqntid, .maxntid, .minnctapersm, .maxnreg or `{`";
                let kind = ParseErrorKind::Directive { name: name.to_owned(), expected };
                return Err(cursor.error(token.line, kind));
            }
            _ => return Err(cursor.unexpected(token, "`{` and the body of the entry point")),
        }
    }
    body::parse(cursor, &mut symbols, &mut function)?;
    Ok(function)
}

/// `.param .align 8 .b8 name[24]`, `.param .u64 .ptr .global .align 16 name`.
fn parameter(
    cursor: &mut Cursor<'_>,
    symbols: &mut Symbols,
    function: &mut Function,
) -> Result<(), ParseError> {
    const EXPECTED: &str = "the type of a parameter";
    if !cursor.take_word(".param") {
        return Err(cursor.unexpected(cursor.peek(), "`.param`"));
    }
    let mut stated = None;
    if cursor.take_word(".align") {
        stated = Some(alignment(cursor)?);
    }
    let token = cursor.next();
    let ty = type_of(token.text).filter(|&ty| ty != Type::Pred);
    let ty = ty.ok_or_else(|| cursor.unexpected(token, EXPECTED))?;
    if cursor.take_word(".ptr") {
        // What the pointer points to says nothing about the parameter itself.
        let space = cursor.peek().text;
        if matches!(space, ".global" | ".const" | ".shared" | ".local") {
            cursor.next();
        }
        if cursor.take_word(".align") {
            alignment(cursor)?;
        }
    }
    let name = cursor.name("the name of a parameter")?;
    let mut bytes = u64::from(ty.size());
    while cursor.take_mark("[") {
        let count = cursor.unsigned("the extent of a parameter")?;
        cursor.mark("]", "`]`")?;
        bytes = bytes.saturating_mul(count);
    }
    let end = function.parameters.last().map_or(0, |last| last.offset + last.bytes);
    let align = stated.unwrap_or(1).max(ty.size());
    let offset = end.next_multiple_of(align);
    if u64::from(offset).saturating_add(bytes) > MOST_PARAMETER_BYTES {
        return Err(cursor.number_error(
            name.line,
            name.text,
            "parameters of 32764 bytes at most, in all",
        ));
    }
    if !symbols.add(name.text) {
        return Err(cursor.duplicate(name.line, "parameter", name.text));
    }
    let bytes = bytes as u32;
    function.parameters.push(Parameter { name: name.text.to_owned(), offset, bytes, ty });
    Ok(())
}

/// `x`, `x, y` or `x, y, z`; those left out are 1.
fn extents(cursor: &mut Cursor<'_>) -> Result<[u32; 3], ParseError> {
    let mut extents = [1; 3];
    for (axis, extent) in extents.iter_mut().enumerate() {
        if axis > 0 && !cursor.take_mark(",") {
            break;
        }
        *extent = cursor.unsigned32("threads of a block")?;
    }
    Ok(extents)
}
