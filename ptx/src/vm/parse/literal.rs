//! Numbers of PTX.

/// A number without its sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Literal {
    /// Decimal, `0x`, `0b` or octal; an optional `U` follows.
    Integer(u64),
    /// `0f` and eight hexadecimal digits.
    F32(u32),
    /// `0d` and sixteen hexadecimal digits, or a decimal fraction.
    F64(u64),
}

/// Reads a number; `None` for what is none or does not fit 64 bits.
pub fn literal(text: &str) -> Option<Literal> {
    match text.as_bytes() {
        [b'0', b'f' | b'F', digits @ ..] if digits.len() == 8 => {
            u32::from_str_radix(hexadecimal(digits)?, 16).ok().map(Literal::F32)
        }
        [b'0', b'd' | b'D', digits @ ..] if digits.len() == 16 => {
            u64::from_str_radix(hexadecimal(digits)?, 16).ok().map(Literal::F64)
        }
        bytes => match integer(text) {
            Some(value) => Some(Literal::Integer(value)),
            None if bytes.iter().all(|b| b"0123456789.eE+-".contains(b))
                && bytes.iter().any(|b| b".eE".contains(b)) =>
            {
                text.parse::<f64>().ok().map(|value| Literal::F64(value.to_bits()))
            }
            None => None,
        },
    }
}

/// Reads an integer; `None` for what is none or does not fit 64 bits.
pub fn integer(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('U').unwrap_or(text);
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    // `from_str_radix` would take a sign.
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { u64::from_str_radix(digits, radix).ok() } else { None }
}

fn hexadecimal(digits: &[u8]) -> Option<&str> {
    digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
    std::str::from_utf8(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_form() {
        let cases = [
            ("0", Literal::Integer(0)),
            ("57", Literal::Integer(57)),
            ("7U", Literal::Integer(7)),
            ("0x1F", Literal::Integer(31)),
            ("0XffU", Literal::Integer(255)),
            ("017", Literal::Integer(15)),
            ("0b101", Literal::Integer(5)),
            ("18446744073709551615", Literal::Integer(u64::MAX)),
            ("0f3F800000", Literal::F32(0x3F80_0000)),
            ("0Fff800000", Literal::F32(0xFF80_0000)),
            ("0d3FF0000000000000", Literal::F64(1f64.to_bits())),
            ("1.5", Literal::F64(1.5f64.to_bits())),
            ("25e-1", Literal::F64(2.5f64.to_bits())),
        ];
        for (text, expected) in cases {
            assert_eq!(literal(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in
            ["18446744073709551616", "0x", "0xg", "0f123", "0f+1234567", "12ab", "1e", "09", "U"]
        {
            assert_eq!(literal(text), None, "{text}");
        }
    }
}
