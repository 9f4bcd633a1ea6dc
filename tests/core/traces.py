"""Sentences of made-up settings for the tests of inference: positions, labels and activations of chosen kinds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ta_assets.core.labels import anchors


def made_rows(n_problems: int, n_sentences: int = 20, seed: int = 0, *, early: float = 1.0) -> pd.DataFrame:
    """Labelled sentences whose importance falls with position as ``early`` says, with rollout counts."""
    rng = np.random.default_rng(seed)
    frames = []
    for problem in range(n_problems):
        index = np.arange(n_sentences)
        importance = np.abs(rng.normal(size=n_sentences)) + early * np.exp(-index / 4)
        frames.append(
            pd.DataFrame(
                {
                    "problem_id": problem + 1,
                    "chunk_idx": index,
                    "num_chunks": n_sentences,
                    "chunk_text": [f"step {rng.integers(0, 50)} is {rng.integers(0, 50)}" for _ in index],
                    "function_tag": rng.choice(["plan", "compute"], n_sentences),
                    "counterfactual_raw": importance,
                    "importance_score": importance,
                    "anchor": anchors(importance, 90),
                    "relative_position": index / (n_sentences - 1),
                    "token_count": rng.integers(3, 12, n_sentences),
                    "n_different": rng.integers(5, 60, n_sentences).astype(float),
                    "k_different": 3.0,
                    "n_next": 60.0,
                    "k_next": 30.0,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def made_vectors(rows: pd.DataFrame, signal: float, d: int = 24, seed: int = 0) -> np.ndarray:
    """[n, d] vectors: noise, some position, and the anchors along one direction as ``signal`` says."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(len(rows), d))
    vectors += np.outer(rows["relative_position"].to_numpy(), rng.normal(size=d))
    return vectors + signal * np.outer(rows["anchor"].to_numpy(), rng.normal(size=d))
