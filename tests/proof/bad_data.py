"""Malformed datasets: problem files, folders, rollouts, listings of a Hub, and what is kept of one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from typing import Any, cast

import pandas as pd

from ta_assets.assets.problems import chosen_ids
from ta_assets.core.options import LabelRule
from ta_assets.core.traces.labels import label_usable
from ta_assets.core.values import CorpusSource
from ta_assets.ledger.world import World
from ta_assets.studies.loading import Studies, read_study
from ta_resources.rollouts.resource import RolloutsResource
from tests.proof.bad_case import N_PROBLEMS, PREFIX, BadInput, Bench, Refused, refused
from tests.resources.hub_stand_in import HubStandIn

CHUNKS, SOLUTION, STATEMENT = "chunks_labeled.json", "base_solution.json", "problem.json"
IMPORTANCE = "counterfactual_importance_accuracy"


def labelled(bench: Bench, **rule: Any) -> pd.DataFrame | Refused:
    """The bench's dataset, read and labelled as the asset ``sentences`` does it; a skip goes to its check.

    What is wrong with one problem must not cost another one.
    """
    rollouts, source = bench.rollouts, bench.source
    ids = rollouts.list_problem_ids(source)
    table, skipped = label_usable(rollouts.read_problems(source, ids), LabelRule(**rule))
    assert {*table["problem_id"], *(skip.problem_id for skip in skipped)} == set(ids)
    return refused(skipped, len(ids)) if skipped else table


def _file(name: str, file: str, content: object, field: str, value: str, expected: str, /, **rule: Any) -> BadInput:
    """A problem's file with other content: bytes, text, a function of the healthy value, or a value."""

    def act(bench: Bench) -> object:
        path = bench.problem_file(file)
        made = content(json.loads(path.read_text(encoding="utf-8"))) if callable(content) else content
        raw = made if isinstance(made, bytes) else (made if isinstance(made, str) else json.dumps(made)).encode()
        path.write_bytes(raw)
        return labelled(bench, **rule)

    return BadInput("problem JSON", name, act, f"problem_1/{file}", field, value, expected)


