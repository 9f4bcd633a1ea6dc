"""Malformed artifacts: manifests, parquet tables, JSON, shards, splits, the block in a README.

Where it says so the hashes are right, as when somebody edits a file and its manifest: only the shape can tell then.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.options import LabelRule
from ta_assets.core.results.cells import PREDICTION_COLUMNS
from ta_assets.core.values import CellResult, Markdown, PooledProblem
from ta_assets.studies.loading import read_study
from ta_assets.studies.readme_file import read_readme, readme_path, with_block
from ta_resources.storage.artifacts import Activations
from ta_resources.storage.folder import Folder
from ta_resources.storage.manifest import MANIFEST
from ta_resources.storage.shards import Shard, ShardStore, read_shard
from tests.proof.bad_case import BadInput, Bench
from tests.proof.bad_data import labelled

CORPUS, SETTING, CELL = "tiny_correct", "tiny_correct", "3|tiny_correct"
SPLIT = {"train": [1], "val": [2], "test": [3]}


def spans() -> pd.DataFrame:
    """Spans of two sentences of one problem."""
    columns = {"problem_id": [1, 1], "chunk_idx": [0, 1], "token_start": [0, 3], "token_end": [3, 5]}
    return pd.DataFrame({**columns, "token_count": [3, 2]}, dtype="int64")


def record() -> dict[str, Any]:
    """Of an extraction of that problem."""
    return {
        "extraction": {"pooling": "mean"},
        "block": 2,
        "blocks": [2],
        "n_blocks": 4,
        "d_model": 3,
        "shards": {"1": {"2": {"file": "shards/f/problem_1-a.safetensors", "sha256": "0" * 64}}},
        "tokens": {"1": 5},
        "skipped": [],
    }


def predictions() -> pd.DataFrame:
    """Of one test sentence."""
    return pd.DataFrame({name: [0] for name in PREDICTION_COLUMNS}).assign(split="test", score_linear_probe=0.5)


def _saved(bench: Bench, asset: str, partition: str, value: object) -> Path:
    bench.store.save(asset, partition, value)
    return Path(bench.store.place(asset, partition))


def _manifest(name: str, content: object, field: str, value: str, expected: str) -> BadInput:
    """The manifest of a split, replaced: text, bytes, or a function of the healthy one."""

    def act(bench: Bench) -> object:
        path = _saved(bench, "splits", SETTING, SPLIT) / MANIFEST
        made = content(json.loads(path.read_text(encoding="utf-8"))) if callable(content) else content
        path.write_bytes(made if isinstance(made, bytes) else json.dumps(made).encode())
        return bench.store.load("splits", SETTING)

    return BadInput("manifest", name, act, f"splits/{SETTING}/{MANIFEST}", field, value, expected)


def forge(folder: Path, files: Mapping[str, bytes | None], kind: str | None = None) -> None:
    """Replace, add or remove (None) files of an artifact and write their hashes into its manifest."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name, content in files.items():
        if content is None:
            (folder / name).unlink()
            del manifest["files"][name]
        else:
            (folder / name).write_bytes(content)
            manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / MANIFEST).write_text(json.dumps({**manifest, "kind": kind or manifest["kind"]}), encoding="utf-8")


def parquet(table: pd.DataFrame) -> bytes:
    """The bytes of a table."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _forged(
    name: str, files: Mapping[str, bytes | None], file: str, field: str, value: str, expected: str, kind: str | None = None
) -> BadInput:  # fmt: skip
    """An extraction's artifact with other files, whose hashes are right."""

    def act(bench: Bench) -> object:
        forge(_saved(bench, "activations", CORPUS, Activations(spans(), record())), files, kind)
        return bench.store.load("activations", CORPUS)

    what = "parquet artifact" if next(iter(files)).endswith(".parquet") else "JSON artifact"
    return BadInput(what, name, act, f"activations/{CORPUS}/{file}", field, value, expected)


def _spans(name: str, edit: Callable[[pd.DataFrame], Any], field: str, value: str, expected: str) -> BadInput:
    return _forged(name, {"spans.parquet": parquet(edit(spans()))}, "spans.parquet", field, value, expected)


def _record(name: str, edit: Callable[[dict[str, Any]], object], field: str, value: str, expected: str) -> BadInput:
    return _forged(name, {"record.json": json.dumps(edit(record())).encode()}, "record.json", field, value, expected)


