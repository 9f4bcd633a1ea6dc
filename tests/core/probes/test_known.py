"""What is known without the language model, block by block."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ta_assets.core.crossfit.spectrum import prepare
from ta_assets.core.probes.known import SHORT, known_blocks, normalised_text, support_transforms
from tests.core.made_traces import made_rows


def test_numbers_are_one_sign() -> None:
    found = normalised_text(["so 12 is 7", "so 5 is 1234", "no number here", "nor here at all"])
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)
    assert np.abs(found[0] - found[2]).max() > 0.1


def test_the_context_of_a_sentence_is_the_text_of_the_one_before_in_its_own_problem() -> None:
    rows = made_rows(3, 12)
    blocks = known_blocks(rows)
    text, context = blocks["text_normalised"], blocks["text_context"]
    first = rows["chunk_idx"].to_numpy() == 0
    assert np.all(context[first] == 0)
    np.testing.assert_array_equal(context[~first], text[np.flatnonzero(~first) - 1])


def test_a_sentence_behind_a_gap_has_no_context() -> None:
    rows = made_rows(2, 12)
    rows = rows.take(np.flatnonzero(rows["chunk_idx"] != 5)).reset_index(drop=True)
    context = known_blocks(rows)["text_context"]
    assert np.all(context[rows["chunk_idx"].to_numpy() == 6] == 0)


def test_words_that_are_the_same_everywhere_are_no_features_but_rounding() -> None:
    rows = made_rows(6, 12)  # every text is "step # is #"
    assert np.all(prepare(known_blocks(rows)["text_normalised"], rows["problem_id"].to_numpy(), scaled=False) == 0)


def test_only_short_traces_have_a_column_for_each_index() -> None:
    assert known_blocks(made_rows(2, SHORT))["index"].shape == (2 * SHORT, SHORT)
    assert "index" not in known_blocks(made_rows(2, SHORT + 1))


def test_transforms_of_support_need_every_count() -> None:
    rows = made_rows(2, 12)
    found = support_transforms(rows)
    assert found is not None
    assert found.shape == (24, 5)
    assert np.isfinite(found).all()
    assert support_transforms(rows.assign(n_different=np.nan)) is None
    assert support_transforms(pd.DataFrame(rows.drop(columns="n_different"))) is None
