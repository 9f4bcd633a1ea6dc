"""Rules that compare what is stored with the texts it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from ta_checks.rules.vectors.activations_match_text import activations_match_text
from ta_checks.rules.vectors.fresh_vectors import Compared
from ta_checks.rules.vectors.span_integrity import span_integrity
from ta_checks.verdict import Verdict
from ta_resources.language_model.tokenizing import AlignedTrace, TraceTokenizer

SENTENCES = ["So the answer is 4.", "Wait,\n let me check.", "x = 1"]
KEYS = [(330, 0), (330, 1), (1591, 0)]


def test_spans_that_decode_to_their_sentences_pass() -> None:
    decoded = [" So the answer is 4.", "Wait, let  me check.\n", ". X = 1)"]
    verdict = span_integrity(decoded, SENTENCES, KEYS)
    assert (verdict.status, verdict.observed, verdict.n) == ("passed", 1.0, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param("", id="nothing"),
        pytest.param("S", id="one letter of it"),
        pytest.param("the answer is 4.", id="first token lost"),
        pytest.param(SENTENCES[1], id="another sentence"),
        pytest.param(" ".join(SENTENCES), id="the whole trace"),
    ],
)
def test_a_span_that_decodes_to_something_else_fails(wrong: str) -> None:
    verdict = span_integrity([wrong, *SENTENCES[1:]], SENTENCES, KEYS)
    assert (verdict.status, verdict.observed) == ("failed", pytest.approx(2 / 3))
    assert verdict.offenders[0].startswith("problem 330, sentence 0")


NORMALIZED = ["Hm, so x\u00b2 is 9\u2026 fine.", "The \ufb01rst root is 3.", "Cafe\u0301 na\u00efve \U0001f600 end."]


def normalizing(normalizer: Any) -> TraceTokenizer:
    """A byte-pair tokenizer in the manner of SentencePiece that reads a text through a normalizer."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    seen = [one for one in NORMALIZED for _ in range(9)]
    trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=["<unk>"], limit_alphabet=30, show_progress=False)
    tokenizer.train_from_iterator(seen, trainer)
    return TraceTokenizer(tokenizer)


NORMALIZERS = [
    pytest.param(normalizers.NFKC(), id="compatibility forms"),
    pytest.param(normalizers.NFD(), id="decomposed"),
    pytest.param(normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]), id="no accents"),
    pytest.param(normalizers.Replace("\u2026", " (dots) "), id="a replacement of its own"),
    pytest.param(normalizers.Lowercase(), id="lower case"),
]


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_right_spans_of_a_normalizing_tokenizer_pass_and_those_off_by_one_fail(normalizer: Any) -> None:
    reader = normalizing(normalizer)
    aligned = reader.align("Q. " + " ".join(NORMALIZED), NORMALIZED)
    read = reader.as_read(NORMALIZED)
    keys = [(1, index) for index in range(len(NORMALIZED))]
    right = reader.decode_spans(aligned.text, aligned.token_spans)
    assert span_integrity(right, NORMALIZED, keys, as_read=read, narrower=narrower(reader, aligned)).passed
    for shift in (np.array([1, 1]), np.array([1, 0]), np.array([0, -1])):
        wrong = reader.decode_spans(aligned.text, aligned.token_spans + shift)
        verdict = span_integrity(wrong, NORMALIZED, keys, as_read=read)
        assert (verdict.status, len(verdict.offenders)) == ("failed", len(NORMALIZED)), (shift, wrong)


def narrower(reader: TraceTokenizer, aligned: AlignedTrace) -> list[tuple[str, str]]:
    """What the tokens of each sentence but the first, and but the last, decode to."""
    later = reader.decode_spans(aligned.text, aligned.token_spans + np.array([1, 0]))
    sooner = reader.decode_spans(aligned.text, aligned.token_spans + np.array([0, -1]))
    return list(zip(later, sooner, strict=True))


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("shift", [[-1, 0], [0, 1]])
def test_a_span_with_one_token_of_its_neighbour_fails(normalizer: Any, shift: list[int]) -> None:
    reader = normalizing(normalizer)
    aligned = reader.align("Q. " + " ".join(NORMALIZED), NORMALIZED)
    wide = AlignedTrace(aligned.text, aligned.ids, aligned.token_spans + np.array(shift))
    wrong = reader.decode_spans(wide.text, wide.token_spans)
    read, keys = reader.as_read(NORMALIZED), [(1, index) for index in range(len(NORMALIZED))]
    verdict = span_integrity(wrong, NORMALIZED, keys, as_read=read, narrower=narrower(reader, wide))
    # behind the last sentence there is no token
    assert (verdict.status, verdict.n_offenders) == ("failed", len(NORMALIZED) - (shift == [0, 1]))


def test_whitespace_at_the_ends_of_a_sentence_may_lie_in_a_token_of_its_neighbour() -> None:
    sentences, keys = ["\nFour.", "Five."], [(1, 0), (1, 1)]
    decoded, ends = [".\nFour.", "Five."], [("Four.", ".\nFour"), (".", "Five")]
    assert span_integrity(decoded, sentences, keys, narrower=ends).passed
    assert not span_integrity(decoded, ["Four.", "Five."], keys, narrower=ends).passed


