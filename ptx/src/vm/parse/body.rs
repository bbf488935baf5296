//! The body of an entry point: scopes, declarations, labels and instructions.

use super::cursor::Cursor;
use super::error::{ParseError, ParseErrorKind};
use super::lexer::{Kind, Token};
use super::scope::{Pending, Scope, Symbols, type_of};
use super::variable::{self, Declared};
use crate::vm::ast::{Function, Instruction, Operand, Register, RegisterId, Space};

/// Registers that a function may declare; what compilers write stays far below.
const MOST_REGISTERS: usize = 1 << 18;

/// A body that is being read.
pub struct Body<'c, 'a> {
    pub cursor: &'c mut Cursor<'a>,
    /// What may be named besides registers and labels.
    pub symbols: &'c mut Symbols,
    function: &'c mut Function,
    /// The open scopes, outermost first.
    scopes: Vec<Scope<'a>>,
    /// The last `.loc`.
    source: Option<(u32, u32)>,
}

/// Reads a body, from its opening brace to its closing one, into `function`. `symbols` holds the
/// variables of the module and the parameters; those of the body are added.
pub fn parse(
    cursor: &mut Cursor<'_>,
    symbols: &mut Symbols,
    function: &mut Function,
) -> Result<(), ParseError> {
    cursor.enter("the body of an entry point");
    cursor.mark("{", "`{` and the body of the entry point")?;
    let mut body = Body { cursor, symbols, function, scopes: vec![Scope::default()], source: None };
    while !body.scopes.is_empty() {
        body.statement()?;
    }
    Ok(())
}

