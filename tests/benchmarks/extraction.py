"""How much cheaper extraction is than a plain full forward, what all layers cost, and that memory does not grow.

    TA_SMOLLM2=FOLDER python -m tests.benchmarks.extraction

Belongs here: measurements of the language model. Stays out: correctness (tests/resources), other claims.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ta_assets.core.options import ExtractionSpec
from ta_assets.core.values import PooledProblem
from ta_resources.language_model.resource import LanguageModelResource
from tests.benchmarks.traces import Trace, made_trace, random_llama

SPEED_BAR, MEMORY_BAR, ALL_LAYERS_BAR = 2.2, 1.1, 1.10
TEXT_TOKENS = (500, 900, 1400)
ROUNDS = 3
"""Pairs per text; with three texts nine ratios, about 70 s of CPU on SmolLM2."""
MEMORY_PROBLEMS = (10, 100)
MEMORY_TOKENS = 400
SMOLLM2_SHAPE = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}


def run(model_folder: Path | None) -> list[dict[str, Any]]:
    """The claims as records ``{"claim", "value", "comparison", "bar", "n", "detail"}``.

    Args:
        model_folder: SmolLM2-135M, or None for a random-weight Llama of its shape.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder or random_llama(Path(scratch) / "model", SMOLLM2_SHAPE)
        name = "SmolLM2-135M" if model_folder else "random-weight Llama of SmolLM2's shape"
        small = random_llama(Path(scratch) / "small", SMOLLM2_SHAPE | {"vocab_size": 300, "num_hidden_layers": 4})
        return [speed(folder, name), all_layers(folder, name), memory(small)]


def speed(folder: Path, name: str) -> dict[str, Any]:
    """CPU seconds of a plain full forward over ours at the middle layer: one thread, interleaved, median of pairs."""
    with _one_thread():
        pairs, error = _timed_pairs(folder)
    ratios = [plain / ours for plain, ours, _ in pairs]
    return {
        "claim": "extraction at the middle layer against a full forward with output_hidden_states at batch 1, CPU time",
        "value": statistics.median(ratios),
        "comparison": ">=",
        "bar": SPEED_BAR,
        "n": len(ratios),
        "detail": {
            "model": name,
            "ratios": [round(ratio, 3) for ratio in ratios],
            "tokens_per_cpu_second": round(sum(n for _, _, n in pairs) / sum(ours for _, ours, _ in pairs), 1),
            "tokens_per_cpu_second_plain": round(sum(n for *_, n in pairs) / sum(plain for plain, *_ in pairs), 1),
            "largest_relative_difference": error,
            "threads": 1,
        },
    }


def all_layers(folder: Path, name: str) -> dict[str, Any]:
    """CPU seconds of extracting all layers over those of a bare forward to the deepest: one thread, interleaved."""
    import torch

    spec = ExtractionSpec(language_model=str(folder), layer="all", dtype="float32", storage_dtype="float32")
    pairs = []
    with _one_thread(), LanguageModelResource(device="cpu").open(spec) as extractor:
        model: Any = extractor._loaded and extractor._loaded.model
        traces = [made_trace(n_tokens, extractor.tokenizer.encode) for n_tokens in TEXT_TOKENS]
        tokens = {trace[1]: torch.from_numpy(extractor.tokenizer.encode(trace[1])[0])[None] for trace in traces}

        def bare(trace: Trace) -> None:
            with torch.inference_mode():
                model(tokens[trace[1]], use_cache=False)

        def ours(trace: Trace) -> list[Any]:
            return list(extractor.extract([trace], log=lambda _: None))

        for trace in [traces[0], *(traces * ROUNDS)]:
            seconds, _ = _cpu_seconds(bare, trace)
            our_seconds, results = _cpu_seconds(ours, trace)
            assert len(results) == extractor.n_blocks
            pairs.append((seconds, our_seconds))
    ratios = [our_seconds / seconds for seconds, our_seconds in pairs[1:]]  # the first pair warms up
    return {
        "claim": "extraction of all layers, tokenized, pooled and ready to store, against a bare forward, CPU time",
        "value": statistics.median(ratios),
        "comparison": "<=",
        "bar": ALL_LAYERS_BAR,
        "n": len(ratios),
        "detail": {"model": name, "ratios": [round(ratio, 3) for ratio in ratios], "threads": 1},
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)