def _sentences(name: str, edit: Callable[[pd.DataFrame], object], field: str, value: str, expected: str) -> BadInput:
    def act(bench: Bench) -> object:
        table = labelled(bench)
        assert isinstance(table, pd.DataFrame)
        _saved(bench, "sentences", CORPUS, edit(table))
        return bench.store.load("sentences", CORPUS)

    return BadInput("parquet artifact", name, act, f"sentences/{CORPUS}/value.parquet", field, value, expected)


def _predictions(name: str, table: pd.DataFrame, field: str, value: str, expected: str) -> BadInput:
    def act(bench: Bench) -> object:
        _saved(bench, "probe_metrics", CELL, CellResult({"seed": 3}, table, Markdown("# Cell\n")))
        return bench.store.load("probe_metrics", CELL)

    file = "probe_metrics/tiny_correct/3/predictions.parquet"
    return BadInput("parquet artifact", name, act, file, field, value, expected)


def _split(name: str, value_: object, field: str, value: str, expected: str) -> BadInput:
    def act(bench: Bench) -> object:
        _saved(bench, "splits", SETTING, value_)
        return bench.store.load("splits", SETTING)

    return BadInput("splits", name, act, f"splits/{SETTING}/value.json", field, value, expected)


def _problem_ids(bench: Bench) -> object:
    _saved(bench, "problem_ids", SETTING, [1, "2", 3])
    return bench.store.load("problem_ids", SETTING)


def _never_made(bench: Bench) -> object:
    return bench.store.load("splits", SETTING)


def _changed(bench: Bench) -> object:
    (_saved(bench, "splits", SETTING, SPLIT) / "value.json").write_text('{"train": [2]}', encoding="utf-8")
    return bench.store.load("splits", SETTING)


def _gone(bench: Bench) -> object:
    (_saved(bench, "splits", SETTING, SPLIT) / "value.json").unlink()
    return bench.store.load("splits", SETTING)


def _renamed_columns(table: pd.DataFrame) -> pd.DataFrame:
    swapped = {"token_start": "token_end", "token_end": "token_start"}
    return table.rename(columns=swapped)


MANIFESTS = [
    BadInput("manifest", "an artifact that was never made", _never_made, f"splits/{SETTING}", MANIFEST, "None", "materialize splits first"),
    BadInput("manifest", "a file changed behind its manifest", _changed, "value.json", "sha256", "'", "materialize splits again"),
    BadInput("manifest", "a file gone from its manifest", _gone, "value.json", "sha256", "None", "materialize splits again"),
    _manifest("an empty manifest", b"", "content", "Expecting value", "a manifest"),
    _manifest("a manifest that is no text", b"\xff", "content", "utf-8", "a manifest"),
    _manifest("a manifest of open brackets", b"[" * 100_000, "content", "recursion", "a manifest"),
    _manifest("a list in place of a manifest", [], "content", "[]", "a manifest"),
    _manifest("a kind of nobody", lambda m: {**m, "kind": "Popen"}, "kind", "'Popen'", "one of value"),
    _manifest("a kind that is a list", lambda m: {**m, "kind": ["value"]}, "kind", "['value']", "one of value"),
    _manifest("no kind", lambda m: {"files": m["files"]}, "kind", "None", "one of value"),
    _manifest("no files", lambda m: {**m, "files": {}}, "files", "{}", "with their hashes"),
    _manifest("files without hashes", lambda m: {**m, "files": ["value.json"]}, "files", "['value.json']", "with their hashes"),
    _manifest("a file above its folder", lambda m: {**m, "files": {"../../secret.json": "0"}}, "files", "../../secret.json", "in this folder"),
    _manifest("a pickle", lambda m: {**m, "files": {"value.pkl": "0"}}, "files", "value.pkl", "ending in .parquet"),
    _manifest("a hash that is a number", lambda m: {**m, "files": {"value.json": 7}}, "files.value.json", "7", "a SHA-256"),
]  # fmt: skip

