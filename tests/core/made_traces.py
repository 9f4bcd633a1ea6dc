"""Sentences of made-up settings for the tests of inference: positions, labels and activations of chosen kinds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ta_assets.core.traces.labels import anchors
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS


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


def campaign(seed: int, zero: float, spread: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Forty traces with known true importances, and rollouts drawn from them."""
    rng = np.random.default_rng(seed)
    n, problems = 60, np.repeat(np.arange(40), 60)
    base = rng.uniform(0.3, 0.7, len(problems))
    true = np.where(rng.random(len(problems)) < zero, 0.0, rng.normal(0, spread, len(problems)))
    true = np.clip(base + true, 0.02, 0.98) - base
    a = rng.integers(5, 90, len(problems))
    k_a, k_b = rng.binomial(a, base + true), rng.binomial(95, base)
    raw = k_a / a - k_b / 95
    labels = np.concatenate([anchors(raw[start : start + n], 90) for start in range(0, len(raw), n)])
    frame = {"problem_id": problems, "anchor": labels, "counterfactual_raw": raw}
    counts = dict(zip(COUNT_COLUMNS, (a, k_a, np.full_like(a, 95), k_b), strict=True))
    return pd.DataFrame({**frame, **{name: one.astype(float) for name, one in counts.items()}}), true
