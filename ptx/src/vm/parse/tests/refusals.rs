//! What is wrong is refused where it stands, with words.

use super::module_of;
use crate::vm::parse::{ParseError, ParseErrorKind, parse};

fn refused(text: &str) -> ParseError {
    parse(text).expect_err(text)
}

/// The refusal of a body; the line is counted from the first of the body.
fn refused_body(body: &str) -> ParseError {
    let mut error = refused(&module_of(body));
    error.line -= 5;
    error
}

#[test]
fn versions_and_targets() {
    let error = refused(".version 8.9\n.target sm_80");
    assert_eq!((error.line, &error.kind), (1, &ParseErrorKind::Version((8, 9))));
    let words = error.to_string();
    assert!(words.contains("PTX version 8.9 is newer than this virtual GPU knows"), "{words}");
    assert!(words.contains("6.0 to 8.8"), "{words}");
    assert!(refused(".version 5.0\n.target sm_80").to_string().contains("too old"));
    for version in ["6.0", "7.8", "8.8"] {
        assert!(parse(&format!(".version {version} .target sm_90a")).is_ok());
    }
    assert!(matches!(refused(".version eight").kind, ParseErrorKind::Syntax { .. }));
    let error = refused(".version 8.0\n.target sm_120");
    assert_eq!(error.kind, ParseErrorKind::Target("sm_120".into()));
    assert_eq!(error.line, 2);
    let error = refused(".version 8.0 .target sm_80 .address_size 32");
    assert!(matches!(error.kind, ParseErrorKind::Unsupported(_)));
}

#[test]
fn cut_texts() {
    for text in [
        "",
        ".version 8.0",
        &module_of("ret;").replace('}', ""),
        &module_of("{ ret;"),
        ".version 8.0 .target sm_80 .section .debug_str { .b8 1",
        ".version 8.0 .target sm_80 .global .b8 x[4] = {1,",
        ".version 8.0 .target sm_80 .entry k(.param .u32",
        "/* never closed",
        ".version 8.0 .target sm_80 .file 1 \"name",
    ] {
        let error = refused(text);
        assert!(matches!(error.kind, ParseErrorKind::Truncated { .. }), "{text}: {error}");
    }
    let error = refused(&module_of("ret;").replace('}', ""));
    assert!(error.to_string().contains("it ends inside the body of an entry point"), "{error}");
}

#[test]
fn names_that_are_not_declared() {
    let cases = [
        ("mov.u32 %r1, 5;", "register", "%r1"),
        (".reg .b32 %r<4>;\nmov.u32 %r4, 5;", "register", "%r4"),
        ("@%p1 ret;", "register", "%p1"),
        ("bra away;", "label", "away"),
        ("bra inner; { inner: ret; }", "label", "inner"),
        (".reg .b64 a; mov.u64 a, there;", "register, variable or parameter", "there"),
        (".reg .b64 a; ld.u64 a, [there+8];", "register, variable or parameter", "there"),
        ("{ .reg .b32 a; } mov.u32 a, 1;", "register, variable or parameter", "a"),
        (".reg .b32 a; mov.u32 a, %tid.q;", "register", "%tid.q"),
    ];
    for (body, what, name) in cases {
        let kind = ParseErrorKind::Undefined { what, name: name.into() };
        assert_eq!(refused_body(body).kind, kind, "{body}");
    }
    assert_eq!(refused_body("ret;\nret;\nbra away;\nret;").line, 3);
}

#[test]
fn names_that_are_declared_twice() {
    let cases = [
        ("a: ret;\na: ret;", "label", "a"),
        (".reg .b32 a;\n.reg .f32 a;", "register", "a"),
        (".reg .b32 %r<3>;\n.reg .b32 %r2;", "register", "%r2"),
        (".shared .b32 s;\n.shared .b32 s;", "variable", "s"),
        ("\n.shared .b32 p;", "variable", "p"),
    ];
    for (body, what, name) in cases {
        let error = refused_body(body);
        assert_eq!(error.kind, ParseErrorKind::Duplicate { what, name: name.into() }, "{body}");
        assert_eq!(error.line, 2);
    }
    let twice = ".version 8.0 .target sm_80 .entry k() { ret; } .entry k() { ret; }";
    assert!(matches!(refused(twice).kind, ParseErrorKind::Duplicate { .. }));
    let twice = ".version 8.0 .target sm_80 .entry k(.param .u32 a, .param .u32 a) { ret; }";
    assert!(matches!(refused(twice).kind, ParseErrorKind::Duplicate { .. }));
}