def test_compatibility_forms_are_no_fault_of_a_span_also_where_nothing_else_is_known() -> None:
    decoded = ["Hm, so x2 is 9... fine.", "The first root is 3.", "Caf\u00e9 na\u00efve \U0001f600 end."]
    assert span_integrity(decoded, NORMALIZED, KEYS).passed
    assert not span_integrity(["so x2 is 9... fine.", *decoded[1:]], NORMALIZED, KEYS).passed


def test_a_sentence_that_decodes_to_nothing_fails() -> None:
    assert not span_integrity(["", *SENTENCES[1:]], SENTENCES, KEYS, as_read=["", *SENTENCES[1:]]).passed


def test_no_sentences_or_rows_that_do_not_fit_fail() -> None:
    assert span_integrity([], [], []).status == "failed"
    assert span_integrity(SENTENCES, SENTENCES, KEYS[:2]).status == "failed"


def test_a_lower_minimum_is_the_callers_choice() -> None:
    assert span_integrity(["", *SENTENCES[1:]], SENTENCES, KEYS, minimum=0.5).passed


def vectors(n: int = 40, d: int = 64, seed: int = 0) -> np.ndarray:
    """[n, d] float64 rows with much in common, as in a residual stream: their relative difference is about 0.4."""
    rng = np.random.default_rng(seed)
    return 3.5 * np.random.default_rng(99).normal(size=d) + rng.normal(size=(n, d))


def compare(stored: np.ndarray, fresh: np.ndarray, dtype: str = "float16", compute: str = "auto") -> Verdict:
    return judged(list(stored), list(fresh), dtype, compute)


def judged(
    stored: Sequence[np.ndarray], fresh: Sequence[np.ndarray | None], dtype: str = "float16", compute: str = "auto"
) -> Verdict:
    pairs = enumerate(zip(stored, fresh, strict=True))
    rows = (Compared(f"problem 330, sentence {row}", *pair) for row, pair in pairs)
    return activations_match_text(rows, storage_dtype=dtype, compute_dtype=compute)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("compute", ["auto", "float32"])
def test_the_same_vectors_match_after_rounding(dtype: str, compute: str) -> None:
    fresh = vectors()
    verdict = compare(fresh.astype(dtype), fresh.astype(np.float32), dtype, compute)
    assert (verdict.status, verdict.n) == ("passed", 40)


def test_drift_of_another_device_matches() -> None:
    fresh = vectors()
    noise = np.random.default_rng(1).normal(size=fresh.shape) * np.linalg.norm(fresh, axis=1, keepdims=True)
    assert compare((fresh + 0.008 * noise / 8).astype(np.float16), fresh).passed


def swap(stored: np.ndarray) -> np.ndarray:
    stored[[3, 4]] = stored[[4, 3]]
    return stored


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(lambda stored: np.random.default_rng(0).permutation(stored), id="shuffled rows"),
        pytest.param(swap, id="two rows swapped"),
        pytest.param(lambda stored: vectors(seed=5), id="another problem"),
        pytest.param(lambda stored: np.roll(stored, 1, axis=0), id="off by one"),
        pytest.param(lambda stored: 1.05 * stored, id="scaled by a norm"),
        pytest.param(lambda stored: stored + 0.2 * vectors(seed=7), id="another block"),
        pytest.param(lambda stored: np.where(np.arange(40)[:, None] == 2, np.nan, stored), id="NaN in a row"),
        pytest.param(np.zeros_like, id="zeros"),
    ],
)
def test_vectors_that_are_not_those_of_their_text_fail(plant) -> None:
    verdict = compare(plant(vectors()), vectors())
    assert verdict.status == "failed"
    assert verdict.offenders


def test_the_offenders_are_the_rows_worst_first() -> None:
    stored = vectors()
    stored[7] *= 1.5
    stored[2] *= 1.2
    verdict = compare(stored, vectors())
    assert verdict.offenders == ("problem 330, sentence 7: 0.5", "problem 330, sentence 2: 0.2")


def test_the_tokens_of_a_sentence_are_compared_in_their_order() -> None:
    fresh = [vectors(n, seed=n) for n in (3, 5, 2)]
    stored = [tokens.astype(np.float16) for tokens in fresh]
    assert judged(stored, fresh).passed
    stored[1] = stored[1][::-1]  # the mean over the sentence stays
    found = judged(stored, fresh)
    assert found.status == "failed"
    assert [offender.split(":")[0] for offender in found.offenders] == ["problem 330, sentence 1"]
    stored[1] = stored[1][:4]
    assert judged(stored, fresh).offenders == ("problem 330, sentence 1: inf",)


def test_another_shape_a_row_that_cannot_be_computed_or_nothing_to_compare_fails() -> None:
    assert compare(vectors(d=32), vectors()).status == "failed"
    assert compare(np.zeros((0, 4)), np.zeros((0, 4))).status == "failed"
    found = judged(list(vectors(n=2).astype(np.float16)), [vectors(n=2)[0], None])
    assert (found.status, found.offenders) == ("failed", ("problem 330, sentence 1: inf",))


def test_an_unknown_dtype_is_an_error() -> None:
    with pytest.raises(ValueError, match="int8"):
        compare(vectors(), vectors(), "int8")
