//! The C interface declared in strata_tokenizer.h: pointers in, status and owned buffers out.
//! Every function catches panics, so a fault of a library on hostile input is an error and not the end of the program.
mod json_dumps;
mod python_methods;
mod template;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{c_char, c_int};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

use tokenizers::{AddedToken, Tokenizer};

const OK: c_int = 0;
const INPUT: c_int = 1;
const ABSENT: c_int = 2;

#[repr(C)]
pub struct StrataText {
    data: *mut u8,
    size: usize,
}

#[repr(C)]
pub struct StrataIds {
    data: *mut u32,
    size: usize,
}

/// Hands a vector to C. Empty ones become a null pointer, so there is nothing to release.
fn release<T>(items: Vec<T>) -> (*mut T, usize) {
    if items.is_empty() {
        return (std::ptr::null_mut(), 0);
    }
    let boxed = items.into_boxed_slice();
    let size = boxed.len();
    (Box::into_raw(boxed) as *mut T, size)
}

/// # Safety: the pair came from `release` and is not used again.
unsafe fn reclaim<T>(data: *mut T, size: usize) {
    if !data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(data, size)));
    }
}

impl From<Vec<u8>> for StrataText {
    fn from(bytes: Vec<u8>) -> Self {
        let (data, size) = release(bytes);
        StrataText { data, size }
    }
}

enum Failure {
    Input(String),
    Absent,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Failure::Input(message)
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics that `guard` catches off stderr; all others are reported as before.
fn quiet_guarded_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.with(Cell::get) {
                previous(info);
            }
        }));
    });
}

/// For a thread whose panics reach `guard` on another one.
pub(crate) fn keep_panics_quiet() {
    GUARDED.with(|guarded| guarded.set(true));
}

/// Runs `body`, turns its failure or panic into a status and a sentence.
/// # Safety: `error` is null or writable.
unsafe fn guard(error: *mut StrataText, body: impl FnOnce() -> Result<(), Failure>) -> c_int {
    quiet_guarded_panics();
    GUARDED.with(|guarded| guarded.set(true));
    let result = catch_unwind(AssertUnwindSafe(body));
    GUARDED.with(|guarded| guarded.set(false));
    let message = match result {
        Ok(Ok(())) => return OK,
        Ok(Err(Failure::Absent)) => return ABSENT,
        Ok(Err(Failure::Input(message))) => message,
        Err(payload) => {
            let text = payload
                .downcast_ref::<&str>()
                .map(|s| s.to_string())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "unknown".to_string());
            format!("the tokenizer library gave up: {text}")
        }
    };
    if !error.is_null() {
        error.write(message.into_bytes().into());
    }
    INPUT
}

/// # Safety: data points to `size` items, or size is 0.
unsafe fn view<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, size)
    }
}

/// # Safety: as `view`.
unsafe fn text_view<'a>(data: *const c_char, size: usize) -> Result<&'a str, Failure> {
    std::str::from_utf8(view(data as *const u8, size))
        .map_err(|e| Failure::Input(format!("not valid UTF-8 at byte {}", e.valid_up_to())))
}

/// # Safety: all functions below take pointers as strata_tokenizer.h describes them.
#[no_mangle]
pub unsafe extern "C" fn strata_tokenizer_create(
    json: *const c_char,
    size: usize,
    out: *mut *mut Tokenizer,
    error: *mut StrataText,
) -> c_int {
    guard(error, || {
        let mut tokenizer = Tokenizer::from_bytes(view(json as *const u8, size)).map_err(|e| e.to_string())?;
        // Limits of a training set-up that some files carry; text is never cut or filled up here.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
        out.write(Box::into_raw(Box::new(tokenizer)));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn strata_tokenizer_free(tokenizer: *mut Tokenizer) {
    if !tokenizer.is_null() {
        drop(Box::from_raw(tokenizer));
    }
}

#[no_mangle]
pub unsafe extern "C" fn strata_tokenizer_add_tokens(
    tokenizer: *mut Tokenizer,
    tokens_json: *const c_char,
    size: usize,
    keep: c_int,
    error: *mut StrataText,
) -> c_int {
    guard(error, || {
        let mut tokens: Vec<AddedToken> =
            serde_json::from_str(text_view(tokens_json, size)?).map_err(|e| e.to_string())?;
        if keep != 0 {
            let known = (*tokenizer).get_added_tokens_decoder();
            let known: HashMap<&str, &AddedToken> = known.values().map(|t| (t.content.as_str(), t)).collect();
            for token in &mut tokens {
                if let Some(&before) = known.get(token.content.as_str()) {
                    *token = AddedToken { special: before.special || token.special, ..before.clone() };
                }
            }
        }
        (*tokenizer).add_tokens(tokens).map_err(|e| Failure::Input(e.to_string()))?;
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn strata_tokenizer_added_tokens(
    tokenizer: *const Tokenizer,
    out: *mut StrataText,
    error: *mut StrataText,
) -> c_int {
    guard(error, || {
        let by_id: BTreeMap<u32, AddedToken> = (*tokenizer).get_added_tokens_decoder().into_iter().collect();
        let list: Vec<_> = by_id.iter().map(|(id, token)| (id, &token.content, token.special)).collect();
        out.write(serde_json::to_vec(&list).map_err(|e| e.to_string())?.into());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn strata_tokenizer_encode(
    tokenizer: *const Tokenizer,
    text: *const c_char,
    size: usize,
    add_special: c_int,
    out: *mut StrataIds,
    error: *mut StrataText,
) -> c_int {
    guard(error, || {
        let encoding = (*tokenizer).encode_fast(text_view(text, size)?, add_special != 0).map_err(|e| e.to_string())?;
        let (data, size) = release(encoding.get_ids().to_vec());
        out.write(StrataIds { data, size });
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn strata_tokenizer_decode(
    tokenizer: *const Tokenizer,
    ids: *const u32,
    count: usize,
    skip_special: c_int,
    out: *mut StrataText,
    error: *mut StrataText,
) -> c_int {
    guard(error, || {
        let text = (*tokenizer).decode(view(ids, count), skip_special != 0).map_err(|e| e.to_string())?;
        out.write(text.into_bytes().into());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn strata_tokenizer_vocab_size(tokenizer: *const Tokenizer) -> usize {
    (*tokenizer).get_vocab_size(true)
}

#[no_mangle]
pub unsafe extern "C" fn strata_tokenizer_token_to_id(
    tokenizer: *const Tokenizer,
    token: *const c_char,
    size: usize,
    out: *mut u32,
    error: *mut StrataText,
) -> c_int {
    guard(error, || {
        let id = (*tokenizer).token_to_id(text_view(token, size)?);
        out.write(id.ok_or(Failure::Absent)?);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn strata_tokenizer_id_to_token(
    tokenizer: *const Tokenizer,
    id: u32,
    out: *mut StrataText,
    error: *mut StrataText,
) -> c_int {
    guard(error, || {
        let token = (*tokenizer).id_to_token(id).ok_or(Failure::Absent)?;
        out.write(token.into_bytes().into());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn strata_template_render(
    source: *const c_char,
    source_size: usize,
    context_json: *const c_char,
    context_size: usize,
    out: *mut StrataText,
    error: *mut StrataText,
) -> c_int {
    guard(error, || {
        let text = template::render(text_view(source, source_size)?, text_view(context_json, context_size)?)?;
        out.write(text.into_bytes().into());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn strata_text_free(text: StrataText) {
    reclaim(text.data, text.size);
}

#[no_mangle]
pub unsafe extern "C" fn strata_ids_free(ids: StrataIds) {
    reclaim(ids.data, ids.size);
}