TABLES = [
    _forged("a table that is a text", {"spans.parquet": b"no parquet"}, "spans.parquet", "content", "Arrow", "a parquet table"),
    _forged("a table that is empty", {"spans.parquet": b""}, "spans.parquet", "content", "Arrow", "a parquet table"),
    _forged("a table cut in half", {"spans.parquet": parquet(spans())[:500]}, "spans.parquet", "content", "Arrow", "a parquet table"),
    _forged("a JSON list in place of a table", {"spans.parquet": None, "spans.json": b"[]"}, "spans", "content", "[]", "DataFrame"),
    _forged("a part that is missing", {"spans.parquet": None}, MANIFEST, "files", "['record']", "record, spans"),
    _forged("a part of nobody", {"extra.parquet": parquet(spans())}, MANIFEST, "files", "'extra'", "record, spans"),
    _forged("a record under the name of a value", {"spans.parquet": parquet(spans())}, MANIFEST, "files", "'spans'", "one file value", kind="value"),
    _spans("spans without a column", lambda t: t.drop(columns="token_start"), "columns", "'token_end'", "also token_start"),
    _spans("spans as floats", lambda t: t.astype({"token_start": float}), "token_start", "float64", "int64"),
    _spans("spans as texts", lambda t: t.astype({"problem_id": str}), "problem_id", "object", "int64"),
    _spans("spans with swapped columns", _renamed_columns, "token_start, token_end", "[3, 0]", "start < end"),
    _spans("a span below zero", lambda t: t.assign(token_start=[-4, 3]), "token_start, token_end", "[-4, 3]", "0 <= start"),
    _spans("a sentence twice", lambda t: pd.concat([t, t[:1]]), "problem_id, chunk_idx", "[1, 0]", "each sentence once"),
    _sentences("sentences without labels", lambda t: t.drop(columns="anchor"), "columns", "'problem_id'", "also anchor"),
    _sentences("labels as texts", lambda t: t.astype({"anchor": str}), "anchor", "object", "int64"),
    _sentences("labels as floats", lambda t: t.astype({"anchor": float}), "anchor", "float64", "int64"),
    _sentences("a label of two", lambda t: t.assign(anchor=t["anchor"] * 2), "anchor", "2.0", "from 0 to 1"),
    _sentences("an importance of no number", lambda t: t.assign(importance_score=np.nan), "importance_score", "nan", "finite"),
    _sentences("labels and indices swapped", lambda t: t.rename(columns={"anchor": "chunk_idx", "chunk_idx": "anchor"}), "problem_id, chunk_idx", "[1, ", "each sentence once"),
    _sentences("a position outside its trace", lambda t: t.assign(relative_position=np.float32(1.5)), "relative_position", "1.5", "from 0 to 1"),
    _predictions("predictions without a column", predictions().drop(columns="split"), "columns", "'anchor'", "also split"),
    _predictions("scores as texts", predictions().assign(score_linear_probe="high"), "score_linear_probe", "object", "floats"),
]  # fmt: skip

RECORDS = [
    _forged("JSON that ends too early", {"record.json": b'{"block": 2'}, "record.json", "content", "JSONDecodeError", "JSON"),
    _forged("JSON that is no text", {"record.json": b"\xff"}, "record.json", "content", "UnicodeDecodeError", "JSON"),
    _forged("JSON of open brackets", {"record.json": b"[" * 100_000}, "record.json", "content", "RecursionError", "JSON"),
    _record("a record that is a list", lambda _: [1], "content", "[1]", "dict"),
    _record("a record without shards", lambda r: {k: v for k, v in r.items() if k != "shards"}, "shards", "None", "required"),
    _record("a record without its block", lambda r: {k: v for k, v in r.items() if k != "block"}, "block", "None", "required"),
    _record("a shard of a problem in words", lambda r: {**r, "shards": {"one": r["shards"]["1"]}}, "shards.one", "'one'", "pattern"),
    _record("a shard outside", lambda r: {**r, "shards": {"1": {"2": {"file": "../../x", "sha256": "0"}}}}, "shards.1.2.file", "'../../x'", "below the folder of artifacts"),
    _record("an absolute shard", lambda r: {**r, "shards": {"1": {"2": {"file": "/etc/passwd", "sha256": "0"}}}}, "shards.1.2.file", "'/etc/passwd'", "below the folder of artifacts"),
    _record("a shard without a hash", lambda r: {**r, "shards": {"1": {"2": {"file": "x"}}}}, "shards.1.2.sha256", "None", "required"),
    _record("a shard of another block only", lambda r: {**r, "block": 3}, "shards.1", "['2']", "block 3"),
    _record("a skip without a reason", lambda r: {**r, "skipped": [{"problem_id": 1, "kind": "overflow"}]}, "skipped.0.reason", "None", "required"),
    _record("skips in words", lambda r: {**r, "skipped": "none"}, "skipped", "'none'", "list"),
]  # fmt: skip

