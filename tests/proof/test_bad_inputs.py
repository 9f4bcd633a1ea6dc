"""No malformed input ends in an inner library's traceback, in silence or in another number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ta_assets.core.errors import InputError
from ta_assets.core.traces.label_recomputation import Rollout
from ta_assets.studies.loading import read_study
from ta_assets.studies.study import Study
from ta_resources.rollouts.rollout_files import parse_rollouts
from ta_resources.storage.artifacts import ArtifactStore
from ta_resources.storage.folder import Folder
from ta_resources.storage.manifest import MANIFEST
from ta_resources.storage.shards import Shard, ShardStore, read_shard
from tests.proof.bad_artifacts import NAME, SPLIT, pooled
from tests.proof.bad_case import STUDY, BadInput, Bench, Refused, judged
from tests.proof.bad_data import ROLLOUT
from tests.proof.bad_inputs import CATALOGUE, MODULES, Benches, run

IN_PROCESS = [case for case in CATALOGUE if not case.command]


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Benches:
    return Benches(tmp_path_factory.mktemp("benches"))


def test_the_catalogue_is_as_large_as_promised_and_names_no_input_twice() -> None:
    assert len(CATALOGUE) >= 150
    named = [(case.kind, case.name) for case in CATALOGUE]
    assert len(set(named)) == len(named)
    assert all(case.file and case.field and case.expected for case in CATALOGUE)


@pytest.mark.parametrize("kind", sorted({case.kind for case in IN_PROCESS}))
def test_every_malformed_input_is_named(kind: str, tmp_path: Path, benches: Benches) -> None:
    for name in ("model", "corpus"):
        (tmp_path / name).symlink_to(benches.folder / name)
    found = run(tmp_path, [case for case in IN_PROCESS if case.kind == kind])
    unclear = [row for row in found["rows"] if row["outcome"] != "clear"]
    assert unclear == []
    assert found["bad_inputs_unclear"] == 0


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_same_inputs_without_a_fault_are_accepted(module: Any, benches: Benches) -> None:
    healthy = benches.new(f"healthy-{module.__name__}")
    if module.__name__.endswith("studies"):
        healthy.data()
    module.healthy(healthy)


def leaks(_: Bench) -> object:
    return json.loads("{")


def accepts(_: Bench) -> object:
    return {"a": 1}


def says_little(_: Bench) -> object:
    raise InputError("somewhere", "a.b", 3, "something else")


def hangs(_: Bench) -> object:
    while True:
        pass


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (leaks, "leaks"),
        (accepts, "leaks"),
        (says_little, "does not name file, expectation"),
        (lambda _: Refused("x.json: a.b: 4"), "does not name value, expectation"),
        (lambda _: Refused("x.json: a.b: found 3, expected a text"), "clear"),
    ],
)
def test_what_is_not_clear_is_not_counted_as_clear(
    act: Callable, outcome: str, benches: Benches, tmp_path: Path
) -> None:
    case = BadInput("kind", "name", act, "x.json", "a.b", "3", "a text")
    assert judged(case, Bench(tmp_path, benches.folder, benches.folder))["outcome"] == outcome


@pytest.mark.parametrize(
    ("before", "outcome"), [("", "clear"), ("Traceback (most recent call last):\n  File ...\n", "prints a traceback")]
)
def test_what_a_command_says_below_a_traceback_is_unclear(before: str, outcome: str, tmp_path: Path) -> None:
    said = Refused(f"{before}x.json: a.b: found 3, expected a text")
    case = BadInput("kind", "name", lambda _: said, "x.json", "a.b", "3", "a text", command=True)
    assert judged(case, Bench(tmp_path, tmp_path, tmp_path))["outcome"] == outcome


def test_an_answer_holds_neither_the_folder_nor_the_port_of_one_run(tmp_path: Path) -> None:
    def refused(bench: Bench) -> object:
        return Refused(f"{bench.folder}/x.json on http://127.0.0.1:40123/a: a.b: found 3, expected a text")

    row = judged(BadInput("kind", "name", refused, "x.json", "a.b", "3", "a text"), Bench(tmp_path, tmp_path, tmp_path))
    assert row["answer"] == "…/x.json on http://127.0.0.1:<port>/a: a.b: found 3, expected a text"


def test_an_input_without_an_end_is_unclear(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tests.proof.bad_case.SECONDS", 0.2)
    row = judged(BadInput("kind", "name", hangs, "x", "y", "z", "w"), Bench(tmp_path, tmp_path, tmp_path))
    assert row["outcome"] == "leaks"
    assert "hangs" in row["answer"]


def outcome_of(call: Callable[[], Any]) -> Any:
    """What a call gives, or its InputError; anything else is raised."""
    try:
        return call()
    except InputError as error:
        assert all(line.isprintable() for line in str(error).split("\n"))  # one fault per line
        return error


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_as_a_study_are_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    assert isinstance(outcome_of(lambda: read_study(path)), InputError)


PIECES = (
    *"[]{}#~'|>%=\t\n\"",
    *("a: ", "- ", "&a ", "*a ", "<<: ", ", ", "? ", ": ", "  ", "---\n", "...\n", "name", "x"),
    *("!!int ", "!!map ", "!!set ", "!!binary ", "!!timestamp ", "!!omap ", "!x "),
    *(".nan", "2001-99-99", "0x", "0b2", "1e999", "1:2:3"),
)
YAML_TEXTS = st.lists(st.sampled_from(PIECES), max_size=20).map("".join)


@settings(max_examples=300, deadline=None)
@given(text=YAML_TEXTS)
def test_any_yaml_as_a_study_is_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8")
    assert isinstance(outcome_of(lambda: read_study(path)), InputError)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.integers(10**300, 10**301),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
SECTIONS = st.sampled_from(sorted(set(Study.model_fields) - {"name", "seeds", "readme"}))


@settings(max_examples=300, deadline=None)
@given(section=SECTIONS, key=st.text(max_size=6) | st.sampled_from(["seed", "layer", "models", "field"]), value=VALUES)
def test_any_key_of_any_section_is_accepted_or_named(
    section: str, key: str, value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = STUDY.get(section, {})
    for made in (value, {**before, key: value}):
        path = tmp_path_factory.getbasetemp() / "any.yaml"
        path.write_text(yaml.safe_dump({**STUDY, section: made}, allow_unicode=True), encoding="utf-8")
        found = outcome_of(partial(read_study, path))
        assert isinstance(found, (Study, InputError))


@settings(max_examples=150, deadline=None)
@given(
    content=st.binary(max_size=40) | VALUES.map(lambda value: json.dumps({"kind": "value", "files": value}).encode())
)
def test_any_bytes_as_a_manifest_are_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = ArtifactStore(base_dir=str(tmp_path_factory.getbasetemp() / "any"))
    store.save("splits", "setting", SPLIT)
    (Path(store.place("splits", "setting")) / MANIFEST).write_bytes(content)
    assert isinstance(outcome_of(lambda: store.load("splits", "setting")), InputError)


@settings(max_examples=150, deadline=None)
@given(value=VALUES)
def test_any_value_as_splits_is_refused(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = ArtifactStore(base_dir=str(tmp_path_factory.getbasetemp() / "any"))
    folder = Path(store.place("splits", "setting"))
    store.save("splits", "setting", SPLIT)
    content = json.dumps(value).encode()
    manifest = {"kind": "value", "files": {"value.json": hashlib.sha256(content).hexdigest()}}
    (folder / "value.json").write_bytes(content)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    assert isinstance(outcome_of(lambda: store.load("splits", "setting")), InputError)


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.integers(0, 10_000) | st.none())
def test_any_flipped_bit_or_cut_of_a_shard_is_refused(
    at: int, bit: int, cut: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.getbasetemp() / "any-shard"
    ShardStore(Folder(base), "f" * 64).write(NAME, pooled())
    path = base / NAME
    raw = bytearray(path.read_bytes())
    if cut is None:
        raw[at % len(raw)] ^= 1 << bit
    else:
        del raw[cut % len(raw) :]
    path.write_bytes(bytes(raw))
    forged = Shard(NAME, hashlib.sha256(bytes(raw)).hexdigest())
    found = outcome_of(lambda: read_shard(Folder(base), forged))
    # a bit of a fact that no array depends on is another fact: the recorded hash is what notices it
    if not isinstance(found, InputError):
        assert found.vectors.tobytes() == pooled().vectors.tobytes()
        assert found.token_spans.tobytes() == pooled().token_spans.tobytes()


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=40)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(ROLLOUT, VALUES)), max_size=3).map(
        lambda entries: json.dumps(entries).encode()
    )
)
def test_any_bytes_as_rollouts_are_rollouts_or_refused(content: bytes) -> None:
    found = outcome_of(lambda: parse_rollouts("chunk_0/solutions.json", content))
    if not isinstance(found, InputError):
        assert all(isinstance(one, Rollout) for one in found)
