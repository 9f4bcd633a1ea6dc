"""Malformed arguments of commands and files that they read; and, in processes of their own, Dagster's commands."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from ta_assets import reproduce, split
from tests.proof.bad_case import BadInput, Bench, Refused, command_line

SPLITS = {"train": [1, 2, 3], "val": [4], "test": [5]}


def labels() -> pd.DataFrame:
    """Labelled sentences of five problems, ten each."""
    rng = random.Random(0)
    rows = [
        {
            "problem_id": problem_id,
            "chunk_idx": index,
            "num_chunks": 10,
            "relative_position": index / 9,
            "token_count": rng.randint(3, 9),
            "anchor": int(index in (2, 7)),
            "importance_score": rng.random(),
            "chunk_text": " ".join(rng.choices(["sum", "of", "two", "is", "five"], k=5)),
        }
        for problem_id in range(1, 6)
        for index in range(10)
    ]
    return pd.DataFrame(rows)


def predictions() -> pd.DataFrame:
    """Scores of the val and test sentences at one seed."""
    table = labels()
    table = table[table["problem_id"] > 3].reset_index(drop=True)
    return table.assign(seed=0, split=["val" if one == 4 else "test" for one in table["problem_id"]], score_linear=0.5)


def published(bench: Bench) -> dict[str, Path]:
    """The three healthy files of ``ta_assets.reproduce``."""
    files = {name: bench.folder / f"{name}.parquet" for name in ("labels", "predictions")}
    labels().to_parquet(files["labels"])
    predictions().to_parquet(files["predictions"])
    return {**files, "splits": bench.write("splits.json", SPLITS)}


def reproduced(files: dict[str, Path], *more: str) -> Refused | None:
    """Run the command on the files."""
    return command_line(reproduce.main, *(part for name, path in files.items() for part in (f"--{name}", path)), *more)


def _reproduce(name: str, file: str, content: object, field: str, value: str, expected: str) -> BadInput:
    """One file replaced: bytes, a table, a function of the healthy table, or JSON; None removes it."""

    def act(bench: Bench) -> object:
        files = published(bench)
        path = files[file]
        made = content(pd.read_parquet(path)) if callable(content) else content
        if made is None:
            path.unlink()
        elif isinstance(made, pd.DataFrame):
            made.to_parquet(path)
        else:
            path.write_bytes(made if isinstance(made, bytes) else json.dumps(made).encode())
        return reproduced(files)

    return BadInput("CLI files", name, act, file, field, value, expected)


def _usage(name: str, act: Callable[[Bench], object], file: str, field: str, value: str, expected: str) -> BadInput:
    return BadInput("CLI arguments", name, act, file, field, value, expected)


def _parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer)
    return buffer.getvalue()


REPRODUCE = [
    _usage("reproduce without predictions", lambda b: command_line(reproduce.main, "--labels", "a", "--splits", "b"), "ta_assets.reproduce", "--predictions", "", "required"),
    _usage("reproduce with labels and no splits", lambda b: command_line(reproduce.main, "--labels", "a", "--predictions", "b"), "ta_assets.reproduce", "--splits", "", "need each other"),
    _usage("recalls at no sentence", lambda b: reproduced(published(b), "--k", "0"), "ta_assets.reproduce", "--k", "'0'", "invalid"),
    _usage("reproduce with an argument of nobody", lambda b: reproduced(published(b), "--loud"), "ta_assets.reproduce", "--loud", "--loud", "unrecognized"),
    _reproduce("labels that are absent", "labels", None, "file", "No such file", "a readable parquet file"),
    _reproduce("labels that are a text", "labels", b"no parquet", "file", "Parquet magic bytes", "a readable parquet file"),
    _reproduce("labels that are empty", "labels", b"", "file", "Parquet file size is 0", "a readable parquet file"),
    _reproduce("labels of one column", "labels", _parquet(a=[1]), "columns", "['a']", "also problem_id"),
    _reproduce("labels without rows", "labels", lambda t: t.head(0), "rows", "0", "at least one row"),
    _reproduce("labels without an anchor", "labels", lambda t: t.drop(columns="anchor"), "columns", "'problem_id'", "also anchor"),
    _reproduce("an anchor of two", "labels", lambda t: t.assign(anchor=t["anchor"] * 2), "anchor", "[2]", "only 0 and 1"),
    _reproduce("anchors everywhere", "labels", lambda t: t.assign(anchor=1), "anchor", "[1]", "both 0 and 1"),
    _reproduce("an anchor that is a list", "labels", lambda t: t.assign(anchor=[[1]] * len(t)), "anchor", "'object'", "a column of numbers"),
    _reproduce("half a problem", "labels", lambda t: t.assign(problem_id=t["problem_id"] + 0.5), "problem_id", "float64", "whole numbers"),
    _reproduce("a sentence twice", "labels", lambda t: pd.concat([t, t[:1]]), "problem_id, chunk_idx", "1 repeated rows", "each sentence once"),
    _reproduce("an importance of no number", "labels", lambda t: t.assign(importance_score=float("nan")), "importance_score", "50 values", "finite numbers"),
    _reproduce("an importance beyond float32", "labels", lambda t: t.assign(importance_score=1e300), "importance_score", "50 values", "finite numbers"),
    _reproduce("a position that is imaginary", "labels", lambda t: t.assign(relative_position=pd.to_datetime(t["chunk_idx"])), "relative_position", "datetime64", "a column of numbers"),
    _reproduce("sentences that are numbers", "labels", lambda t: t.assign(chunk_text=5), "chunk_text", "no text", "text in every row"),
    _reproduce("predictions without scores", "predictions", lambda t: t.drop(columns="score_linear"), "columns", "'anchor'", "score_<model>"),
    _reproduce("scores as texts", "predictions", lambda t: t.assign(score_linear="high"), "score_linear", "object", "a column of numbers"),
    _reproduce("scores beyond all bounds", "predictions", lambda t: t.assign(score_linear=float("inf")), "score_linear", "20 values", "finite numbers"),
    _reproduce("predictions of test rows only", "predictions", lambda t: t.assign(split="test"), "split of seed 0", "['test']", "rows of val and of test"),
    _reproduce("a part of nobody", "predictions", lambda t: t.assign(split="holdout"), "split of seed 0", "['holdout']", "rows of val and of test"),
    _reproduce("parts that are lists", "predictions", lambda t: t.assign(split=[["val"]] * len(t)), "split", "['val']", "text in every row"),
    _reproduce("half a seed", "predictions", lambda t: t.assign(seed=0.5), "seed", "float64", "whole numbers"),
    _reproduce("splits that are absent", "splits", None, "file", "No such file", "a readable JSON file"),
    _reproduce("splits that end too early", "splits", b"{", "line 1", "''", "JSON"),
    _reproduce("splits that are a list", "splits", [], "train", "None", "a list of problem ids"),
    _reproduce("an empty part", "splits", {**SPLITS, "train": []}, "train", "[]", "not empty"),
    _reproduce("an id that is a truth", "splits", {**SPLITS, "train": [1, True]}, "train", "True", "whole numbers"),
    _reproduce("a problem in two parts", "splits", {**SPLITS, "test": [1]}, "problem ids", "[1]", "one part"),
    _reproduce("a problem without rows", "splits", {**SPLITS, "test": [77]}, "problem ids", "[77]", "have rows"),
    _reproduce("splits of open brackets", "splits", b"[" * 100_000, "whole file", "[[[", "ordinary size"),
    _reproduce("a part given twice", "splits", b'{"train": [1], "train": [2], "val": [4], "test": [5]}', "train", "twice", "each key once"),
]  # fmt: skip


def _split(name: str, content: object, value: str, expected: str) -> BadInput:
    def act(bench: Bench) -> object:
        path = bench.folder / "trace.txt"
        if content == "folder":
            path.mkdir()
        elif content == "pipe":
            os.mkfifo(path)
        elif content is not None:
            bench.write("trace.txt", content)
        return command_line(split.main, path)

    return BadInput("CLI files", name, act, "trace.txt", "file", value, expected)


SPLIT = [
    _usage("split without a file", lambda _: command_line(split.main), "ta_assets.split", "FILE", "", "required"),
    _usage("split of two files", lambda _: command_line(split.main, "a", "b"), "ta_assets.split", "unrecognized", "b", "arguments"),
    _split("a trace that is absent", None, "FileNotFoundError", "a readable UTF-8 text"),
    _split("a folder in place of a trace", "folder", "IsADirectoryError", "a readable UTF-8 text"),
    _split("a pipe in place of a trace", "pipe", "no regular file", "a readable UTF-8 text"),
    _split("a trace in Latin-1", b"\xe9t\xe9", "UnicodeDecodeError", "a readable UTF-8 text"),
    _split("an empty trace", "", "''", "at least one word"),
    _split("a trace that thinks nothing", "<think></think>Five.", "<think>", "at least one word"),
]  # fmt: skip


def _make(name: str, arguments: Callable[[Bench], list[object]], field: str, value: str, expected: str) -> BadInput:
    def act(bench: Bench) -> object:
        from ta_resources.embedded import make

        return command_line(make.main, *arguments(bench))

    return BadInput("CLI arguments", name, act, "ta_resources.embedded.make", field, value, expected)


def _a_file(bench: Bench) -> list[object]:
    return [bench.write("out", "a file")]


MAKE = [
    _make("make without a folder", lambda _: [], "output", "", "required"),
    _make("make into a file", _a_file, "output", "out", "a folder"),
    _make("a seed in words", lambda b: [b.folder, "--seed", "one"], "--seed", "'one'", "whole number"),
    _make("a negative seed", lambda b: [b.folder, "--seed", "-1"], "--seed", "'-1'", "from 0"),
    _make("a seed beyond 32 bits", lambda b: [b.folder, "--seed", "99999999999"], "--seed", "'99999999999'", "from 0"),
    _make("no thread", lambda b: [b.folder, "--threads", "0"], "--threads", "'0'", "from 1"),
    _make("a million threads", lambda b: [b.folder, "--threads", "1000000"], "--threads", "'1000000'", "from 1"),
    _make("a model to keep that is not there", lambda b: [b.folder, "--keep-model"], "--keep-model", "model", "config.json"),
]  # fmt: skip


def _dagster(name: str, command: str, study: Callable[[Bench], object], file: str, field: str, value: str, expected: str) -> BadInput:  # fmt: skip
    def act(bench: Bench) -> object:
        return bench.run("dagster", *command.split(), TA_STUDY=str(study(bench)))

    return BadInput("environment", name, act, file, field, value, expected, command=True)


def _small(**sections: Any) -> Callable[[Bench], Path]:
    """A study of the bench's own data and model, cheap to release."""

    def write(bench: Bench) -> Path:
        bench.data()
        bench.model_folder()
        cheap = {
            "statistics": {"bootstrap": 100},
            "inference": {"permutations": 200, "ceiling_draws": 20},
            "probes": {"mlp_hidden": 8, "mlp_max_iter": 30},
        }
        return bench.study(**{**cheap, **sections})

    return write


