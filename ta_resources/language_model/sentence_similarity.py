"""How alike two sentences are to an embedding model of the sentence-transformers library.

Belongs here: loading such a model, and cosines. Stays out: thresholds and labels (``ta_checks``), the probed language
model (``language_model``).
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ta_assets.core.errors import InputError, in_short
from ta_resources.language_model.checkpoint.model_folder import (
    HubAccess,
    HubModelFolder,
    ModelFolder,
    open_folder,
    read_json,
    read_json_value,
    weight_files,
)

BATCH = 64
MODULES, SETTINGS = "modules.json", "config_sentence_transformers.json"
ORGANIZATION = "sentence-transformers"
"""Owner of a model that is named without one, as in the library."""
PLAIN_MODULES = frozenset(
    {
        "sentence_transformers.models.Transformer",
        "sentence_transformers.models.Pooling",
        "sentence_transformers.models.Normalize",
        "sentence_transformers.base.modules.transformer.Transformer",
        "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
        "sentence_transformers.base.modules.normalize.Normalize",
    }
)
"""Classes, as files of the library up to 5 and since 6 name them, whose only weights are the transformer's, which are
read from safetensors. Others may bring pickled ones, or are somebody's code."""
TRANSFORMER_SETTINGS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
"""Names under which the library looks for the settings of its transformer."""
ARGUMENTS = ("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs")
"""Settings that the library hands to transformers: they can name other weights, kernels, pickles."""


class SentenceSimilarity:
    """Cosines of sentence embeddings, on the CPU with one thread; each distinct text is embedded once a call."""

    def __init__(self, model: str) -> None:
        """Load the model.

        Args:
            model: a Hub id, or an absolute path of a folder in the library's layout.

        Raises:
            InputError: there is no such model, it has no safetensors, or it is made of other modules than a plain
                sentence encoder; said before anything of it is constructed.
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
    revision = _judge(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
        from sentence_transformers import SentenceTransformer

        try:
            loaded = SentenceTransformer(
                model,
                device="cpu",
                revision=revision,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as error:  # the library raises whatever its parts do
            expected = f"a Hub id or a folder of a sentence-transformers model with safetensors ({in_short(error)})"
            raise InputError("study", "verification.embedding_model", model, expected) from error
    return loaded.eval()


def _judge(model: str) -> str | None:
    """Refuse a model that is no plain sentence encoder, by its JSON files alone.

    Returns:
        The commit that was looked at, to be the one that is loaded; None for a folder.
    """
    named = model if "/" in model else f"{ORGANIZATION}/{model}"
    # the library's own cache, so that nothing is fetched twice
    cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
    folder = open_folder(named, "main", HubAccess(cache_dir=cache))
    _judge_modules(folder)
    kind = read_json(folder, SETTINGS).get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise InputError(folder.source, f"{SETTINGS}: model_type", kind, "SentenceTransformer, or no such key")
    for name in TRANSFORMER_SETTINGS:
        settings = read_json(folder, name)
        for key in ARGUMENTS:
            if settings.get(key):
                raise InputError(folder.source, f"{name}: {key}", settings[key], "no arguments for transformers")
    weight_files(folder)
    return folder.identity().get("commit") if isinstance(folder, HubModelFolder) else None


def _judge_modules(folder: ModelFolder) -> None:
    """Refuse a list of modules that is none, or that names another class."""
    modules = read_json_value(folder, MODULES)
    if modules is None:
        raise InputError(folder.source, MODULES, None, "a model in the layout of sentence-transformers")
    if not isinstance(modules, list) or not modules:
        raise InputError(folder.source, MODULES, modules, "a list of modules")
    for index, module in enumerate(modules):
        found = module if isinstance(module, dict) else {}
        kind, path = found.get("type"), found.get("path")
        if not isinstance(kind, str) or kind not in PLAIN_MODULES:
            expected = "an encoder made of the library's own Transformer, Pooling and Normalize alone"
            raise InputError(folder.source, f"{MODULES}: [{index}].type", kind or module, expected)
        if kind.endswith(".Transformer") and path != "":
            expected = "an empty path: the transformer's files lie in the model's own folder"
            raise InputError(folder.source, f"{MODULES}: [{index}].path", path, expected)
