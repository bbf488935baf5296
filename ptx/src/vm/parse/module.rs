//! A module: its head, its variables, its entry points.

use super::cursor::Cursor;
use super::error::{ParseError, ParseErrorKind};
use super::lexer::Kind;
use super::variable::{self, Declared};
use super::{NEWEST_VERSION, OLDEST_VERSION, entry};
use crate::vm::ast::{Module, Space};

/// Architectures that are known, without `sm_` or `compute_`.
const TARGETS: [&str; 8] = ["70", "72", "75", "80", "86", "87", "89", "90"];

/// Takes a whole module.
pub fn parse(cursor: &mut Cursor<'_>) -> Result<Module, ParseError> {
    let mut module = Module::default();
    head(cursor, &mut module)?;
    loop {
        cursor.enter("a module");
        let token = cursor.next();
        match token.text {
            "" if token.kind == Kind::End => return Ok(module),
            ".file" => file(cursor, &mut module)?,
            ".section" => section(cursor)?,
            ".pragma" => {
                cursor.quoted("a quoted pragma")?;
                cursor.mark(";", "`;` after a pragma")?;
            }
            ".visible" | ".weak" | ".common" => {}
            ".extern" => {
                let token = cursor.next();
                match token.text {
                    ".shared" => variables(cursor, &mut module, Space::Shared, true)?,
                    ".func" => return Err(cursor.unsupported(token.line, "a device function")),
                    ".global" | ".const" | ".entry" => {
                        return Err(cursor.unsupported(token.line, "linking of modules"));
                    }
                    _ => return Err(cursor.unexpected(token, "`.shared` after `.extern`")),
                }
            }
            ".shared" => variables(cursor, &mut module, Space::Shared, false)?,
            ".global" => variables(cursor, &mut module, Space::Global, false)?,
            ".const" => variables(cursor, &mut module, Space::Const, false)?,
            ".entry" => {
                let function = entry::parse(cursor, &module)?;
                module.functions.push(function);
            }
            ".func" | ".alias" => {
                return Err(cursor.unsupported(token.line, "a device function"));
            }
            name if token.kind == Kind::Word && name.starts_with('.') => {
                let expected = ".entry, .global, .const, .shared, .extern, .file or .section";
                let kind = ParseErrorKind::Directive { name: name.to_owned(), expected };
                return Err(cursor.error(token.line, kind));
            }
            _ => return Err(cursor.unexpected(token, "a directive or the end of the text")),
        }
    }
}

/// `.version`, `.target`, `.address_size`.
fn head(cursor: &mut Cursor<'_>, module: &mut Module) -> Result<(), ParseError> {
    cursor.enter("the head of a module");
    if !cursor.take_word(".version") {
        return Err(cursor.unexpected(cursor.peek(), "`.version`"));
    }
    let token = cursor.next();
    let number = |text: &str| text.parse::<u32>().ok();
    let version = token.text.split_once('.').filter(|_| token.kind == Kind::Number);
    let version = version.and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    let version = version.ok_or_else(|| cursor.unexpected(token, "a version, as 8.0"))?;
    if !(OLDEST_VERSION..=NEWEST_VERSION).contains(&version) {
        return Err(cursor.error(token.line, ParseErrorKind::Version(version)));
    }
    module.version = version;
    if !cursor.take_word(".target") {
        return Err(cursor.unexpected(cursor.peek(), "`.target`"));
    }
    let target = cursor.name("a target, as sm_80")?;
    let architecture = target.text.strip_prefix("sm_").or(target.text.strip_prefix("compute_"));
    let known = architecture.is_some_and(|name| TARGETS.contains(&name) || name == "90a");
    if !known {
        let kind = ParseErrorKind::Target(target.text.to_owned());
        return Err(cursor.error(target.line, kind));
    }
    module.target = target.text.to_owned();
    while cursor.take_mark(",") {
        let option = cursor.name("an option of the target")?;
        if !matches!(option.text, "debug" | "texmode_independent" | "texmode_unified") {
            return Err(cursor.unexpected(option, "`debug` or a texture mode"));
        }
    }
    if cursor.take_word(".address_size") {
        let token = cursor.peek();
        if cursor.unsigned("64")? != 64 {
            return Err(cursor.unsupported(token.line, "an address of other than 64 bits"));
        }
    }
    Ok(())
}

/// `.file 1 "path"`, with or without time and length.
fn file(cursor: &mut Cursor<'_>, module: &mut Module) -> Result<(), ParseError> {
    let number = cursor.unsigned32("the number of a source file")?;
    let path = cursor.quoted("a quoted path")?;
    if cursor.take_mark(",") {
        cursor.unsigned("the time of the file")?;
        cursor.mark(",", "`,` and the length of the file")?;
        cursor.unsigned("the length of the file")?;
    }
    module.files.push((number, path.to_owned()));
    Ok(())
}

/// A section of debugging data, which nothing here reads: its name and its braces.
fn section(cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
    cursor.enter("a section");
    let token = cursor.next();
    if token.kind != Kind::Word || !token.text.starts_with(".debug_") {
        return Err(cursor.unexpected(token, "a section of debugging data, as .debug_str"));
    }
    cursor.mark("{", "`{` and the contents of the section")?;
    let mut depth = 1;
    while depth > 0 {
        let token = cursor.next();
        match (token.kind, token.text) {
            (Kind::Mark, "{") => depth += 1,
            (Kind::Mark, "}") => depth -= 1,
            (Kind::End, _) => return Err(cursor.unexpected(token, "`}`")),
            _ => {}
        }
    }
    Ok(())
}

fn variables(
    cursor: &mut Cursor<'_>,
    module: &mut Module,
    space: Space,
    external: bool,
) -> Result<(), ParseError> {
    for Declared { variable, line } in variable::parse(cursor, space, external)? {
        if module.variables.iter().any(|other| other.name == variable.name) {
            return Err(cursor.duplicate(line, "variable", &variable.name));
        }
        module.variables.push(variable);
    }
    Ok(())
}