SPLITS = [
    _split("a split without a part", {"train": [1], "val": [2]}, "test", "None", "required"),
    _split("a split that is a list", [1, 2, 3], "content", "[1, 2, 3]", "dictionary"),
    _split("ids in quotes", {**SPLIT, "val": ["2"]}, "val.0", "'2'", "valid integer"),
    _split("half an id", {**SPLIT, "val": [2.5]}, "val.0", "2.5", "valid integer"),
    _split("an id that is a truth", {**SPLIT, "val": [True]}, "val.0", "True", "valid integer"),
    _split("a part that is a number", {**SPLIT, "train": 1}, "train", "1", "valid list"),
    _split("a fold in words", {"folds": {"one": SPLIT}}, "folds.one", "'one'", "pattern"),
    _split("a fold without a part", {"folds": {"1": {"train": [1]}}}, "folds.1.val", "None", "required"),
    _split("folds that are a list", {"folds": [SPLIT]}, "folds", "[{", "dictionary"),
    BadInput("splits", "problem ids in quotes", _problem_ids, f"problem_ids/{SETTING}/value.json", "1", "'2'", "valid integer"),
]  # fmt: skip

NAME = "shards/fffffffffffffff/problem_7-0.safetensors"


def pooled(**changes: Any) -> PooledProblem:
    """Two sentences of five tokens."""
    vectors, token_spans = np.ones((2, 3), np.float32), np.array([[0, 3], [3, 5]], np.int64)
    return PooledProblem(**{
        "problem_id": 7, "block": 2, "vectors": vectors, "token_spans": token_spans, "n_tokens": 5, "text": "a b", **changes
    })  # fmt: skip


def _shard(name: str, edit: Callable[[Path], object], field: str, value: str, expected: str, **changes: Any) -> BadInput:  # fmt: skip
    """A shard that ``edit`` changes after it was written; the recorded hash is that of the changed file."""

    def act(bench: Bench) -> object:
        base = bench.folder / "artifacts"
        ShardStore(Folder(base), "f" * 64).write(NAME, pooled(**changes))
        edit(base / NAME)
        return read_shard(Folder(base), Shard(NAME, hashlib.sha256((base / NAME).read_bytes()).hexdigest()))

    return BadInput("safetensors shard", name, act, NAME, field, value, expected)


def _arrays(name: str, field: str, value: str, expected: str, **changes: Any) -> BadInput:
    return _shard(name, lambda _: None, field, value, expected, **changes)


