"""How likely some traces of a corpus are to its language model, beside two measures of what that says.

Whoever drew a text token by token is as often surprised by it as it expects to be: the mean of -ln p(token) is the mean
entropy of what it predicted (Shannon 1948, section 7), and below it for a text that was drawn at a lower temperature,
or from the likelier tokens alone. A model that is broken is sure of other tokens. One that knows nothing expects no
better, but then is no better than the frequencies of the tokens.

Belongs here: reading and measuring. Stays out: loading (``plain_model``), bounds (``model_is_as_stated``,
``model_reads_traces``). torch is imported inside functions.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import log

from ta_assets.core.values import Problem
from ta_checks.evidence import Evidence
from ta_checks.rules.vectors.plain_model import NotPlain, PlainModel, Reader, library_reader, plain_model

TRACES = 3
MOST_TOKENS = 1024
"""Of a trace that are read, with its prompt."""
ROWS_AT_ONCE = 128
"""Distributions over the whole vocabulary that are held in float32 at a time."""


@dataclass(frozen=True)
class Likelihood:
    """Means over the tokens behind the prompts of some traces, in nats per token."""

    nats: float
    """-ln p of the token that stands there."""
    entropy: float
    """Of what the model predicts there: the nats that it expects."""
    unigram: float
    """Entropy of the frequencies of these tokens: the nats of a model that knows nothing but them."""
    n_tokens: int
    n_traces: int

    @property
    def words(self) -> str:
        """All three, for a person."""
        figures = f"{self.nats:.3g} nats per token, {self.entropy:.3g} expected by the model itself"
        return f"{figures}, {self.unigram:.3g} by the tokens' frequencies"


def likelihood(evidence: Evidence) -> Likelihood:
    """Read three traces of the corpus, drawn by the stored vectors.

    Raises:
        NotPlain: the model cannot be loaded with its head, or there is nothing behind a prompt.
    """
    record = evidence.value.record
    ids = sorted(map(int, record["shards"]))
    drawn = random.Random(json.dumps(record, sort_keys=True)).sample(ids, min(TRACES, len(ids)))
    nats, entropies, tokens = [], [], Counter()
    with plain_model(evidence) as loaded:
        if not loaded.has_head:
            raise NotPlain("its files hold no head of a language model")
        reader = library_reader(loaded.folder)
        for problem in evidence.world.rollouts.load_problems(evidence.world.source(evidence.partition), drawn):
            for token, own, expected in _tokens(loaded, reader, problem):
                tokens[token] += 1
                nats.append(own)
                entropies.append(expected)
    n = len(nats)
    if not n:
        raise NotPlain(f"nothing stands behind the prompts within {MOST_TOKENS} tokens")
    unigram = -sum(count / n * log(count / n) for count in tokens.values())
    return Likelihood(sum(nats) / n, sum(entropies) / n, unigram, n, len(drawn))


def _tokens(loaded: PlainModel, reader: Reader, problem: Problem) -> Iterator[tuple[int, float, float]]:
    """Of each token behind the prompt: which one it is, its nats, and the entropy of what was predicted there."""
    import torch

    text, prompt = problem.trace_text, problem.base_solution.get("prompt")
    encoded = reader.tokenizer.encode(text)  # with what the tokenizer puts before a text, as for whoever wrote it
    special = list(encoded.special_tokens_mask)
    n_first = next((place for place, mask in enumerate(special) if not mask), len(special))
    known = isinstance(prompt, str) and text.startswith(prompt)
    begin = max(1, n_first + (len(reader.encode(prompt)) if known else 0))  # type: ignore[arg-type]
    tokens = [*encoded.ids[:n_first], *reader.encode(text)][:MOST_TOKENS]
    with torch.inference_mode():
        logits = loaded.model(input_ids=loaded.ids(tokens), use_cache=False).logits[0]
        for start in range(begin, len(tokens), ROWS_AT_ONCE):
            there = tokens[start : start + ROWS_AT_ONCE]
            logs = logits[start - 1 : start - 1 + len(there)].float().log_softmax(dim=-1)
            own = -logs[torch.arange(len(there)), torch.tensor(there, device=logs.device)]
            expected = -(logs.exp() * logs).nan_to_num().sum(dim=-1)
            yield from zip(there, own.tolist(), expected.tolist(), strict=True)
