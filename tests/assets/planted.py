"""The real definitions with one planted fault, for tests that run the real command. ``TA_PLANTED_FAULT`` names it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ta_assets.core.options import ExtractionSpec
from ta_assets.core.values import CorpusSource, Problem
from ta_assets.definitions import build_definitions
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.problem_files import UnusableProblem
from ta_resources.rollouts.resource import RolloutsResource

FAULTS = os.environ.get("TA_PLANTED_FAULT", "").split(",")


class BrokenRollouts(RolloutsResource):
    """Fails where the fault says so."""

    def list_problem_ids(self, source: CorpusSource, *, refresh: bool = False) -> list[int]:
        if "roots" in FAULTS:
            raise ConnectionError("planted: no listing")
        return super().list_problem_ids(source, refresh=refresh)

    def read_problems(
        self, source: CorpusSource, problem_ids: Iterable[int]
    ) -> Iterator[tuple[int, Problem | UnusableProblem]]:
        if "asset" in FAULTS and source.prefix.endswith("/incorrect_base_solution"):
            raise ConnectionError("planted: the incorrect corpus cannot be read")
        while "slow" in FAULTS and Path("slow").exists():
            time.sleep(0.1)
        yield from super().read_problems(source, problem_ids)


class BrokenModel(LanguageModelResource):
    """Fails where the fault says so."""

    def tokenizer(self, spec: ExtractionSpec) -> Any:
        if "check" in FAULTS:
            raise RuntimeError("planted: the check's tokenizer cannot be loaded")
        return super().tokenizer(spec)

    def identity(self, spec: ExtractionSpec) -> dict[str, str]:
        if "plan" in FAULTS:
            raise RuntimeError("planted: the model cannot be identified")
        return super().identity(spec)


defs = build_definitions(resources={"rollouts": BrokenRollouts(), "language_model": BrokenModel()})
