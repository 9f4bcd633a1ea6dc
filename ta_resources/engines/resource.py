"""The engine of a campaign as a resource: open while tokens are drawn, and gone after.

Belongs here: which class serves which kind. Stays out: the engines themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from ta_assets.core.campaign.options import EngineOptions
from ta_assets.core.options import ExtractionSpec
from ta_resources.engines.protocol import Engine
from ta_resources.language_model.checkpoint.model_folder import HubAccess, open_folder
from ta_resources.language_model.tokenizing import TraceTokenizer

if TYPE_CHECKING:
    from ta_resources.engines.completions_server import CompletionsServer

KEY_VARIABLE = "TA_SERVER_KEY"
"""Holds the key of a server that asks for one; it is sent as a bearer token, and kept nowhere."""


class EnginesResource(dg.ConfigurableResource):
    """A language model -> an engine that draws from it."""

    device: str = Field(default="auto", description="auto (cuda, else mps, else cpu), cpu, mps, cuda or cuda:<number>.")
    offline: bool = Field(default=False, description="Use only models that were downloaded before.")

    @contextmanager
    def open(self, options: EngineOptions, spec: ExtractionSpec) -> Iterator[Engine]:
        """An engine, whose memory is free again on the way out.

        Args:
            options: which engine.
            spec: the language model, which is also the one that reads the traces later.

        Raises:
            InputError: the model cannot be had, has no token that ends a text, or the engine is not installed.
        """
        if options.kind == "server":
            with closing(self._server(options, spec)) as server:
                yield server
            return
        if options.kind == "vllm":
            from ta_resources.engines.vllm_offline import VllmOffline

            yield VllmOffline.open(spec.language_model, spec.revision, bos=spec.bos)
            return
        from ta_resources.engines.transformers_engine import TransformersEngine

        opened = TransformersEngine.open(spec.language_model, spec.revision, device=self.device, bos=spec.bos)
        with closing(opened) as engine:
            yield engine

    def _server(self, options: EngineOptions, spec: ExtractionSpec) -> CompletionsServer:
        from ta_resources.engines.completions_server import CompletionsServer, ServerOptions

        folder = open_folder(spec.language_model, spec.revision, HubAccess(offline=self.offline))
        asked = ServerOptions(
            address=options.address or "",
            model=options.served_name or spec.language_model,
            prompt=options.prompt,
            concurrency=options.concurrency,
            attempts=options.attempts,
            read_seconds=options.timeout,
            key=os.environ.get(KEY_VARIABLE),
        )
        identity = {"kind": "server", "model": folder.identity(), "bos": spec.bos}
        return CompletionsServer(asked, TraceTokenizer.from_folder(folder, spec.bos), identity)
