"""Hashes of values and code, differences between two records, and what an asset body returns."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

MADE_FROM = "made_from"
"""Name of the metadata entry with what an artifact was made from."""
CODE = "code_sha256"
"""Name of the metadata entry with the hash of the code that made it."""
VERSIONS = "versions"
"""Name of the metadata entry with the versions of the libraries that made it."""
LIBRARIES = {
    **dict.fromkeys(("numpy", "pandas", "scipy", "torch", "transformers", "tokenizers", "safetensors")),
    "sklearn": "scikit-learn",
}
"""Modules that compute -> name of the distribution, where that is another one."""
PACKAGES = ("ta_assets", "ta_checks", "ta_resources")


def fingerprint(value: object) -> str:
    """Hex SHA-256 of a value: JSON, tables, and dataclasses of them. Equal values have equal fingerprints."""
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


@cache
def code_sha256() -> str:
    """Hex SHA-256 of every Python file of the project, as this process found them."""
    root, digest = Path(__file__).resolve().parent.parent.parent, hashlib.sha256()
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def imported_versions() -> dict[str, str]:
    """Distribution -> version of the libraries that this process has imported, as they say themselves.

    What is installed under that name may be another one.
    """
    found = {other or name: getattr(sys.modules.get(name), "__version__", None) for name, other in LIBRARIES.items()}
    return {name: str(version) for name, version in found.items() if version is not None}


def mismatches(stored: Mapping[str, Any], expected: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Every difference between two ``made_from`` records, as ``labels.anchor_percentile: 90.0 -> 85.0``."""
    found = []
    for key in sorted({*stored, *expected}):
        old, new, where = stored.get(key), expected.get(key), f"{prefix}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += mismatches(old, new, f"{where}.")
        elif _plain(old) != _plain(new):
            found.append(f"{where}: {old!r} -> {new!r}")
    return found


def output(value: Any, made_from: Mapping[str, Any], metadata: Mapping[str, Any]) -> dg.Output[Any]:
    """What an asset body returns: the value, its data version (a hash of the content), and what it was made from.

    The facts go to the materialization; with the output, Dagster would store them twice.

    The hash of the code is recorded and not compared: not every change of a line makes a result old; ``code_version``
    says which do.
    """
    facts = {
        **metadata,
        MADE_FROM: dg.MetadataValue.json(_plain(made_from)),
        CODE: code_sha256(),
        VERSIONS: imported_versions(),
    }
    dg.AssetExecutionContext.get().add_asset_metadata(facts)
    with warnings.catch_warnings():
        # data_version is marked as beta in Dagster 1.13
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.Output(value, data_version=dg.DataVersion(fingerprint(value)))


def _feed(digest: Any, value: object) -> None:
    if isinstance(value, pd.DataFrame):
        _feed(digest, {str(name): str(dtype) for name, dtype in value.dtypes.items()})
        hashes = pd.util.hash_pandas_object(value, index=False)  # pyright: ignore[reportAttributeAccessIssue]
        digest.update(hashes.to_numpy().tobytes())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            digest.update(field.name.encode())
            _feed(digest, getattr(value, field.name))
    else:
        digest.update(json.dumps(_plain(value), sort_keys=True).encode())


def _plain(value: object) -> Any:
    return json.loads(json.dumps(value, sort_keys=True))
