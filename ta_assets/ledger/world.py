"""The studies, the resources and the ledger in one value: made once a run and passed whole."""

from __future__ import annotations

from dataclasses import dataclass

from ta_assets.ledger.ledger import Ledger
from ta_assets.studies.loading import Studies
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore


@dataclass(frozen=True)
class World:
    """Everything that an asset, a check or the release looks at beside its own partition."""

    studies: Studies
    store: ArtifactStore
    rollouts: RolloutsResource
    language_model: LanguageModelResource
    ledger: Ledger