impl<'a> Body<'_, 'a> {
    /// The innermost register of this name.
    pub fn find_register(&self, name: &str) -> Option<RegisterId> {
        self.scopes.iter().rev().find_map(|scope| scope.registers.get(name).copied())
    }

    /// The innermost scope. One is open while a statement is read.
    fn scope(&mut self) -> Option<&mut Scope<'a>> {
        self.scopes.last_mut()
    }

    fn statement(&mut self) -> Result<(), ParseError> {
        let token = self.cursor.peek();
        match (token.kind, token.text) {
            (Kind::Mark, ";") => {
                self.cursor.next();
                Ok(())
            }
            (Kind::Mark, "{") => {
                self.cursor.next();
                self.scopes.push(Scope::default());
                Ok(())
            }
            (Kind::Mark, "}") => {
                self.cursor.next();
                self.close_scope()
            }
            (Kind::Mark, "@") => self.instruction(),
            (Kind::Word, text) if text.starts_with('.') => self.directive(),
            (Kind::Word, _) if self.cursor.peek_second().text == ":" => self.label(),
            (Kind::Word, _) => self.instruction(),
            _ => Err(self.cursor.unexpected(token, "an instruction, a directive, a label or `}`")),
        }
    }

    /// Ends the innermost scope: its branches find its labels, or are left to the scope around it.
    fn close_scope(&mut self) -> Result<(), ParseError> {
        let Some(scope) = self.scopes.pop() else { return Ok(()) };
        for branch in scope.pending {
            if let Some(&target) = scope.labels.get(branch.label) {
                self.function.body[branch.instruction].operands[0] = Operand::Label(target);
            } else if let Some(around) = self.scopes.last_mut() {
                around.pending.push(branch);
            } else {
                return Err(self.cursor.undefined(branch.line, "label", branch.label));
            }
        }
        Ok(())
    }

    fn label(&mut self) -> Result<(), ParseError> {
        let name = self.cursor.name("a label")?;
        self.cursor.mark(":", "`:` after a label")?;
        let at = self.function.body.len();
        let earlier = self.scope().and_then(|scope| scope.labels.insert(name.text, at));
        if earlier.is_some() {
            return Err(self.cursor.duplicate(name.line, "label", name.text));
        }
        Ok(())
    }

    fn directive(&mut self) -> Result<(), ParseError> {
        let token = self.cursor.next();
        match token.text {
            ".reg" => self.registers(),
            ".shared" => self.variables(Space::Shared),
            ".local" => self.variables(Space::Local),
            ".global" => self.variables(Space::Global),
            ".const" => self.variables(Space::Const),
            ".loc" => self.location(),
            ".pragma" => {
                self.cursor.quoted("a quoted pragma")?;
                self.cursor.mark(";", "`;` after a pragma")
            }
            ".param" | ".callprototype" | ".calltargets" => {
                Err(self.cursor.unsupported(token.line, "a call of a function"))
            }
            ".branchtargets" => Err(self.cursor.unsupported(token.line, "a table of branches")),
            name => Err(self.cursor.error(
                token.line,
                ParseErrorKind::Directive {
                    name: name.to_owned(),
                    expected: ".reg, .shared, .local, .loc, .pragma or an instruction",
                },
            )),
        }
    }

    /// `.reg .type %r<57>, p;` after `.reg`.
    fn registers(&mut self) -> Result<(), ParseError> {
        const EXPECTED: &str = "the type of a register";
        let token = self.cursor.next();
        if matches!(token.text, ".v2" | ".v4") {
            return Err(self.cursor.unsupported(token.line, "a vector register"));
        }
        let ty = type_of(token.text).ok_or_else(|| self.cursor.unexpected(token, EXPECTED))?;
        loop {
            let name = self.cursor.name("the name of a register")?;
            if self.cursor.take_mark("<") {
                let count = self.cursor.unsigned32("how many registers")?;
                self.cursor.mark(">", "`>`")?;
                if count as usize > MOST_REGISTERS {
                    let expected = "at most 262144 registers";
                    return Err(self.cursor.number_error(name.line, &count.to_string(), expected));
                }
                for number in 0..count {
                    let register = Register { name: format!("{}{number}", name.text), ty };
                    self.declare(name, register)?;
                }
            } else {
                self.declare(name, Register { name: name.text.to_owned(), ty })?;
            }
            if self.cursor.take_mark(";") {
                return Ok(());
            }
            self.cursor.mark(",", "`,` or `;`")?;
        }
    }

    fn declare(&mut self, token: Token<'a>, register: Register) -> Result<(), ParseError> {
        if self.function.registers.len() >= MOST_REGISTERS {
            let what = "a function of more than 262144 registers";
            return Err(self.cursor.unsupported(token.line, what));
        }
        let id = RegisterId(self.function.registers.len() as u32);
        let name = register.name.clone();
        let earlier = self.scope().and_then(|scope| scope.registers.insert(name, id));
        if earlier.is_some() {
            return Err(self.cursor.duplicate(token.line, "register", &register.name));
        }
        self.function.registers.push(register);
        Ok(())
    }

    fn variables(&mut self, space: Space) -> Result<(), ParseError> {
        for Declared { variable, line } in variable::parse(self.cursor, space, false)? {
            if !self.symbols.add(&variable.name) {
                return Err(self.cursor.duplicate(line, "variable", &variable.name));
            }
            self.function.variables.push(variable);
        }
        self.cursor.enter("the body of an entry point");
        Ok(())
    }

    /// `.loc file line column` and, of inlined code,
    /// `, function_name label, inlined_at file line column`.
    fn location(&mut self) -> Result<(), ParseError> {
        let file = self.cursor.unsigned32("the number of a source file")?;
        let line = self.cursor.unsigned32("a line of the source")?;
        self.cursor.unsigned("a column of the source")?;
        while self.cursor.take_mark(",") {
            let token = self.cursor.name("function_name or inlined_at")?;
            match token.text {
                "function_name" => {
                    self.cursor.name("a label of .debug_str")?;
                    if self.cursor.take_mark("+") {
                        self.cursor.unsigned("an offset")?;
                    }
                }
                "inlined_at" => {
                    for _ in 0..3 {
                        self.cursor.unsigned("file, line and column of the inlined call")?;
                    }
                }
                _ => return Err(self.cursor.unexpected(token, "function_name or inlined_at")),
            }
        }
        self.source = (line > 0).then_some((file, line));
        Ok(())
    }

    fn instruction(&mut self) -> Result<(), ParseError> {
        let guard = if self.cursor.take_mark("@") {
            let negated = self.cursor.take_mark("!");
            let name = self.cursor.name("the predicate of a guard")?;
            Some((self.register(name)?, negated))
        } else {
            None
        };
        let opcode = self.cursor.name("an opcode")?;
        if !opcode.text.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Err(self.cursor.unexpected(opcode, "an opcode"));
        }
        let mut operands = Vec::new();
        match opcode.text.split('.').next() {
            Some("call") => {
                return Err(self.cursor.unsupported(opcode.line, "a call of a function"));
            }
            Some("brx") => return Err(self.cursor.unsupported(opcode.line, "an indexed branch")),
            Some("bra") => {
                let label = self.cursor.name("the label to branch to")?;
                let instruction = self.function.body.len();
                if let Some(scope) = self.scope() {
                    scope.pending.push(Pending {
                        instruction,
                        label: label.text,
                        line: label.line,
                    });
                }
                // Stands until the scope of the label ends, which sets the true target.
                operands.push(Operand::Label(usize::MAX));
            }
            _ if !self.cursor.at_mark(";") => loop {
                operands.push(self.operand()?);
                if !self.cursor.take_mark(",") {
                    break;
                }
            },
            _ => {}
        }
        self.cursor.mark(";", "`,` or `;`")?;
        self.function.body.push(Instruction {
            guard,
            opcode: opcode.text.to_owned(),
            operands,
            line: opcode.line,
            source: self.source,
        });
        Ok(())
    }
}
