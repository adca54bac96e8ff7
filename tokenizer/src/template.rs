//! Chat templates: a minijinja environment that behaves as the Jinja2 one of transformers' apply_chat_template
//! (transformers/utils/chat_template_utils.py), and the sentence that says where a template failed.
use std::error::Error as _;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use crate::json_dumps::tojson;
use crate::python_methods::call_method;

/// Work a template may do before it is stopped; the templates of published models use less than a hundredth.
const FUEL: u64 = 10_000_000;
/// For work that fuel does not count, such as walking sequences built of sequences.
const PATIENCE: Duration = Duration::from_secs(20);
/// Published templates have less than 64 KiB.
const LONGEST_SOURCE: usize = 256 << 10;
/// Parsing recurses at every operator of a chain, which for the longest source takes about half of this. Pages that
/// are not touched cost nothing.
const STACK: usize = 1 << 30;

/// Renders on a thread of its own, so that a hostile template exhausts neither the caller's stack nor its patience.
pub fn render(source: &str, context_json: &str) -> Result<String, String> {
    if source.len() > LONGEST_SOURCE {
        return Err(format!("{} bytes long, more than {LONGEST_SOURCE}", source.len()));
    }
    let (source, context_json) = (source.to_string(), context_json.to_string());
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let body = move || {
        crate::keep_panics_quiet();
        // The receiver is gone when its patience was over; then nobody needs the result.
        let _ = sender.send(render_here(&source, &context_json));
    };
    let thread = std::thread::Builder::new().name("template".to_string()).stack_size(STACK).spawn(body);
    let thread = thread.map_err(|e| format!("no thread to render it on: {e}"))?;
    match receiver.recv_timeout(PATIENCE) {
        Ok(result) => {
            let _ = thread.join();
            result
        }
        Err(RecvTimeoutError::Timeout) => Err("does not come to an end".to_string()),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => Err("the template library gave up".to_string()),
        },
    }
}

fn render_here(source: &str, context_json: &str) -> Result<String, String> {
    let context: Value = serde_json::from_str(context_json).map_err(|e| format!("context: {e}"))?;
    if context.kind() != ValueKind::Map {
        return Err("context: not a JSON object".to_string());
    }
    let source = without_generation_tags(source);
    let environment = environment().map_err(|e| sentence(&e))?;
    let template = environment.template_from_str(&source).map_err(|e| sentence(&e))?;
    template.render(context).map_err(|e| sentence(&e))
}

fn environment<'source>() -> Result<Environment<'source>, Error> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(call_method);
    environment.add_filter("tojson", tojson);
    environment.add_filter("int", to_int);
    environment.add_filter("float", to_float);
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", is_sequence);
    environment.add_test("callable", is_callable);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    Ok(environment)
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

// Jinja2's tests ask what Python can do with the value: strings and maps have a length and items, none has neither.
fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

fn is_sequence(value: &Value) -> bool {
    let kind = value.kind();
    matches!(kind, ValueKind::Seq | ValueKind::Map | ValueKind::String | ValueKind::Undefined)
}

fn is_callable(value: &Value) -> bool {
    value.kind() == ValueKind::Plain
}

/// Jinja2's `int` and `float` give their default for text that is no number.
fn to_int(
    state: &State,
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let named: Option<Value> = kwargs.get("default")?;
    let fallback = default.or(named).unwrap_or_else(|| Value::from(0));
    Ok(minijinja::filters::int(state, value, Some(fallback.clone()), base, kwargs).unwrap_or(fallback))
}

fn to_float(value: &Value, default: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let named: Option<Value> = kwargs.get("default")?;
    kwargs.assert_all_used()?;
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(number.map(Value::from).or(default).or(named).unwrap_or_else(|| Value::from(0.0)))
}

/// Local time in the format of C's strftime, which is what Python's datetime.strftime calls.
fn strftime_now(format: &str) -> Result<String, Error> {
    let format = std::ffi::CString::new(format)
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "strftime_now: the format has a zero byte"))?;
    let mut buffer = [0u8; 1024];
    // SAFETY: the buffer's size is given, the other pointers are to live objects.
    let size = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut parts: libc::tm = std::mem::zeroed();
        libc::localtime_r(&now, &mut parts);
        libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), format.as_ptr(), &parts)
    };
    Ok(String::from_utf8_lossy(&buffer[..size]).into_owned())
}

/// `{% generation %}` marks the assistant's tokens for training and renders its body as it is; a `with` block does
/// that too, with the same scope. Line numbers stay.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let Some(end) = rest.find("%}") else { break };
        let (tag, after) = rest.split_at(end + 2);
        match tag[2..end].trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+') {
            "generation" => out.push_str(&tag.replace("generation", "with")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endwith")),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// "line 3: syntax error: unexpected end of input", with the causes that the library keeps behind the error.
fn sentence(error: &Error) -> String {
    let mut line = error.line();
    let mut text = describe(error);
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(inner) = cause.downcast_ref::<Error>() {
            line = inner.line().or(line);
            text = describe(inner);
        } else {
            text = format!("{text}: {cause}");
        }
        source = cause.source();
    }
    match line {
        Some(line) => format!("line {line}: {text}"),
        None => text,
    }
}

fn describe(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "does not come to an end".to_string(),
        (ErrorKind::InvalidOperation, Some(detail)) => detail.to_string(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}