#[test]
fn functions_and_calls() {
    for (text, line) in [
        (".version 8.0\n.target sm_80\n.func f() { ret; }", 3),
        (".version 8.0\n.target sm_80\n.visible .func (.param .b32 r) f() { ret; }", 3),
        (
            ".version 8.0\n.target sm_80\n\n.extern .func (.param .b32 r) vprintf (.param .b64 a)\n;",
            4,
        ),
        (&module_of("{\n.param .b64 param0;\ncall.uni f, (param0);\n}"), 7),
        (&module_of("ret;\ncall.uni f;"), 7),
        (&module_of(".reg .b32 i;\nbrx.idx i, table;"), 7),
        (&module_of("table: .branchtargets a, b;"), 6),
    ] {
        let error = refused(text);
        assert!(matches!(error.kind, ParseErrorKind::Unsupported(_)), "{text}: {error}");
        assert!(error.to_string().contains("not supported"), "{error}");
        assert_eq!(error.line, line, "{text}: {error}");
    }
}

#[test]
fn grammar() {
    for (body, expected) in [
        ("ret", "an operand"),
        (".reg .b32 a; mov.u32 a, ;", "an operand"),
        (".reg .b32 a; mov.u32 a 1;", "`,` or `;`"),
        (".reg .b32 a; mov.u32 a, {a, {a}};", "an operand"),
        (".reg .b32 a; ld.u32 a, [a+];", "an offset in bytes"),
        (".reg .b32 a; ld.u32 a, [a;", "`]`"),
        (".reg .b32 a; mov.u32 a, 1+1;", "`,` or `;`"),
        (".reg .b32 a; mov.u32 a|1, 1;", "a register or `_` after `|`"),
        (".reg .b32 a<;", "how many registers"),
        (".reg b32 a;", "the type of a register"),
        ("@ bra x;", ""),
        ("@! ;", "the predicate of a guard"),
        ("bra 5;", "the label to branch to"),
        ("%r1 = 5;", "an opcode"),
        (".loc 1 2;", "a column of the source"),
    ] {
        let error = refused_body(body);
        if !expected.is_empty() {
            assert!(error.to_string().contains(expected), "{body}: {error}");
        }
    }
}

#[test]
fn numbers_that_do_not_fit() {
    for body in [
        ".reg .b64 a; mov.u64 a, 18446744073709551616;",
        ".reg .b64 a; mov.f32 a, 0f12345;",
        ".reg .b32 %r<4000000000>;",
        ".reg .b32 %r<300000>;",
        ".shared .align 3 .b8 s[4];",
    ] {
        let error = refused_body(body);
        assert!(matches!(error.kind, ParseErrorKind::Number { .. }), "{body}: {error}");
    }
    for text in [
        ".version 8.0 .target sm_80 .entry k(.param .b8 a[40000]) { ret; }",
        ".version 8.0 .target sm_80 .const .b8 a[2] = {1, 2, 3};",
        ".version 8.0 .target sm_80 .const .f32 a = 99z;",
    ] {
        assert!(matches!(refused(text).kind, ParseErrorKind::Number { .. }), "{text}");
    }
    for text in [
        ".version 8.0 .target sm_80 .global .b8 a[4294967296][4294967296];",
        ".version 8.0 .target sm_80 .global .b8 a[4294967296] = {1};",
        ".version 8.0 .target sm_80 .global .b8 x; .global .u64 a = x;",
        ".version 8.0 .target sm_80 .extern .global .u64 a;",
        ".version 8.0 .target sm_80 .global .attribute(.managed) .u64 a;",
    ] {
        assert!(matches!(refused(text).kind, ParseErrorKind::Unsupported(_)), "{text}");
    }
}

#[test]
fn unknown_directives() {
    for text in [
        ".version 8.0 .target sm_80 .magic",
        ".version 8.0 .target sm_80 .global .b7 x;",
        ".version 8.0 .target sm_80 .entry k() .fast { ret; }",
        &module_of(".magic 5;"),
    ] {
        let error = refused(text);
        assert!(matches!(error.kind, ParseErrorKind::Directive { .. }), "{text}: {error}");
        assert!(error.to_string().contains("unknown directive"), "{error}");
    }
}

#[test]
fn a_report_shows_its_line() {
    let error = refused_body("ret;\n   mov.u32   %r9, 1;   // here\nret;");
    let words = "PTX line 2: undefined register %r9, at `mov.u32   %r9, 1;   // here`";
    assert_eq!(error.to_string(), words);
    let error = refused(&module_of(&("x".repeat(500) + " %r1;")));
    assert!(error.text.len() < 130 && error.text.ends_with("..."), "{}", error.text);
    assert_eq!(
        refused(".version 8.0 .target sm_80 \u{e9}").kind,
        ParseErrorKind::Character('\u{e9}')
    );
}
