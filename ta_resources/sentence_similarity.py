"""How alike two sentences are to an embedding model of the sentence-transformers library.

Belongs here: loading such a model, and cosines. Stays out: thresholds and labels (``ta_checks``), the probed language
model (``language_model``).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ta_assets.core.errors import InputError

BATCH = 64
PLAIN_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})
"""Modules whose only weights are the transformer's, which are read from safetensors; others may bring pickled ones."""


class SentenceSimilarity:
    """Cosines of sentence embeddings, on the CPU with one thread; each distinct text is embedded once a call."""

    def __init__(self, model: str) -> None:
        """Load the model.

        Args:
            model: a Hub id, or an absolute path of a folder in the library's layout.

        Raises:
            InputError: there is no such model, it has no safetensors, or it is made of other modules than a plain
                sentence encoder.
        """
        self._model = _load(model)
        self.name = model

    def cosines(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """[n_pairs] float64: cosine of the two texts of each pair; 1 for two equal texts."""
        from threadpoolctl import threadpool_limits

        texts = sorted({text for pair in pairs for text in pair})
        if not texts:
            return np.zeros(0)
        with threadpool_limits(1):
            embedded = self._model.encode(texts, batch_size=BATCH, show_progress_bar=False, convert_to_numpy=True)
        vectors = np.asarray(embedded, dtype=np.float64)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        row = {text: index for index, text in enumerate(texts)}
        left, right = (vectors[[row[pair[side]] for pair in pairs]] for side in (0, 1))
        return np.einsum("ij,ij->i", left, right)


def _load(model: str) -> Any:
    if Path(model).is_absolute() and not (Path(model) / "modules.json").is_file():
        raise InputError(model, "modules.json", None, "a folder in the layout of sentence-transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
        from sentence_transformers import SentenceTransformer

        try:
            loaded = SentenceTransformer(
                model, device="cpu", trust_remote_code=False, model_kwargs={"use_safetensors": True}
            )
        except Exception as error:  # the library raises whatever its parts do
            expected = "a Hub id or a folder of a sentence-transformers model with safetensors"
            raise InputError("study", "verification.embedding_model", model, f"{expected} ({error})") from error
    kinds = [type(module).__name__ for module in loaded]
    if not PLAIN_MODULES.issuperset(kinds):
        expected = f"an encoder made of {', '.join(sorted(PLAIN_MODULES))} only"
        raise InputError(model, "modules.json", kinds, expected)
    return loaded.eval()
