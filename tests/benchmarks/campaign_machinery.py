"""Labels from scratch: prefixes, accounts, graders and kills.

Belongs here: what runs on texts and processes. Stays out: language models (``campaign_sharing``), statistics
(``campaign_worlds``), the list of rows (``campaign_table``).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from ta_assets.core.campaign.accounting import Tally
from ta_assets.core.campaign.prefixes import token_boundaries
from ta_assets.core.campaign.records import Drawn, Outcome, Sampling
from ta_assets.core.campaign.seeds import seed_of
from ta_assets.core.campaign.stopping import StoppingRule
from ta_assets.core.traces.spans import character_spans
from ta_resources.campaigns.grading_process import GradingProcess
from ta_resources.campaigns.parts import Parts
from ta_resources.campaigns.run import run_trace
from ta_resources.campaigns.source import Source
from ta_resources.engines.protocol import EngineUnavailableError
from ta_resources.engines.scripted import FAILURES, ScriptedEngine
from ta_resources.language_model.checkpoint.model_folder import LocalModelFolder
from ta_resources.language_model.tokenizing import TraceTokenizer
from tests.benchmarks.campaign_worlds import TRACES, record
from tests.benchmarks.kept_table import Record
from tests.resources.campaigns.made import SAMPLING, judgement, source, task, tree
from tests.resources.campaigns.pairs import PAIRS

KILLED_RULE = StoppingRule(kind="threshold", rollouts=120, first=40, batch=10)
CUTTING_LIMIT = 215
"""Characters: the traces of the tree have up to 230."""


def smollm2() -> Path:
    """The folder of SmolLM2.

    Raises:
        KeyError: TA_SMOLLM2 names none.
    """
    return Path(os.environ["TA_SMOLLM2"])


def prefixes(_: int) -> Record:
    """Prefixes of the published traces that are not their bytes and ids."""
    tokenizer = TraceTokenizer.from_folder(LocalModelFolder(smollm2()))
    different = inside = n = 0
    for path in sorted(TRACES.glob("*/*/*/problem_*")):
        text = json.loads((path / "base_solution.json").read_text(encoding="utf-8"))["full_cot"]
        chunks = [one["chunk"] for one in json.loads((path / "chunks_labeled.json").read_text(encoding="utf-8"))]
        starts = character_spans(text, chunks)[:, 0].tolist()
        ids = tokenizer.encode(text)[0].tolist()
        boundaries, lost = token_boundaries(ids, starts, tokenizer.decode)
        for boundary, start, crossing in zip(boundaries, starts, lost, strict=True):
            before = tokenizer.decode(ids[:boundary])
            n, inside = n + 1, inside + crossing
            # all that stands before the sentence, and not a character more; whitespace may be the sentence's
            exact = text.startswith(before) and (crossing or before.rstrip() == text[:start].rstrip())
            different += not exact
    detail = f"32 traces, tokenizer of SmolLM2; {inside} sentences start inside a token"
    return record("prefixes that differ from the trace's bytes and ids", different, "==", 0, n, detail)


def accounts(n: int) -> Record:
    """Rollouts without exactly one outcome, under six planted failures; and accuracies outside of their bounds.

    The limit of tokens cuts off the longest texts, most of which are right: what is cut off is not like the rest.
    """
    clean = ScriptedEngine(tree())
    it, judge, limited = task(clean), judgement(clean, reuse=False), Sampling(max_total_tokens=CUTTING_LIMIT)
    per = -(-n // len(it.prefixes))
    with tempfile.TemporaryDirectory() as folder:
        parts, identity = Parts(Path(folder)), dict(clean.identity())
        key = Source(parts, identity, limited, clean).key
        seeds = [seed_of(key(it.trace.prefix(place)), number) for place in it.prefixes for number in range(per)]
        planned = dict(zip(seeds[::7], FAILURES * len(seeds), strict=False))
        store, gone = Source(parts, identity, limited, ScriptedEngine(tree(), planned)), 0
        while True:
            try:
                result = run_trace(store, it, StoppingRule(rollouts=per, batch=100), judge)
                break
            except EngineUnavailableError:
                gone += 1
    wrong, outside, total = 0, 0, Tally()
    for place, own in result.rollouts.items():
        tally = Tally.of(one.outcome for one in own)
        wrong += abs(tally.total - per) + sum(one.outcome not in Outcome for one in own)
        # the same seeds to their end, without the failures that hide an answer
        healthy = clean.sample(it.trace.prefix(place), [one.seed for one in own], SAMPLING)
        whole = judge.rollouts([Drawn(one.index, one.seed, got) for one, got in zip(own, healthy, strict=True)], it)
        accuracy = Tally.of(one.outcome for one in whole if planned.get(one.seed) != "empty").accuracy
        low, high = tally.bounds
        outside += not low <= (accuracy or 0.0) <= high
        total += tally
    outcomes = ", ".join(f"{getattr(total, one)} {one}" for one in Outcome)
    detail = f"{outcomes}; the engine was gone {gone} times; {outside} of {len(it.prefixes)} accuracies outside bounds"
    claim = "rollouts without exactly one outcome, or accuracies outside their bounds"
    return record(claim, wrong + outside, "==", 0, total.total, detail)


@cache
def _verdicts() -> list[tuple[bool, bool | None]]:
    with GradingProcess("math_verify", 10.0) as process:
        return [(same, process.verdict(answer, gold)) for answer, gold, same in PAIRS]


def graded(kind: str, _: int) -> Record:
    """Pairs of the planted table that are judged wrongly."""
    equal = kind == "unequal"
    found = [verdict for same, verdict in _verdicts() if same is equal]
    wrong = sum((verdict is True) is not equal for verdict in found)
    bar = 0.01 if equal else 0.0
    return record(f"falsely {kind}, planted pairs, math-verify", wrong / len(found), "<=", bar, len(found), f"{wrong}")


def hangs(n: int) -> Record:
    """Made answers, most of them no formula or one without end, that were waited for longer than a grader may take."""
    rng, seconds, late, unread = random.Random(43), 2.0, 0, 0
    parts = [
        "9",
        "^",
        "{",
        "}",
        "\\frac",
        "\\sqrt",
        "(",
        ")",
        "x",
        "!",
        "+",
        ",",
        "\\{",
        "\\}",
        "\\infty",
        "\\sum",
        "_",
        "=",
    ]
    with GradingProcess("math_verify", seconds) as process:
        for _ in range(n):
            answer = "".join(rng.choices(parts, k=rng.randint(1, 24)))
            process.verdict("4", "4")  # so that a start is not counted
            begun = time.monotonic()
            unread += process.verdict(answer, "4") is None
            late += time.monotonic() - begun > seconds + 1
    return record("answers that a grader was waited for beyond its time", late, "==", 0, n, f"{unread} not judged")


def kills(n: int) -> Record:
    """Batches lost beyond one a kill, or labels that differ, over campaigns that are killed and started again."""
    rng, lost, differing, killed = random.Random(44), 0, 0, 0
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        whole = _campaign(folder / "whole", folder / "unlogged")
        chain = 0
        while killed < n:
            chain += 1
            root, log = folder / f"chain{chain}", folder / f"log{chain}"
            own = 0
            while True:
                command = [sys.executable, "-m", "tests.benchmarks.campaign_machinery", str(root), str(log)]
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                try:
                    assert process.stdout is not None
                    process.stdout.readline()
                    out, _ = process.communicate(timeout=rng.uniform(0.02, 0.4) if killed < n else None)
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                    own, killed = own + 1, killed + 1
            sampled = len(log.read_text(encoding="utf-8").split())
            stored = len(list(root.glob("??/*/*.parquet")))
            lost += max(0, sampled - stored - own)
            differing += out.decode().strip() != whole
    detail = f"{killed} kills in {chain} campaigns; {lost} batches lost beyond one a kill, {differing} labels differ"
    return record(
        "kills after which more than a batch was lost, or labels differ", lost + differing, "==", 0, killed, detail
    )


def _campaign(root: Path, log: Path) -> str:
    """The labels of a campaign over the finite tree, with every sampled batch in a log."""
    engine = ScriptedEngine(tree())
    sample = engine.sample

    def logged(*arguments: Any) -> Any:
        found = sample(*arguments)
        time.sleep(0.005)
        with log.open("a", encoding="utf-8") as file:
            file.write("batch\n")
        return found

    engine.sample = logged  # type: ignore[method-assign]
    labels = run_trace(source(root, engine), task(engine), KILLED_RULE, judgement(engine)).labels()
    return json.dumps(labels, sort_keys=True)


if __name__ == "__main__":
    print("begun", flush=True)
    print(_campaign(Path(sys.argv[1]), Path(sys.argv[2])))