def _facts(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        from safetensors import safe_open
        from safetensors.numpy import load_file, save_file

        with safe_open(path, framework="numpy") as file:
            facts = json.loads(file.metadata()["facts"])
        made = edit(facts)
        text = made if isinstance(made, str) else json.dumps(made)
        save_file(load_file(path), path, metadata={"facts": text})

    return act


def _bytes(edit: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(edit(path.read_bytes()))


def _without_metadata(path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    save_file(load_file(path), path)


def _of_another_problem(bench: Bench) -> object:
    base = bench.folder / "artifacts"
    other = NAME.replace("problem_7", "problem_8")
    shard = ShardStore(Folder(base), "f" * 64).write(NAME, pooled())
    (base / NAME).rename(base / other)
    return read_shard(Folder(base), Shard(other, shard.sha256))


def _recorded_otherwise(bench: Bench) -> object:
    base = bench.folder / "artifacts"
    ShardStore(Folder(base), "f" * 64).write(NAME, pooled())
    return read_shard(Folder(base), Shard(NAME, "0" * 64))


def _no_shard(bench: Bench) -> object:
    return read_shard(Folder(bench.folder), Shard(NAME, "0" * 64))


NAN = np.array([[0, 1, 2], [3, np.nan, 5]], np.float32)

SHARDS = [
    BadInput("safetensors shard", "a shard that is absent", _no_shard, NAME, "file", "None", "materialize activations again"),
    BadInput("safetensors shard", "a shard with another hash", _recorded_otherwise, NAME, "sha256", "'", "as recorded"),
    BadInput("safetensors shard", "the shard of another problem", _of_another_problem, "problem_8", "facts: name", "problem_7", "its own"),
    _shard("a shard cut in half", _bytes(lambda raw: raw[: len(raw) // 2]), "content", "header", "a shard"),
    _shard("a shard that is empty", _bytes(lambda _: b""), "content", "header", "a shard"),
    _shard("a shard that is a text", _bytes(lambda _: b"vectors of a problem"), "content", "header", "a shard"),
    _shard("a flipped bit in the vectors", _bytes(lambda raw: raw[:-3] + bytes([raw[-3] ^ 1]) + raw[-2:]), "content_sha256", "'", "hash of the arrays"),
    _shard("a shard without facts", _without_metadata, "content", "facts", "a shard"),
    _shard("facts that are no JSON", _facts(lambda _: "{"), "content", "property name", "a shard"),
    _shard("facts that are a list", _facts(lambda _: []), "facts: name", "[]", "str"),
    _shard("facts without a block", _facts(lambda f: {k: v for k, v in f.items() if k != "block"}), "facts: block", "None", "int"),
    _shard("a block in quotes", _facts(lambda f: {**f, "block": "2"}), "facts: block", "'2'", "int"),
    _arrays("vectors of no number", "row 1", "NaN", "finite", vectors=NAN),
    _arrays("endless vectors", "row 0", "infinity", "finite", vectors=np.full((2, 3), np.inf, np.float16)),
    _arrays("vectors as integers", "vectors", "int64 [2, 3]", "float16 or float32", vectors=np.ones((2, 3), np.int64)),
    _arrays("vectors as doubles", "vectors", "float64 [2, 3]", "float16 or float32", vectors=np.ones((2, 3))),
    _arrays("vectors in one line", "vectors", "float32 [6]", "[n, d_model]", vectors=np.ones(6, np.float32)),
    _arrays("a vector too few", "vectors", "1 rows", "2, as the spans say", vectors=np.ones((1, 3), np.float32)),
    _arrays("spans in one line", "token_spans", "int64 [4]", "[n_sentences, 2]", token_spans=np.arange(4)),
    _arrays("spans as floats", "token_spans", "float64 [2, 2]", "int64", token_spans=np.array([[0.0, 1], [1, 2]])),
    _arrays("spans that end before they start", "token_spans", "[[3, 0], [3, 5]]", "start < end", token_spans=np.array([[3, 0], [3, 5]])),
    _arrays("offsets that decrease", "offsets", "[0, 2, 1]", "do not decrease", offsets=np.array([0, 2, 1])),
    _arrays("an offset too few", "offsets", "[0, 2]", "3 numbers", offsets=np.array([0, 2])),
]  # fmt: skip


def _readme(name: str, text: str | bytes | None, field: str, value: str, expected: str) -> BadInput:
    def act(bench: Bench) -> object:
        study = read_study(bench.study())
        path = readme_path(study, bench.folder)
        if text is not None:
            bench.write("mine/README.md", text)
        return with_block(read_readme(path), study, "new", path)

    return BadInput("README", name, act, "mine/README.md", field, value, expected)


START, END = "<!-- TA_RESULTS_START mine -->", "<!-- TA_RESULTS_END mine -->"
READMES = [
    _readme("a README that is absent", None, "file", "FileNotFoundError", "UTF-8"),
    _readme("a README that is no text", b"\xff", "file", "UnicodeDecodeError", "UTF-8"),
    _readme("a README without markers", "# Title\n", START, "0 times", "exactly once"),
    _readme("a marker twice", f"{START}\n{START}\n{END}\n", START, "2 times", "exactly once"),
    _readme("markers in the wrong order", f"{END}\n{START}\n", END, "before the start", "after it"),
]

CASES: list[BadInput] = [*MANIFESTS, *TABLES, *RECORDS, *SPLITS, *SHARDS, *READMES]


def healthy(bench: Bench) -> None:
    """Artifacts without a fault come back."""
    table = labelled(bench, **vars(LabelRule()))
    for asset, partition, value in (
        ("splits", SETTING, SPLIT),
        ("problem_ids", SETTING, [1, 2, 3]),
        ("sentences", CORPUS, table),
        ("activations", CORPUS, Activations(spans(), record())),
        ("probe_metrics", CELL, CellResult({"seed": 3}, predictions(), Markdown("# Cell\n"))),
    ):
        _saved(bench, asset, partition, value)
        assert isinstance(bench.store.load(asset, partition), type(value))
    forge(Path(bench.store.place("activations", CORPUS)), {"spans.parquet": parquet(spans())})
    base = bench.folder / "artifacts"
    tokens = pooled(vectors=np.ones((5, 3), np.float16), offsets=np.array([0, 3, 5]))
    for one in (pooled(), tokens):
        assert (
            read_shard(Folder(base), ShardStore(Folder(base), "f" * 64).write(NAME, one)).vectors.tobytes()
            == one.vectors.tobytes()
        )
