"""Opening the instance of a release that is there, and creating nothing where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
from dagster._config import process_config, resolve_to_config_type
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.config import pg_config

from ta_assets.core.errors import InputError

STORAGES = ("storage", "run_storage", "event_storage", "schedule_storage")
"""Those that Dagster opens, and would create, at once."""
POSTGRES = frozenset({"postgres_url", "postgres_db"})
"""Either says in ``dagster.yaml`` where a Postgres database is."""


def existing_instance(home: Path) -> dg.DagsterInstance:
    """The instance that a folder's ``dagster.yaml`` names, opened only if all its databases are there.

    Raises:
        InputError: there is no ``dagster.yaml``, a storage's folder is not there, or a database cannot be reached or
            holds no instance.
    """
    if not (home / "dagster.yaml").is_file():
        raise InputError(home, "dagster.yaml", None, "the folder in which the release ran")
    ref = InstanceRef.from_dir(str(home))
    for storage in STORAGES:
        config = getattr(ref, f"{storage}_data").config_dict
        folder = config.get("base_dir")
        if folder is not None and not Path(folder).is_dir():
            expected = "the instance of a release: run it first, or start this in the folder in which it ran"
            raise InputError(Path(folder).resolve(), storage, None, expected)
        if config.keys() & POSTGRES:
            _require_tables(home, config)
    return dg.DagsterInstance.from_ref(ref)


def _require_tables(home: Path, config: dict[str, Any]) -> None:
    """Dagster's own storage creates a table as soon as it is opened, even where it is told to create none."""
    processed = process_config(resolve_to_config_type(pg_config()), config)
    if not processed.success or processed.value is None:
        faults = "; ".join(error.message for error in processed.errors or [])
        raise InputError(home / "dagster.yaml", "storage", faults, "postgres_url or postgres_db, and their variables")
    from ta_resources import postgres_storage  # needs an extra that only such a storage needs

    postgres_storage.require_tables(postgres_storage.url_of(processed.value))