def memory(folder: Path) -> dict[str, Any]:
    """How far peak memory rises above the imports at 10 and at 100 problems of equal length, in fresh processes."""
    few, many = (_peak_in_subprocess(folder, count) for count in MEMORY_PROBLEMS)
    return {
        "claim": f"peak memory of extracting {MEMORY_PROBLEMS[1]} problems against {MEMORY_PROBLEMS[0]}",
        "value": many["growth"] / few["growth"],
        "comparison": "<=",
        "bar": MEMORY_BAR,
        "n": len(MEMORY_PROBLEMS),
        "detail": {"unit": "bytes above the imports", "few": few, "many": many, "tokens_per_problem": MEMORY_TOKENS},
    }


def _timed_pairs(folder: Path) -> tuple[list[tuple[float, float, int]], float]:
    """(plain CPU seconds, our CPU seconds, tokens) per pair, and the largest relative difference of the vectors."""
    spec = ExtractionSpec(language_model=str(folder), dtype="float32", storage_dtype="float32")
    pairs, error = [], 0.0
    with LanguageModelResource(device="cpu").open(spec) as extractor:
        plain = plain_extraction(folder, extractor.block)
        traces = [made_trace(n_tokens, extractor.tokenizer.encode) for n_tokens in TEXT_TOKENS]

        def ours(trace: Trace) -> PooledProblem:
            (pooled,) = extractor.extract([trace], log=lambda _: None)
            assert isinstance(pooled, PooledProblem), pooled
            return pooled

        for trace in [traces[0], *(traces * ROUNDS)]:
            seconds, vectors = _cpu_seconds(plain, trace)
            our_seconds, pooled = _cpu_seconds(ours, trace)
            pairs.append((seconds, our_seconds, pooled.n_tokens))
            difference = np.linalg.norm(pooled.vectors - vectors, axis=1) / np.linalg.norm(vectors, axis=1)
            error = max(error, float(difference.max()))
    return pairs[1:], error  # the first pair warms up


def plain_extraction(folder: Path, block: int) -> Callable[[Trace], np.ndarray]:
    """What one writes without this project: the whole model, all hidden states, logits, then means per sentence."""
    import torch
    import transformers

    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def extract(trace: Trace) -> np.ndarray:
        _, text, sentences = trace
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets: Any = encoded["offset_mapping"]
        with torch.no_grad():
            states = model(torch.tensor([encoded["input_ids"]]), output_hidden_states=True).hidden_states
        rows, cursor = [], 0
        for sentence in sentences:
            start = text.index(sentence, cursor)
            cursor = start + len(sentence)
            inside = [i for i, (first, last) in enumerate(offsets) if last > start and first < cursor]
            rows.append(states[block + 1][0, inside[0] : inside[-1] + 1].float().mean(0))
        return torch.stack(rows).numpy()

    return extract


def _cpu_seconds(function: Callable[[Trace], Any], trace: Trace) -> tuple[float, Any]:
    start = time.process_time()
    result = function(trace)
    return time.process_time() - start, result


def _peak_in_subprocess(folder: Path, n_problems: int) -> dict[str, int]:
    repository = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--memory", str(folder), str(n_problems)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _measure_memory(folder: Path, n_problems: int) -> dict[str, int]:
    """Runs in its own process: resident bytes after the imports, and how far the peak rises above them."""
    import psutil
    import torch
    import transformers

    torch.set_num_threads(1)
    assert transformers.AutoModel, transformers.DynamicCache  # lazy imports belong to the start, not to the growth
    start = psutil.Process().memory_info().rss
    spec = ExtractionSpec(language_model=str(folder))
    with LanguageModelResource(device="cpu").open(spec) as extractor:
        encode = extractor.tokenizer.encode
        traces = (made_trace(MEMORY_TOKENS, encode, problem_id) for problem_id in range(n_problems))
        count = sum(isinstance(result, PooledProblem) for result in extractor.extract(traces, log=lambda _: None))
    assert count == n_problems
    peak = _peak_resident_bytes()
    return {"problems": n_problems, "start": start, "peak": peak, "growth": peak - start}


def _peak_resident_bytes() -> int:
    """Peak of this process. Linux's ``ru_maxrss`` would start at the parent's peak, which a child inherits."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def main(arguments: Sequence[str]) -> None:
    """Print the records as JSON; ``--memory FOLDER N`` is the subprocess of the memory claim."""
    if arguments and arguments[0] == "--memory":
        print(json.dumps(_measure_memory(Path(arguments[1]), int(arguments[2]))))
        return
    folder = os.environ.get("TA_SMOLLM2")
    print(json.dumps(run(Path(folder) if folder else None), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