def _chunk(name: str, value: str, expected: str, field: str = IMPORTANCE, /, **changes: Any) -> BadInput:
    def edit(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [*chunks[:2], {**chunks[2], **changes}, *chunks[3:]]

    return _file(name, CHUNKS, edit, f"[2].{field}", value, expected)


def _without(key: str) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda chunks: [{name: value for name, value in chunk.items() if name != key} for chunk in chunks]


PROBLEMS = [
    _file("half of a problem", STATEMENT, '{"problem": "2', "line 1", "2", "JSON"),
    _file("an empty file", CHUNKS, "", "line 1", "''", "JSON"),
    _file("a byte that is no text", SOLUTION, b'{"full_cot": "\xff"}', "byte 14", "xff", "UTF-8"),
    _file("a list in place of a problem", STATEMENT, [], "whole file", "[]", "an object"),
    _file("a text in place of a solution", SOLUTION, '"text"', "whole file", "'text'", "an object"),
    _file("an object in place of sentences", CHUNKS, {"chunk": "a"}, "whole file", "'chunk'", "a list"),
    _file("nothing but blank sentences", CHUNKS, [{"chunk": ""}, {"chunk": " "}], "whole file", "' '", "not blank"),
    _file("a trace that was never made", SOLUTION, {"prompt": "2 + 3?", "solution": "Error: 502", "error": "502"}, "error", "'502'", "a trace"),
    _file("no sentence", CHUNKS, [], "whole file", "[]", "at least one sentence"),
    _file("a sentence that is a text", CHUNKS, ["a"], "[0]", "'a'", "an object"),
    _file("a hundred thousand open brackets", STATEMENT, "[" * 100_000, "whole file", "[[[", "ordinary size"),
    _file("a number of five thousand digits", STATEMENT, "9" * 5000, "whole file", "999", "ordinary size"),
    _file("a key given twice", CHUNKS, lambda c: json.dumps(c)[:-2] + ', "accuracy": 0.5}]', "accuracy", "twice", "each key once"),
    _file("a trace that is a number", SOLUTION, lambda s: {**s, "full_cot": 5}, "full_cot", "5", "a text"),
    _file("a solution that is a list", SOLUTION, lambda s: {**s, "solution": ["a"]}, "solution", "['a']", "a text"),
    _file("a statement's solution that is a number", STATEMENT, lambda s: {**s, "solution": 5}, "solution", "5", "a text"),
    _file("half of a surrogate pair", SOLUTION, b'{"full_cot": "half \\ud83d"}', "full_cot", "ud83d", "surrogates"),
    _file("no importance at all", CHUNKS, _without(IMPORTANCE), f"[0].{IMPORTANCE}", "None", "a finite number"),
    _file("a label field of no such name", CHUNKS, lambda c: c, "[0].loudness", "None", "a finite number", field="loudness"),
    _file("a label field that is a text", CHUNKS, lambda c: c, "[0].chunk", "'", "a finite number", field="chunk"),
    _file("a label field of four hundred digits", CHUNKS, lambda c: [{**c[0], "size": 10**400}, *c[1:]], "[0].size", "<a number", "a finite number", field="size"),
    _chunk("an importance of no number", "nan", "a finite number", **{IMPORTANCE: float("nan")}),
    _chunk("an endless importance", "inf", "a finite number", **{IMPORTANCE: float("inf")}),
    _chunk("an importance in quotes", "'0.3'", "a finite number", **{IMPORTANCE: "0.3"}),
    _chunk("an importance that is a truth", "True", "a finite number", **{IMPORTANCE: True}),
    _chunk("an importance of four hundred digits", "<a number", "a finite number", **{IMPORTANCE: 10**400}),
    _chunk("another importance that is a list", "[]", "a finite number", "forced_importance_accuracy", forced_importance_accuracy=[]),
    _file("an index out of order", CHUNKS, lambda c: [*c[:2], {**c[2], "chunk_idx": 0}, *c[3:]], "[2].chunk_idx", "0", "larger than 1"),
    _chunk("an index in quotes", "'2'", "rollouts' folder", "chunk_idx", chunk_idx="2"),
    _chunk("a sentence that is a number", "3", "text", "chunk", chunk=3),
    _chunk("an accuracy of one and a half", "1.5", "from 0 to 1", "accuracy", accuracy=1.5),
    _chunk("an accuracy below nothing", "-0.1", "from 0 to 1", "accuracy", accuracy=-0.1),
    _chunk("an accuracy in quotes", "'0.5'", "from 0 to 1", "accuracy", accuracy="0.5"),
    _chunk("an endless share", "inf", "from 0 to 1", "different_trajectories_fraction", different_trajectories_fraction=float("inf")),
    _chunk("tags that are one text", "'plan'", "a list of texts", "function_tags", function_tags="plan"),
    _chunk("a tag that is a number", "[3]", "a list of texts", "function_tags", function_tags=[3]),
]  # fmt: skip


def _folder(name: str, act: Callable[[Bench], object], file: str, field: str, value: str, expected: str) -> BadInput:
    return BadInput("dataset folder", name, act, file, field, value, expected)


def _absent_file(bench: Bench) -> object:
    bench.problem_file(CHUNKS).unlink()
    return labelled(bench)


def _file_is_a_folder(bench: Bench) -> object:
    bench.problem_file(CHUNKS).unlink()
    bench.problem_file(CHUNKS).mkdir()
    return labelled(bench)


def _file_is_a_pipe(bench: Bench) -> object:
    bench.problem_file(CHUNKS).unlink()
    os.mkfifo(bench.problem_file(CHUNKS))
    return labelled(bench)


def _file_leads_outside(bench: Bench) -> object:
    path = bench.problem_file(CHUNKS)
    path.rename(bench.folder / "secret.json")
    path.symlink_to(bench.folder / "secret.json")
    return labelled(bench)


def _problem_leads_outside(bench: Bench) -> object:
    path = bench.problem_file(CHUNKS).parent
    path.rename(bench.folder / "elsewhere")
    path.symlink_to(bench.folder / "elsewhere")
    return labelled(bench)


def _absent_corpus(bench: Bench) -> object:
    shutil.rmtree(bench.data() / PREFIX)
    return labelled(bench)


def _empty_corpus(bench: Bench) -> object:
    for path in (bench.data() / PREFIX).iterdir():
        shutil.rmtree(path)
    return labelled(bench)


def _leading_zeros(bench: Bench) -> object:
    (bench.data() / PREFIX / "problem_007").mkdir()
    return labelled(bench)


def _long_number(bench: Bench) -> object:
    (bench.data() / PREFIX / ("problem_" + "9" * 30)).mkdir()
    return labelled(bench)


def _prefix(prefix: str) -> Callable[[Bench], object]:
    return lambda bench: bench.rollouts.list_problem_ids(CorpusSource(prefix, folder=str(bench.data())))


def _world(studies: Studies, bench: Bench) -> World:
    nothing = cast("Any", None)
    return World(studies, nothing, bench.rollouts, nothing, nothing)


def _both_sources(bench: Bench) -> object:
    return bench.rollouts.list_problem_ids(CorpusSource(PREFIX, repo_id="a/b", folder=str(bench.data())))


def _two_problems(bench: Bench) -> object:
    shutil.rmtree(bench.data() / PREFIX / f"problem_{N_PROBLEMS}")
    studies = Studies((read_study(bench.study()),), current="mine")
    return chosen_ids(_world(studies, bench), "small_correct")


def _nothing_shared(bench: Bench) -> object:
    corpus = bench.data() / PREFIX
    shutil.copytree(corpus, corpus.with_name("incorrect_base_solution"))
    for problem_id in range(1, N_PROBLEMS + 1):
        (corpus / f"problem_{problem_id}").rename(corpus / f"problem_{problem_id + 100}")
    shared = {"model": "small", "shared_problems": True}
    settings = {kind: {**shared, "solutions": kind} for kind in ("correct", "incorrect")}
    studies = Studies((read_study(bench.study(settings=settings)),), current="mine")
    return chosen_ids(_world(studies, bench), "correct")


FOLDERS = [
    _folder("a file that is absent", _absent_file, f"problem_1/{CHUNKS}", "file", "absent", "dataset's layout"),
    _folder("a folder in place of a file", _file_is_a_folder, f"problem_1/{CHUNKS}", "file", "no regular file", "a file"),
    _folder("a pipe in place of a file", _file_is_a_pipe, f"problem_1/{CHUNKS}", "file", "no regular file", "a file"),
    _folder("a file that leads outside", _file_leads_outside, f"problem_1/{CHUNKS}", "file", "secret.json", "inside"),
    _folder("a problem that leads outside", _problem_leads_outside, "problem_1", "file", "elsewhere", "inside"),
    _folder("a corpus that is absent", _absent_corpus, "correct_base_solution", "folder", "absent", "problem_N folders"),
    _folder("a corpus without problems", _empty_corpus, "correct_base_solution", "folder", "[]", "at least one problem_N"),
    _folder("an id with leading zeros", _leading_zeros, "correct_base_solution", "problem_007", "problem_007", "leading zeros"),
    _folder("an id of thirty digits", _long_number, "correct_base_solution", "problem_999", "problem_999", "at most 18 digits"),
    _folder("a prefix above its root", _prefix("../x"), "dataset", "prefix", "'../x'", "folder names joined by /"),
    _folder("an absolute prefix", _prefix("/etc"), "dataset", "prefix", "'/etc'", "folder names joined by /"),
    _folder("a prefix with a NUL", _prefix("a\0b"), "dataset", "prefix", "'a\\x00b'", "folder names joined by /"),
    _folder("two sources at once", _both_sources, "dataset", "repo_id, folder", "'a/b'", "exactly one"),
    _folder("a corpus of two problems", _two_problems, "study.yaml", "settings.small_correct", "[1, 2]", "at least 3"),
    _folder("settings without a problem in common", _nothing_shared, "study.yaml", "settings.correct", "3, 3", "in common"),
]  # fmt: skip

ROLLOUT = {"chunk_removed": "so", "chunk_resampled": "but", "answer": "5", "is_correct": True}


def _rollouts(name: str, content: object, field: str, value: str, expected: str) -> BadInput:
    def act(bench: Bench) -> object:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        path = bench.problem_file("chunk_0/solutions.json")
        path.parent.mkdir()
        path.write_bytes(raw)
        return bench.rollouts.load_rollouts(bench.source, 1, [0])

    return BadInput("rollouts", name, act, "problem_1/chunk_0/solutions.json", field, value, expected)


def _absent_rollouts(bench: Bench) -> object:
    return bench.rollouts.load_rollouts(bench.source, 1, [0])


ROLLOUTS = [
    BadInput("rollouts", "rollouts that are absent", _absent_rollouts, "chunk_0/solutions.json", "file", "absent", "layout"),
    _rollouts("rollouts that end too early", b"[{", "line 1", "''", "JSON"),
    _rollouts("no rollouts", [], "whole file", "[]", "at least one rollout"),
    _rollouts("an object in place of rollouts", {"a": 1}, "whole file", "{'a': 1}", "a list"),
    _rollouts("a rollout that is a text", ["so"], "[0]", "'so'", "an object"),
    _rollouts("an answer that is a number", [{**ROLLOUT, "answer": 5}], "[0].answer", "5", "a text"),
    _rollouts("a truth in quotes", [{**ROLLOUT, "is_correct": "True"}], "[0].is_correct", "'True'", "true, false, or null"),
    _rollouts("a truth that is absent", [{key: ROLLOUT[key] for key in ("chunk_removed", "chunk_resampled", "answer")}], "[0].is_correct", "absent", "true, false, or null"),
    _rollouts("a removed sentence that is absent", [{**ROLLOUT, "chunk_removed": None}], "[0].chunk_removed", "None", "text"),
    _rollouts("a resampled sentence that is a list", [{**ROLLOUT, "chunk_resampled": []}], "[0].chunk_resampled", "[]", "text"),
    _rollouts("a rollout with a key given twice", json.dumps([ROLLOUT]).encode()[:-2] + b', "is_correct": false}]', "is_correct", "twice", "each key once"),
    _rollouts("a byte that is no text", b'["\xff"]', "byte 2", "xff", "UTF-8"),
]  # fmt: skip


def _hub(
    name: str, plant: Callable[[HubStandIn], None], field: str, value: str, expected: str, *, read: bool = False,
    file: str = "dataset someone/rollouts",
) -> BadInput:  # fmt: skip
    def act(bench: Bench) -> object:
        import huggingface_hub

        huggingface_hub.close_session()
        files = {
            path.relative_to(bench.corpus).as_posix(): path.read_bytes()
            for path in bench.corpus.rglob("*")
            if path.is_file()
        }
        with HubStandIn(files=files) as hub:
            plant(hub)
            rollouts = bench.rollouts.model_copy(update={"endpoint": hub.endpoint, "first_wait_seconds": 0.01})
            source = CorpusSource(PREFIX, repo_id=hub.repo_id)
            ids = rollouts.list_problem_ids(source)
            if not read:
                return ids
            table, skipped = label_usable(rollouts.read_problems(source, ids), LabelRule())
            return refused(skipped, len(ids)) if skipped else table

    return BadInput("dataset listing", name, act, file, field, value, expected)


def _entry(path: str, kind: str = "directory") -> Callable[[HubStandIn], None]:
    def plant(hub: HubStandIn) -> None:
        hub.extra_entries = [{"type": kind, "path": path}]

    return plant


def _entries(*entries: Any) -> Callable[[HubStandIn], None]:
    def plant(hub: HubStandIn) -> None:
        hub.extra_entries = list(entries)

    return plant


def _answers(part: str, body: bytes) -> Callable[[HubStandIn], None]:
    def plant(hub: HubStandIn) -> None:
        hub.bodies[part] = body

    return plant


def _pages_in_a_circle(hub: HubStandIn) -> None:
    hub.next_page = "cursor=0"


def _without_file(hub: HubStandIn) -> None:
    del hub.files[f"{PREFIX}/problem_1/{CHUNKS}"]


def _corrupted(hub: HubStandIn) -> None:
    hub.fail(f"problem_1/{CHUNKS}", "corrupted", times=4)


def _endpoint(bench: Bench, address: str = "hub.example.org") -> object:
    rollouts = RolloutsResource(endpoint=address, download_dir=str(bench.folder))
    return rollouts.list_problem_ids(CorpusSource(PREFIX, repo_id="someone/rollouts"))


def _repository(repo_id: str) -> Callable[[Bench], object]:
    return lambda bench: bench.rollouts.list_problem_ids(CorpusSource(PREFIX, repo_id=repo_id))


def _revision(bench: Bench) -> object:
    return bench.rollouts.list_problem_ids(CorpusSource(PREFIX, repo_id="a/b", revision=".."))


def _never_listed(bench: Bench) -> object:
    offline = bench.rollouts.model_copy(update={"offline": True})
    return offline.list_problem_ids(CorpusSource(PREFIX, repo_id="someone/rollouts"))


LISTINGS = [
    _hub("an entry with ..", _entry(f"{PREFIX}/.."), "listing", "/..'", "directly below"),
    _hub("an entry further down", _entry(f"{PREFIX}/a/../../problem_1"), "listing", "a/../..", "directly below"),
    _hub("an absolute entry", _entry("/etc/problem_1"), "listing", "'/etc/problem_1'", "directly below"),
    _hub("an entry with a backslash", _entry(f"{PREFIX}/problem_1\\..\\.."), "listing", "problem_1", "directly below"),
    _hub("an entry of leading zeros", _entry(f"{PREFIX}/problem_01"), "problem_01", "'problem_01'", "leading zeros"),
    _hub("an entry of five thousand digits", _entry(f"{PREFIX}/problem_{'9' * 5000}"), "problem_999", "'problem_999", "at most 18 digits"),
    _hub("an entry without a path", _entries({"type": "directory"}), "answer", "'type'", "each with a path", file="/tree/"),
    _hub("an entry that is a number", _entries(7), "answer", "7", "each with a path", file="/tree/"),
    _hub("a listing that is an object", _answers("/tree/", b'{"a": 1}'), "answer", "{'a': 1}", "a list of entries", file="/tree/"),
    _hub("a page of a proxy in place of a listing", _answers("/tree/", b"<html>log in"), "answer", "<html>", "JSON", file="/tree/"),
    _hub("a listing of open brackets", _answers("/tree/", b"[" * 100_000), "answer", "[[[", "JSON", file="/tree/"),
    _hub("a commit of three letters", _answers("/revision/", b'{"sha": "abc"}'), "sha", "'abc'", "40 hexadecimal", file="/revision/"),
    _hub("a commit that is a list", _answers("/revision/", b"[]"), "sha", "None", "40 hexadecimal", file="/revision/"),
    _hub("pages in a circle", _pages_in_a_circle, "listing", "cursor=0", "each page once"),
    _hub("a problem without a file", _without_file, "file", CHUNKS, "can be downloaded", read=True),
    _hub("content that is not what its hash says", _corrupted, "content", "hash", "proxy or mirror", read=True, file=f"problem_1/{CHUNKS}"),
    BadInput("dataset listing", "an endpoint with a password", lambda bench: _endpoint(bench, "https://me:secret@hub.example.org"), "Hub", "endpoint", "'…@hub.example.org'", "without a name or password (HF_ENDPOINT"),
    BadInput("dataset listing", "an endpoint that is no address", _endpoint, "Hub", "endpoint", "'hub.example.org'", "https://"),
    BadInput("dataset listing", "a repository above its place", _repository("../up"), "dataset", "repo_id", "'../up'", "owner/name"),
    BadInput("dataset listing", "a repository in three parts", _repository("a/b/c"), "dataset", "repo_id", "'a/b/c'", "owner/name"),
    BadInput("dataset listing", "a revision above its place", _revision, "a/b", "revision", "'..'", "a branch"),
    BadInput("dataset listing", "offline, and never listed", _never_listed, "someone/rollouts", "listing", "absent", "run once with the network"),
]  # fmt: skip


def _unaligned(bench: Bench) -> object:
    return bench.extract("Nothing of it.", ["The sum is five."])


CASES: list[BadInput] = [
    *PROBLEMS,
    *FOLDERS,
    *ROLLOUTS,
    *LISTINGS,
    BadInput("problem JSON", "a sentence that its trace does not have", _unaligned, "problem 1", "sentence 0", "'The sum is five.'", "does not occur in the text"),
]  # fmt: skip


def odd_but_right(bench: Bench) -> None:
    """Forms that the dataset's own tools write, or that change nothing: no alarm may be raised on them."""
    path = bench.problem_file(CHUNKS)
    chunks = json.loads(path.read_text(encoding="utf-8"))
    for number, chunk in enumerate(chunks):
        chunk["chunk_idx"] = 2 * number
    blank = {"chunk": " ", "chunk_idx": 2 * len(chunks)}
    path.write_text(json.dumps([*chunks, blank]), encoding="utf-8")
    unsure = bench.problem_file("chunk_1/solutions.json")
    unsure.parent.mkdir(exist_ok=True)
    unsure.write_text(json.dumps([{**ROLLOUT, "is_correct": None}, {"error": "timeout"}]), encoding="utf-8")
    assert len(bench.rollouts.load_rollouts(bench.source, 1, [1])[0]) == 1


def healthy(bench: Bench) -> None:
    """The dataset without a fault is read and labelled, and so are its rollouts."""
    path = bench.problem_file("chunk_0/solutions.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([ROLLOUT]), encoding="utf-8")
    studies = Studies((read_study(bench.study()),), current="mine")
    assert chosen_ids(_world(studies, bench), "small_correct")[0] == [1, 2, 3]
    odd_but_right(bench)
    table = labelled(bench)
    assert isinstance(table, pd.DataFrame)
    assert table["problem_id"].unique().tolist() == [1, 2, 3]
    assert [len(group) for group in bench.rollouts.load_rollouts(bench.source, 1, [0])] == [1]
