"""The continuous twins of the predecessor's classifiers: the same inputs and scaling, a regression at the end.

Belongs here: pipelines for continuous targets. Stays out: classifiers, inputs and fitting (``probes``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ta_assets.core.options import ProbeOptions

MAX_TEXT_FEATURES = 10_000
RIDGE_ALPHA = 1.0
RIDGE_TOLERANCE = 1e-8
"""Of the conjugate gradients that solve it on sparse text; at scikit-learn's 1e-4 predictions err by thousandths."""
MLP_PATIENCE = 20
MLP_VALIDATION_FRACTION = 0.1
"""scikit-learn's share of the train rows that early stopping holds back."""
MINIMUM_HELD_BACK = 2
"""The coefficient of determination, which early stopping watches, needs two rows."""


def tfidf() -> TfidfVectorizer:
    """The text features of the predecessor: words and pairs of words, at most 10,000."""
    return TfidfVectorizer(ngram_range=(1, 2), min_df=1, max_features=MAX_TEXT_FEATURES)


def ridge() -> Ridge:
    """The predecessor's Ridge regression."""
    return Ridge(alpha=RIDGE_ALPHA, tol=RIDGE_TOLERANCE)


def regression_twin(model: str, n_train: int, options: ProbeOptions, seed: int) -> Pipeline:
    """The unfitted regression of a model for a continuous target.

    Ridge with alpha 1, on scaled inputs but for text; for ``mlp_probe`` a regressor with the classifier's settings.
    The predecessor switched early stopping off where the rarest value of the target occurs once, which for a
    continuous target is always: its regressor never stopped early. Here it stops whenever two rows can be held back.
    """
    if model == "mlp_probe":
        return make_pipeline(StandardScaler(), _mlp(n_train, options, seed))
    inputs = tfidf() if model == "text_only_baseline" else StandardScaler()
    return make_pipeline(inputs, ridge())


def _mlp(n_train: int, options: ProbeOptions, seed: int) -> MLPRegressor:
    early_stopping = int(np.ceil(MLP_VALIDATION_FRACTION * n_train)) >= MINIMUM_HELD_BACK
    return MLPRegressor(early_stopping=early_stopping, **mlp_settings(options, seed))


def mlp_settings(options: ProbeOptions, seed: int) -> dict[str, Any]:
    """What classifier and regressor share."""
    return {
        "hidden_layer_sizes": (options.mlp_hidden, options.mlp_hidden),
        "activation": "relu",
        "solver": "adam",
        "alpha": 1e-4,
        "learning_rate_init": 1e-3,
        "max_iter": options.mlp_max_iter,
        "validation_fraction": MLP_VALIDATION_FRACTION,
        "n_iter_no_change": MLP_PATIENCE,
        "random_state": seed,
    }
