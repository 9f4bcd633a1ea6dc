"""The scores of the network are those of a network that was trained on the training sentences and nothing else.

One seed of a setting is trained again, by scikit-learn and its settings written down here; the stored scores of the
models that know no seed decide which. Stays out: linear models (``scores_refit``), networks on tokens.
"""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np

from ta_checks.evidence import FOLD, KEYS, Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict
from ta_checks.written_twice import CONTINUOUS, TARGET_COLUMN

NETWORK = "mlp_probe"
AGREEMENT = 0.01
"""Largest difference of scores over their deviation. Training is the same to 1e-6 on one machine, and with vectors that
are off by rounding, but for one network in six, which ends at another epoch."""
ROUNDINGS, ROUNDING = 4, 1e-6
"""Tries with vectors that are off by rounding, where the first differs."""
HELD_BACK, PATIENCE = 0.1, 20


def read(evidence: Evidence) -> dict[str, Any]:
    """The network's scores of one seed of the setting, in its split or one fold, against one that is trained again."""
    study, store, cell = evidence.study, evidence.world.store, evidence.cell
    options = study.probe_options
    content = json.dumps(store.hashes("seed_free_scores", cell.setting), sort_keys=True)
    chooser = random.Random(content)
    drawn = chooser.randrange(study.seeds)
    if NETWORK not in options.models or cell.seed != drawn:
        return {"stored": None, "again": None, "drawn": drawn if NETWORK in options.models else None}
    fold = chooser.choice(list(evidence.fold_rows))
    data, predictions = evidence.fold_rows[fold], evidence.value.predictions
    if fold is not None:
        predictions = predictions.take(np.flatnonzero(predictions[FOLD] == fold))
    rows = data.rows[KEYS].assign(at=range(len(data.rows)))
    rows = rows.merge(predictions, on=KEYS, how="inner", validate="one_to_one")
    stored, at = rows[f"score_{NETWORK}"].to_numpy(np.float64), rows["at"].to_numpy()
    tries = (_trained(data, options, cell.seed, number)[at] for number in range(1 + ROUNDINGS))
    again = next(tries)
    while distance(stored, again) > AGREEMENT and (other := next(tries, None)) is not None:
        again = min(again, other, key=lambda one: distance(stored, one))
    return {"stored": stored, "again": again, "drawn": drawn}


def network_refits(stored: np.ndarray | None, again: np.ndarray | None, drawn: int | None) -> Verdict:
    """Fail when the stored scores do not go with those of a network that is trained again.

    Args:
        stored: [n] scores of sentences outside training; None where this cell's are not looked at.
        again: [n] of the same sentences.
        drawn: the seed that is looked at; None where there is no such network.
    """
    if stored is None or again is None:
        why = "the study has no such network" if drawn is None else f"seed {drawn} of the setting was drawn"
        return Verdict.no_faults([], n=0, message=f"not evaluated because {why}")
    if not len(stored) or not np.isfinite(stored).all():
        return Verdict.failed("the network scores no sentence outside training, or not in numbers")
    found = distance(stored, again)
    message = f"scores of seed {drawn} are off by {found:.2g} of their deviation from those of a network trained again"
    return Verdict.judge(found, "<=", AGREEMENT, unit="deviations", n=len(stored), message=message)


def distance(stored: np.ndarray, again: np.ndarray) -> float:
    """Largest difference of two lists of scores over their deviation; infinite for what is no number."""
    largest = float(np.nan_to_num(np.abs(stored - again), nan=np.inf).max(initial=0.0))
    return largest / max(float(again.std()), 1e-6)


ROW = Invariant(
    "network_refits",
    "probe_metrics",
    read,
    network_refits,
    "A network that is trained again on the training sentences gives other scores than the stored ones: it saw test "
    "sentences, other labels or vectors, or another seed. Materialize the cell; if it stays red, the fit is wrong.",
)


def _trained(data: Any, options: Any, seed: int, rounding: int) -> np.ndarray:
    """[n] float64 scores of all rows by a network that was trained on the training rows; 0 is no ``rounding``."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    train = (data.rows["split"] == "train").to_numpy()
    continuous = options.target in CONTINUOUS
    wanted = data.rows[TARGET_COLUMN[options.target]].to_numpy(np.float64 if continuous else np.int64)[train]
    enough = int(np.ceil(HELD_BACK * len(wanted))) >= 2
    rarest = 2 if continuous else int(np.unique(wanted, return_counts=True)[1].min())
    model = (MLPRegressor if continuous else MLPClassifier)(
        hidden_layer_sizes=(options.mlp_hidden, options.mlp_hidden),
        alpha=1e-4,
        learning_rate_init=1e-3,
        max_iter=options.mlp_max_iter,
        early_stopping=enough and rarest >= 2,
        validation_fraction=HELD_BACK,
        n_iter_no_change=PATIENCE,
        random_state=seed,
    )
    with threadpool_limits(1):
        noise = np.random.default_rng(rounding).normal(size=data.vectors.shape)
        vectors = np.asarray(data.vectors * (1 + bool(rounding) * ROUNDING * noise), dtype=np.float32)
        x = StandardScaler().fit(vectors[train]).transform(vectors)
        model.fit(x[train], wanted)
        scores = model.predict(x) if continuous else model.predict_proba(x)[:, 1]  # type: ignore[union-attr]
    return np.asarray(scores, dtype=np.float64)
