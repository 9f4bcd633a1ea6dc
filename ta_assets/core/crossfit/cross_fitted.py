"""Everything of a setting that needs activations to be compared later: out-of-fold scores and refitted nulls.

Belongs here: putting ``crossfit`` and ``nulls`` into one storable value. Stays out: what follows from it (``compare``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ta_assets.core.crossfit.fit import cross_fit
from ta_assets.core.crossfit.folds import evaluation_folds
from ta_assets.core.crossfit.nulls import permuted_labels, refit_null, schemes_for
from ta_assets.core.crossfit.out_of_fold import Sentences
from ta_assets.core.options import InferenceOptions
from ta_assets.core.score_columns import ScoreTable
from ta_assets.core.values import CrossFitted, jsonable


def cross_fitted(rows: pd.DataFrame, blocks: Mapping[int, np.ndarray], options: InferenceOptions) -> CrossFitted:
    """Score and permute a setting. Equal inputs give equal bits, whatever the order of rows or the number of threads.

    Args:
        rows: label columns and token_count of every sentence.
        blocks: block -> [n, d_model] float activations, aligned to ``rows``.
        options: how many permutations, and their seed.

    Raises:
        ValueError: fewer than three problems, or a vector is not finite.
    """
    sentences = Sentences(rows, blocks)
    folds = evaluation_folds(sentences.problems.tolist(), options.seed)
    found = cross_fit(sentences, folds)
    scores = ScoreTable.of_scores(sentences.rows, found.scores)
    schemes = schemes_for(sentences)
    labels = [permuted_labels(sentences, options.permutations, scheme=scheme, seed=options.seed) for scheme in schemes]
    # one refit for both: what costs most is to decompose each fold
    null = refit_null(sentences, folds, np.hstack(labels))
    record = {
        **dataclasses.asdict(folds),
        "fewest_train": folds.fewest_train,
        "blocks": list(sentences.blocks),
        "choices": found.choices,
    }
    return CrossFitted(scores.frame, null.stored(schemes), found.influence_table(), jsonable(record))