def _broken_problem(bench: Bench) -> Path:
    path = _small()(bench)
    bench.problem_file("chunks_labeled.json").write_text("[", encoding="utf-8")
    return path


def _broken_model(bench: Bench) -> Path:
    path = _small()(bench)
    weights = bench.model_folder() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    return path


def _long_trace(bench: Bench) -> Path:
    path = _small()(bench)
    (bench.model_folder() / "tokenizer_config.json").write_text('{"model_max_length": 20}', encoding="utf-8")
    return path


RELEASE = "job execute -j release"
COMMANDS = [
    _dagster("a release of a study that is absent", RELEASE, lambda _: "nowhere.yaml", "TA_STUDY", "value", "'nowhere.yaml'", "one of embedded, paper"),
    _dagster("a release of a study with a fault", RELEASE, lambda b: b.study(seeds=3), "study.yaml", "seeds", "3", "5"),
    _dagster("validation of a study with a fault", "definitions validate", lambda b: b.study(seeds=3), "study.yaml", "seeds", "3", "5"),
    _dagster("a list of assets of a study that is a text", "asset list -m ta_assets.definitions", lambda b: b.write("study.yaml", "text"), "study.yaml", "file", "'text'", "a mapping"),
    _dagster("a release of a half problem", RELEASE, _broken_problem, "chunks_labeled.json", "line 1", "''", "JSON"),
    _dagster("a release with half a model", RELEASE, _broken_model, "model", "model.safetensors", "incomplete metadata", "whole safetensors"),
    _dagster("a release that skips problems", RELEASE, _long_trace, "activations[small_correct]", "zero_skipped_problems", "3 of 3 problems", "fewer problems than it names"),
    BadInput(
        "CLI arguments", "split as a process, without its file", lambda b: b.run("python", "-m", "ta_assets.split", "absent"),
        "absent", "file", "FileNotFoundError", "a readable UTF-8 text", command=True,
    ),
    BadInput(
        "CLI arguments", "the embedded model as a process, no thread",
        lambda b: b.run("python", "-m", "ta_resources.embedded.make", str(b.folder), "--threads", "0"),
        "ta_resources.embedded.make", "--threads", "'0'", "from 1", command=True,
    ),
]  # fmt: skip

CASES: list[BadInput] = [*REPRODUCE, *SPLIT, *MAKE, *COMMANDS]


def healthy(bench: Bench) -> None:
    """Commands with healthy files succeed."""
    trace = bench.write("trace.txt", "The sum of two is five. So it is.")
    answers = [reproduced(published(bench)), command_line(split.main, trace)]
    assert answers == [None, None], answers
