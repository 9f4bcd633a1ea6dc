"""Make the embedded language model and its corpora: ``python -m ta_resources.embedded.make OUTPUT_FOLDER``.

What ships comes from this code with seed 0 and one thread, but not from one run of the command: wrong traces 41 to 100
were sampled afterwards, which is the same since each problem has seeds of its own. The command trains the model of
``training`` on the language of ``task``, samples traces of it, resamples 60 rollouts at each sentence, labels the
sentences by the dataset's definition (``labels``) and writes ``OUTPUT_FOLDER/model`` and
``OUTPUT_FOLDER/math-rollouts`` in the layout of ``uzaymacar/math-rollouts``. The same seed and number of threads give
the same files on the same machine. Fields that would need another model (``*_kl``, ``forced_*``,
``overdeterminedness``, ``summary``) are absent. The rollouts themselves ship for the shortest trace of each corpus.

Belongs here: the order of the work, and writing. Stays out: everything else.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen2ForCausalLM

from ta_resources.embedded.corpora import CorpusOptions, Sampler, Trace, build_corpora
from ta_resources.embedded.rollout_sampling import TEMPERATURE
from ta_resources.embedded.training import TrainingOptions, train

MODEL_FOLDER = "embedded-clock-qwen2"
SETTING_FOLDER = f"temperature_{TEMPERATURE}_top_p_1.0"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, make everything, write it."""
    parser = argparse.ArgumentParser(
        prog="python -m ta_resources.embedded.make", description="Make the embedded language model and its corpora."
    )
    parser.add_argument("output", type=Path, help="folder for model/ and math-rollouts/")
    parser.add_argument("--seed", type=_whole_number(0, 2**32 - 1), default=0)
    parser.add_argument("--threads", type=_whole_number(1, 1024), default=1)
    parser.add_argument("--keep-model", action="store_true", help="use OUTPUT_FOLDER/model instead of training it")
    options = parser.parse_args(arguments)
    if options.output.exists() and not options.output.is_dir():
        parser.error(f"argument output: found {str(options.output)!r}, expected a folder, or a place for one")
    if options.keep_model and not (options.output / "model/config.json").is_file():
        parser.error(f"argument --keep-model: found no model/config.json in {str(options.output)!r}, expected a model")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    model_folder = options.output / "model"
    if not options.keep_model:
        model, tokenizer = train(TrainingOptions(seed=options.seed))
        model.save_pretrained(model_folder)
        tokenizer.save_pretrained(model_folder)
    # Always from the files: the corpora must come from the model that ships.
    sampler = Sampler(
        Qwen2ForCausalLM.from_pretrained(model_folder, use_safetensors=True, dtype=torch.float32).eval(),
        AutoTokenizer.from_pretrained(model_folder),
    )
    write_corpora(options.output / "math-rollouts", build_corpora(sampler, CorpusOptions(seed=options.seed)))


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    """The type of an argument, for argparse."""

    def parsed(text: str) -> int:
        if not re.fullmatch("[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from {low} to {high}")
        return int(text)

    return parsed


def write_corpora(root: Path, traces: Sequence[Trace]) -> None:
    """All traces in the dataset's layout below ``root``; rollouts only of the shortest trace of each corpus."""
    for is_correct in (True, False):
        corpus = [trace for trace in traces if trace.is_correct == is_correct]
        folder = root / MODEL_FOLDER / SETTING_FOLDER / f"{'correct' if is_correct else 'incorrect'}_base_solution"
        shortest = min(corpus, key=lambda trace: (len(trace.chunks), len(trace.base_solution["full_cot"])))
        for trace in corpus:
            problem_folder = folder / f"problem_{trace.problem_id}"
            _write(problem_folder / "problem.json", trace.problem)
            _write(problem_folder / "base_solution.json", trace.base_solution)
            _write(problem_folder / "chunks_labeled.json", trace.chunks)
            if trace is shortest:
                for index, rollouts in enumerate(trace.rollouts):
                    _write(problem_folder / f"chunk_{index}" / "solutions.json", rollouts, indent=None)


def _write(path: Path, value: Any, indent: int | None = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=indent, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
