//! The number that an answer comes to.

/// What stands before the number.
const MARK: &str = "#### ";

/// The number after the first `#### ` that one follows, without its commas: the data set's own
/// rule, the regular expression `#### (\-?[0-9\.\,]+)`. `None` if there is none.
pub fn answer_of(text: &str) -> Option<String> {
    let (number, _) = number(text)?;
    Some(number.replace(',', ""))
}

/// Whether more text cannot change [`answer_of`]: something stands behind the number.
pub(super) fn is_settled(text: &str) -> bool {
    number(text).is_some_and(|(_, rest)| !rest.is_empty())
}

/// The number as it stands in the text, and what follows it.
fn number(text: &str) -> Option<(&str, &str)> {
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        rest = &rest[at + MARK.len()..];
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let part = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
        let end = digits.find(|c| !part(c)).unwrap_or(digits.len());
        if end > 0 {
            let end = rest.len() - digits.len() + end;
            return Some(rest.split_at(end));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_after_the_mark() {
        let answer = |text: &str| answer_of(text).unwrap_or_else(|| "none".to_owned());
        assert_eq!(answer("He has 3+4 = <<3+4=7>>7.\n#### 7"), "7");
        assert_eq!(answer("#### 1,234,567 dollars"), "1234567");
        assert_eq!(answer("#### -5\n#### 6"), "-5");
        assert_eq!(answer("#### 0.50"), "0.50");
        // As the regular expression: a mark without a number is passed over, a full stop counts.
        assert_eq!(answer("#### $5\n#### 8."), "8.");
        assert_eq!(answer("##### 12"), "12");
        for none in ["", "7", "####7", "#### ", "#### -", "#### x", "###  5"] {
            assert_eq!(answer(none), "none", "{none:?}");
        }
    }

    #[test]
    fn a_number_is_settled_once_something_follows() {
        for (text, settled) in
            [("#### 1", false), ("#### 1,2", false), ("#### 1\n", true), ("#### \n", false)]
        {
            assert_eq!(is_settled(text), settled, "{text:?}");
        }
    }
}
