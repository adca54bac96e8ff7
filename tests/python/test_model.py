"""Texts and logits as arrays, against the goldens that transformers made."""
import json
import pathlib
import shutil
import threading
import time

import numpy as np
import pytest

import strata


def golden(path: pathlib.Path) -> tuple[list[list[int]], list[np.ndarray[tuple[int, int], np.dtype[np.float32]]]]:
    about = json.loads((path / "golden.json").read_text())
    values = np.fromfile(path / "logits.f32", np.float32)
    logits = []
    for rows, cols in about["shapes"]:
        logits.append(values[: rows * cols].reshape(rows, cols))
        values = values[rows * cols :]
    return about["ids"], logits


def test_logits_are_those_of_transformers(model: strata.Model, path: pathlib.Path) -> None:
    for ids, expected in zip(*golden(path)):
        np.testing.assert_allclose(model.logits(ids), expected, atol=2e-4)


def test_sequences_of_a_batch_have_the_logits_that_each_has_alone(model: strata.Model) -> None:
    ids = np.arange(24, dtype=np.uint32).reshape(3, 8)
    together = model.logits(ids)
    assert together.shape == (3, 8, model.vocab_size) and together.dtype == np.float32
    for row, logits in zip(ids, together):
        np.testing.assert_allclose(model.logits(row), logits, atol=1e-4)


def test_arrays_own_their_values_and_nothing_is_copied_again(model: strata.Model) -> None:
    logits = model.logits([1, 2, 3])
    assert logits.flags.c_contiguous and logits.flags.writeable and logits.base is not None
    assert model.logits([]).shape == (0, model.vocab_size)


def test_ids_are_checked(model: strata.Model) -> None:
    with pytest.raises(strata.Error, match="the token 80 is in the text, but the embedding has 80 rows"):
        model.logits([model.vocab_size])
    with pytest.raises(ValueError, match="from 0 to"):
        model.logits([-1])
    with pytest.raises(TypeError, match="expected integers"):
        model.logits([0.5])
    with pytest.raises(ValueError, match="3 dimensions"):
        model.logits(np.zeros((1, 1, 1), int))


def test_a_text_comes_back_from_its_ids(model: strata.Model) -> None:
    ids = model.tokenize("THE CAT")
    assert ids.dtype == np.uint32 and ids.shape == (7,)
    assert model.detokenize(ids) == "THE CAT"
    assert model.detokenize([]) == ""


def test_a_model_is_described(model: strata.Model, path: pathlib.Path) -> None:
    assert (model.path, model.model_type, model.blocks) == (path, "llama", 2)
    assert len(model.fingerprint) == 16
    first = model.linears[0]
    assert (first["module"], first["role"], first["block"], first["codec"]) == ("model.layers.0.self_attn.q_proj", "q", 0, None)
    assert (first["rows"], first["cols"]) == (32, 32)
    assert "llama" in repr(model)


def test_log_likelihoods_are_those_of_the_logits(model: strata.Model) -> None:
    context, answers = [3, 1, 4, 1, 5], [[9, 2, 6], [5], []]
    found = model.log_likelihoods(context, answers)
    for answer, (log_likelihood, greedy) in zip(answers, found):
        logits = model.logits(context + answer)[len(context) - 1 : -1].astype(np.float64)
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        assert log_likelihood == pytest.approx(sum(row[token] for row, token in zip(logs, answer)), abs=1e-4)
        assert greedy == (logits.argmax(-1).tolist() == answer)


def test_a_text_goes_on_to_where_it_is_told_to_end(model: strata.Model) -> None:
    text = model.generate("THE CAT", max_tokens=12)
    assert len(text) == 12 and text == model.generate(model.tokenize("THE CAT"), max_tokens=12)
    best = model.logits(model.tokenize("THE CAT"))[-1].argmax()
    assert text[0] == model.detokenize([best])
    assert model.generate("THE CAT", max_tokens=12, until=[text[4:7]]) == text[: text.find(text[4:7])]
    assert model.generate("THE CAT", max_tokens=3, temperature=1.0, seed=1) == model.generate(
        "THE CAT", max_tokens=3, temperature=1.0, seed=1)
    with pytest.raises(strata.Error, match="the prompt is empty"):
        model.generate([])


def test_a_conversation_becomes_a_prompt(path: pathlib.Path, tmp_path: pathlib.Path, model: strata.Model) -> None:
    folder = tmp_path / "chat"
    shutil.copytree(path, folder)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
                                                "{% if add_generation_prompt %}[assistant]{% endif %}")
    messages = [{"role": "user", "content": "HELLO"}]
    assert strata.open(folder).render_chat(messages) == "[user]HELLO[assistant]"
    assert strata.open(folder).render_chat(messages, add_generation_prompt=False) == "[user]HELLO"
    with pytest.raises(strata.Error, match="has no chat template"):
        model.render_chat(messages)


def test_what_cannot_be_opened_is_an_error_with_a_sentence(tmp_path: pathlib.Path, path: pathlib.Path) -> None:
    with pytest.raises(strata.Error, match="nowhere"):
        strata.open(tmp_path / "nowhere")
    with pytest.raises(strata.UsageError, match="expected f32 or bf16"):
        strata.open(path, "f16")  # type: ignore[arg-type]
    assert issubclass(strata.UsageError, strata.Error)
    assert strata.Error.__module__ == "strata"


def test_other_threads_run_while_the_engine_does(model: strata.Model) -> None:
    ids = np.tile(np.arange(32, dtype=np.uint32), (64, 1))
    counted, ended = 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not ended.is_set():
            counted += 1
            time.sleep(0)

    other = threading.Thread(target=count)
    other.start()
    model.logits(ids)  # makes the engine, and its threads
    before = counted
    began = time.monotonic()
    while time.monotonic() < began + 0.2:
        model.logits(ids)
    during = counted - before
    ended.set()
    other.join()
    assert during > 10


def test_models_of_two_threads_do_not_disturb_each_other(path: pathlib.Path) -> None:
    shared = strata.open(path)
    expected = shared.logits([1, 2, 3])
    wrong: list[int] = []

    def look(number: int) -> None:
        for _ in range(20):
            if not np.array_equal(shared.logits([1, 2, 3]), expected):
                wrong.append(number)

    threads = [threading.Thread(target=look, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_number_of_threads_can_be_set() -> None:
    strata.set_threads(1)
    assert strata.threads() == 1
    strata.set_threads(0)
    assert strata.threads() >= 1
