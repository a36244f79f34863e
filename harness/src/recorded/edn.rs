//! EDN, as far as histories use it: <https://github.com/edn-format/edn>.

use std::borrow::Cow;
use std::fmt;

use super::RecordedError;

/// A value, and the line it began in, counted from one.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Item<'a> {
    pub(super) line: usize,
    pub(super) form: Form<'a>,
}

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Form<'a> {
    Nil,
    Int(i64),
    Text(Cow<'a, str>),
    /// Without its colon.
    Keyword(&'a str),
    /// A symbol, boolean, character or other number, as written. Histories need none of them.
    Other(&'a str),
    /// A list, vector or set.
    Sequence(Vec<Item<'a>>),
    Map(Vec<(Item<'a>, Item<'a>)>),
}

impl fmt::Display for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{:?}", start_of(text)),
            Self::Keyword(name) => write!(f, ":{}", start_of(name)),
            Self::Other(text) => write!(f, "`{}`", start_of(text)),
            Self::Sequence(items) => match items.as_slice() {
                [from, to] => write!(f, "[{} {}]", from.form, to.form),
                items => write!(f, "a sequence of {}", items.len()),
            },
            Self::Map(_) => f.write_str("a map"),
        }
    }
}

/// The first few characters of `text`.
pub(super) fn start_of(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// How deep values may lie in each other: enough for any history, too little for the stack to care.
const DEPTH_MAX: usize = 64;

/// Reads one value after the other.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Reads `text`, whose first line has this number.
    pub(super) fn new(text: &'a str, line: usize) -> Self {
        Self { text, at: 0, line, depth: 0 }
    }

    /// The next value before the bracket `close`, which it passes, or before the end if there is no
    /// such bracket; none where that is next.
    pub(super) fn next(&mut self, close: Option<char>) -> Result<Option<Item<'a>>, RecordedError> {
        self.skip_blank()?;
        match (self.peek(), close) {
            (None, None) => Ok(None),
            (None, Some(close)) => Err(self.cut_off(&format!("`{close}`"))),
            (Some(next), Some(close)) if next == close => {
                self.bump();
                Ok(None)
            }
            (Some(_), _) => self.item().map(Some),
        }
    }

    fn item(&mut self) -> Result<Item<'a>, RecordedError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let expected = format!("at most {DEPTH_MAX} values in each other");
            return Err(self.malformed("more", expected));
        }
        self.skip_blank()?;
        let line = self.line;
        let form = self.form()?;
        self.depth -= 1;
        Ok(Item { line, form })
    }

    fn form(&mut self) -> Result<Form<'a>, RecordedError> {
        match self.peek() {
            None => Err(self.cut_off("a value")),
            Some('[') => self.sequence(']'),
            Some('(') => self.sequence(')'),
            Some('{') => self.map(),
            Some('"') => self.string(),
            Some('#') => {
                self.bump();
                if self.peek() == Some('{') {
                    return self.sequence('}');
                }
                // A tag: what it makes of the value does not matter to a history.
                self.token();
                self.item().map(|item| item.form)
            }
            Some(close @ (']' | ')' | '}')) => {
                Err(self.malformed(&format!("`{close}`"), "a value".to_owned()))
            }
            Some(_) => self.atom(),
        }
    }

    fn sequence(&mut self, close: char) -> Result<Form<'a>, RecordedError> {
        self.bump();
        let mut items = Vec::new();
        while let Some(item) = self.next(Some(close))? {
            items.push(item);
        }
        Ok(Form::Sequence(items))
    }

    fn map(&mut self) -> Result<Form<'a>, RecordedError> {
        self.bump();
        let mut entries = Vec::new();
        while let Some(key) = self.next(Some('}'))? {
            let Some(value) = self.next(Some('}'))? else {
                return Err(self.malformed("`}`", format!("the value of {}", key.form)));
            };
            entries.push((key, value));
        }
        Ok(Form::Map(entries))
    }

    fn string(&mut self) -> Result<Form<'a>, RecordedError> {
        self.bump();
        let start = self.at;
        let mut unescaped: Option<String> = None;
        loop {
            let from = self.at;
            match self.bump() {
                None => return Err(self.cut_off("`\"`")),
                Some('"') => {
                    let raw = &self.text[start..from];
                    return Ok(Form::Text(unescaped.map_or(Cow::Borrowed(raw), Cow::Owned)));
                }
                Some('\\') => {
                    let known = unescaped.get_or_insert_with(|| self.text[start..from].to_owned());
                    let escaped = Self::escaped(self.text, &mut self.at);
                    match escaped {
                        Some(char) => known.push(char),
                        None => {
                            let expected = "`\\n`, `\\t`, `\\r`, `\\\\`, `\\\"` or `\\uXXXX`";
                            return Err(self.malformed("another escape", expected.to_owned()));
                        }
                    }
                }
                Some(other) => {
                    if let Some(text) = &mut unescaped {
                        text.push(other);
                    }
                }
            }
        }
    }

    /// The character that the escape after a backslash at `at` stands for; passes it.
    fn escaped(text: &str, at: &mut usize) -> Option<char> {
        let escape = text[*at..].chars().next()?;
        *at += escape.len_utf8();
        match escape {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            '\\' | '"' => Some(escape),
            'u' => {
                let digits = text.get(*at..*at + 4)?;
                let code = digits.bytes().all(|it| it.is_ascii_hexdigit()).then_some(digits)?;
                *at += 4;
                char::from_u32(u32::from_str_radix(code, 16).ok()?)
            }
            _ => None,
        }
    }

    fn atom(&mut self) -> Result<Form<'a>, RecordedError> {
        let token = if self.peek() == Some('\\') {
            // A character may be one that ends tokens elsewhere.
            let start = self.at;
            self.bump();
            self.bump();
            self.token();
            &self.text[start..self.at]
        } else {
            self.token()
        };
        if token == "nil" {
            return Ok(Form::Nil);
        }
        if let Some(name) = token.strip_prefix(':') {
            return Ok(Form::Keyword(name));
        }
        let digits = token.strip_prefix(['+', '-']).unwrap_or(token);
        let whole = token.strip_suffix('N').unwrap_or(token);
        let is_whole = whole.strip_prefix(['+', '-']).unwrap_or(whole);
        if !is_whole.is_empty() && is_whole.bytes().all(|byte| byte.is_ascii_digit()) {
            return whole.parse().map(Form::Int).map_err(|_| {
                let found = format!("`{}`", start_of(token));
                self.malformed(&found, "a whole number of at most 64 bits".to_owned())
            });
        }
        if digits.starts_with(|first: char| first.is_ascii_digit())
            && !digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./+-".contains(&byte))
        {
            let found = format!("`{}`", start_of(token));
            return Err(self.malformed(&found, "a number".to_owned()));
        }
        Ok(Form::Other(token))
    }

    /// Passes everything up to the next blank or bracket.
    fn token(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.find(|char| is_blank(char) || "()[]{}\";".contains(char));
        let token = &rest[..end.unwrap_or(rest.len())];
        self.at += token.len();
        token
    }

    /// Passes blanks, comments and what is discarded by `#_`.
    fn skip_blank(&mut self) -> Result<(), RecordedError> {
        loop {
            match self.peek() {
                Some(';') => {
                    let rest = &self.text[self.at..];
                    self.at += rest.find('\n').unwrap_or(rest.len());
                }
                Some(blank) if is_blank(blank) => {
                    self.bump();
                }
                Some('#') if self.text[self.at..].starts_with("#_") => {
                    self.at += 2;
                    self.item()?;
                }
                Some(_) | None => return Ok(()),
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        self.line += usize::from(next == '\n');
        Some(next)
    }

    fn cut_off(&self, expected: &str) -> RecordedError {
        self.malformed("the end", expected.to_owned())
    }

    fn malformed(&self, found: &str, expected: String) -> RecordedError {
        RecordedError::Malformed { line: self.line, found: found.to_owned(), expected }
    }
}

/// EDN counts commas among blanks.
fn is_blank(char: char) -> bool {
    char.is_whitespace() || char == ','
}
