//! Methods that Python has on strings, lists and dictionaries and that chat templates call.
//! minijinja-contrib has most; here are the others, and those whose idea of white space differs from Python's.
use minijinja::value::{from_args, Kwargs, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

pub fn call_method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        if let Some(result) = string_method(text, method, args)? {
            return Ok(result);
        }
    } else if method == "index" && value.kind() == ValueKind::Seq {
        let (what,): (&Value,) = from_args(args)?;
        let position = value.try_iter()?.position(|item| item == *what);
        return position.map(Value::from).ok_or_else(|| not_found("list.index"));
    }
    unknown_method_callback(state, value, method, args)
}

/// str.isspace: Unicode White_Space and the four ASCII separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn string_method(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "strip" | "lstrip" | "rstrip" => {
            let (characters,): (Option<&str>,) = from_args(args)?;
            Value::from(strip(text, characters, method != "rstrip", method != "lstrip"))
        }
        "split" | "rsplit" => {
            let (separator, limit, kwargs): (Option<&str>, Option<i64>, Kwargs) = from_args(args)?;
            let named: (Option<&str>, Option<i64>) = (kwargs.get("sep")?, kwargs.get("maxsplit")?);
            kwargs.assert_all_used()?;
            split(text, separator.or(named.0), limit.or(named.1).unwrap_or(-1), method == "rsplit")?
        }
        "splitlines" => {
            let (keep_ends,): (Option<bool>,) = from_args(args)?;
            split_lines(text, keep_ends.unwrap_or(false))
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            partition(text, separator, method == "rpartition")
        }
        "index" | "rindex" => {
            let (what,): (&str,) = from_args(args)?;
            let offset = if method == "index" { text.find(what) } else { text.rfind(what) };
            let offset = offset.ok_or_else(|| not_found("str.index"))?;
            Value::from(text[..offset].chars().count())
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = match text.strip_prefix(['+', '-']) {
                Some(digits) => text.split_at(text.len() - digits.len()),
                None => ("", text),
            };
            let missing = bounded(width)?.saturating_sub(text.chars().count());
            Value::from(format!("{sign}{}{digits}", "0".repeat(missing)))
        }
        "ljust" | "rjust" => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            let missing = bounded(width)?.saturating_sub(text.chars().count());
            let padding = fill.unwrap_or(" ").repeat(missing);
            Value::from(if method == "ljust" { format!("{text}{padding}") } else { format!("{padding}{text}") })
        }
        "casefold" => {
            let () = from_args(args)?;
            Value::from(text.to_lowercase())
        }
        "swapcase" => {
            let () = from_args(args)?;
            let swap = |c: char| -> String {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            };
            Value::from(text.chars().map(swap).collect::<String>())
        }
        _ => return Ok(None),
    }))
}

fn not_found(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{what}: not found"))
}

fn bounded(width: usize) -> Result<usize, Error> {
    if width > 1 << 20 {
        return Err(Error::new(ErrorKind::InvalidOperation, "a padded width above 1048576 is refused"));
    }
    Ok(width)
}

fn strip<'a>(text: &'a str, characters: Option<&str>, left: bool, right: bool) -> &'a str {
    let drop = |c: char| characters.map_or_else(|| is_space(c), |set| set.contains(c));
    let text = if left { text.trim_start_matches(drop) } else { text };
    if right {
        text.trim_end_matches(drop)
    } else {
        text
    }
}

/// `limit` below 0: no limit. From the right, the limit leaves the rest at the left.
fn split(text: &str, separator: Option<&str>, limit: i64, from_right: bool) -> Result<Value, Error> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX - 1);
    let parts: Vec<&str> = match separator {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "str.split: empty separator")),
        Some(separator) if from_right => {
            let mut parts: Vec<&str> = text.rsplitn(limit + 1, separator).collect();
            parts.reverse();
            parts
        }
        Some(separator) => text.splitn(limit + 1, separator).collect(),
        None => split_space(text, limit, from_right),
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

fn split_space(text: &str, limit: usize, from_right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = strip(text, None, !from_right, from_right);
    while !rest.is_empty() {
        let at = if from_right {
            rest.char_indices().rev().find(|(_, c)| is_space(*c)).map(|(i, c)| (i + c.len_utf8(), i))
        } else {
            rest.find(is_space).map(|i| (i, i))
        };
        match at.filter(|_| parts.len() < limit) {
            Some((start, _)) if from_right => {
                parts.push(&rest[start..]);
                rest = strip(&rest[..start], None, false, true);
            }
            Some((end, _)) => {
                parts.push(&rest[..end]);
                rest = strip(&rest[end..], None, true, false);
            }
            None => {
                parts.push(rest);
                rest = "";
            }
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}

fn split_lines(text: &str, keep_ends: bool) -> Value {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(is_line_end).unwrap_or(rest.len());
        let ending = match rest[end..].chars().next() {
            Some('\r') if rest[end..].starts_with("\r\n") => 2,
            Some(c) => c.len_utf8(),
            None => 0,
        };
        lines.push(Value::from(&rest[..if keep_ends { end + ending } else { end }]));
        rest = &rest[end + ending..];
    }
    Value::from(lines)
}

fn partition(text: &str, separator: &str, from_right: bool) -> Value {
    let found = if from_right { text.rsplit_once(separator) } else { text.split_once(separator) };
    let parts = match found {
        Some((before, after)) => [before, separator, after],
        None if from_right => ["", "", text],
        None => [text, "", ""],
    };
    Value::from(Tuple::from(parts.map(Value::from)))
}
