"""Faults of a release itself: checks that never ran or raised, cells that failed, verdicts that were edited."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from ta_assets.assets import expected
from ta_assets.assets.verdicts import VERDICT_ASSET, read_release
from ta_assets.core.results import deferral_cells
from ta_assets.core.values import CorpusSource
from ta_assets.ledger.fingerprint import fingerprint
from ta_assets.studies.loading import load_studies
from ta_checks.rules.data import split_is_disjoint
from tests.proof.faults import REFUSED, Fault
from tests.proof.faults.planting import edit_json, replace
from tests.proof.world import CORPUS, NAME, World


def _without_checks(world: World) -> None:
    """A cell is materialized by a selection that leaves its checks out."""
    selection = dg.AssetSelection.assets("splits").without_checks()
    assets = [one for one in world.definitions.assets or [] if isinstance(one, dg.AssetsDefinition)]
    dg.materialize(
        assets,
        selection=selection,
        partition_key=CORPUS,
        instance=world.instance,
        resources=dict(world.definitions.resources or {}),
        raise_on_error=True,
    )


def _check_raises(world: World) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("planted: the rule itself is broken")

    replace(split_is_disjoint, "_faults", broken)
    world.make("splits", CORPUS)


def _body_raises(world: World) -> None:
    def broken(*_: Any) -> Any:
        raise MemoryError("planted: the plan does not fit into memory")

    replace(deferral_cells, "plan_cells", broken)
    world.make("deferral_plan", CORPUS)


def _plan_raises(world: World) -> None:
    right = expected.expected_made_from

    def broken(seen: Any, asset: str, partition: str) -> Any:
        if asset == "activations":
            raise ConnectionError("planted: the model cannot be identified")
        return right(seen, asset, partition)

    replace(expected, "expected_made_from", broken)


def _unreadable_problem(world: World) -> None:
    edit_json(world.problems(CORPUS)[0] / "chunks_labeled.json", lambda chunks: [{**chunks[0], "chunk": 5}])


def _interrupted(world: World) -> None:
    (world.problems(CORPUS)[-1] / "chunks_labeled.json").unlink()


def _lacks_importance(world: World) -> None:
    field = world.studies.selected.labels.field
    edit_json(
        world.problems(CORPUS)[-1] / "chunks_labeled.json",
        lambda chunks: [{key: value for key, value in chunks[0].items() if key != field}, *chunks[1:]],
    )


def _gate_left_open(world: World) -> None:
    """A cell fails its blocking check, and what is built on it is not made: left out, not passed over."""
    folder = Path(world.store.place("activations", CORPUS))
    (folder / "spans.parquet").write_bytes(b"")


def _not_ok(world: World) -> Path:
    """A release that is NOT OK, and its verdict."""
    world.readme.write_text("gone", encoding="utf-8")
    world.release()
    return world.verdict_file


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, path
    path.write_text(text.replace(old, new), encoding="utf-8")


def _edit_verdict(world: World) -> None:
    """NOT OK becomes OK by hand."""
    _edit(_not_ok(world), '"NOT OK"', '"OK"')


def _reseal_verdict(world: World) -> None:
    """NOT OK becomes OK, and every hash on the disk is made to fit."""
    _edit(_not_ok(world), '"NOT OK"', '"OK"')
    edit_json(world.verdict_file, lambda content: {**content, "sha256": fingerprint(content)})
    report = world.store.load(VERDICT_ASSET, NAME)
    world.store.save(VERDICT_ASSET, NAME, {**report, "verdict": "OK"})


def _delete_verdict(world: World) -> None:
    _not_ok(world).unlink()


def _edit_verdict_page(world: World) -> None:
    """The page for people says OK; the JSON is as it was."""
    _edit(_not_ok(world).with_name("verdict.md"), "NOT OK", "OK")


def _edit_what_passed(world: World) -> None:
    _edit(world.verdict_file, '"passed"', '"warned"')


def _edit_table(world: World) -> None:
    _edit(world.verdict_file.with_name("verdict.txt"), "PASSED", "FAILED")


def _read_verdict(world: World) -> Any:
    return read_release(world.sources.ledger, NAME, world.store.local_folder)


def _pickled_weights(world: World) -> None:
    weights = world.model / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))


def _open_model(world: World) -> None:
    with world.language_model.open(world.studies.selected.extraction_spec(CORPUS)):
        pass


def _study(edit: Callable[[str], str]) -> Callable[[World], None]:
    def plant(world: World) -> None:
        world.study_file.write_text(edit(world.study_file.read_text(encoding="utf-8")), encoding="utf-8")

    return plant


def _load_study(world: World) -> None:
    load_studies(str(world.study_file))


def _prefix_leads_out(world: World) -> None:
    source = CorpusSource("../../data", folder=str(world.data))
    world.rollouts.list_problem_ids(source)


def _lose_model(world: World) -> None:
    shutil.rmtree(Path(world.model))
    world.forget()


FAULTS = (
    Fault(
        "a check never ran",
        "split_is_disjoint",
        "splits",
        _without_checks,
        status="skipped",
        judge=World.verdict_by_hand,
    ),
    Fault("a check raised", "split_is_disjoint", "splits", _check_raises, status="errored"),
    Fault("the body of an asset raised", "made", "deferral_plan", _body_raises),
    Fault("a sentence of the dataset is a number", "zero_skipped_problems", "sentences", _unreadable_problem),
    Fault("a problem's run was interrupted before its labels", "zero_skipped_problems", "sentences", _interrupted),
    Fault("a problem lacks the importance of a sentence", "zero_skipped_problems", "sentences", _lacks_importance),
    Fault("a release cannot be planned", "release", "release_verdict", _plan_raises),
    Fault("the model is gone", "release", "release_verdict", _lose_model),
    Fault("a table is emptied on the disk", "artifacts_intact", "activations", _gate_left_open),
    Fault(
        "NOT OK was edited into OK",
        "verdict_unedited",
        "release_verdict",
        _edit_verdict,
    ),
    Fault("NOT OK was edited into OK and sealed again", "verdict_unedited", "release_verdict", _reseal_verdict),
    Fault("a verdict that is NOT OK was deleted", "verdict_unedited", "release_verdict", _delete_verdict),
    Fault("verdict.md was edited into OK", "verdict_unedited", "release_verdict", _edit_verdict_page),
    Fault(
        "an edited verdict is read",
        REFUSED,
        "release_verdict",
        _edit_what_passed,
        judge=_read_verdict,
        expected=("/verdict.json: sha256: ",),
    ),
    Fault(
        "an edited table of a verdict is read",
        REFUSED,
        "release_verdict",
        _edit_table,
        judge=_read_verdict,
        expected=("/verdict.txt: sha256: ",),
    ),
    Fault(
        "weights are a pickle",
        REFUSED,
        "activations",
        _pickled_weights,
        judge=_open_model,
        expected=("/model: model.safetensors: found ['pytorch_model.bin']",),
    ),
    *(
        Fault(name, REFUSED, "study", _study(edit), judge=_load_study, expected=(f"/study.yaml: {place}",))
        for name, edit, place in (
            ("a study has a key that nobody knows", lambda text: text + "\nlayers: 3\n", "layers: "),
            (
                "a study has a key twice",
                lambda text: text + f"\nname: {NAME}\n",
                "file: found 'key given twice: name",
            ),
            (
                "a study takes the name of a shipped setting",
                lambda text: text.replace(f"{NAME}_correct:", "llama_correct:"),
                "settings.llama_correct: ",
            ),
        )
    ),
    Fault(
        "a prefix leads out of the data",
        REFUSED,
        "problem_ids",
        lambda _: None,
        judge=_prefix_leads_out,
        expected=("dataset: prefix: found '../../data'",),
    ),
)
