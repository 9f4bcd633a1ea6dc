"""The walk of ``trace`` on a tiny study, a sweep and a verdict: quiet on them, and red at what was planted."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ta_assets.core.errors import InputError
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.table import FACTS, Scope, recorded_partitions
from ta_assets.ledger.world import World
from ta_assets.pages.block import current_page
from ta_assets.pages.spans import NUMBER, from_json, numbers, render, to_json
from ta_assets.studies.readme_file import readme_path, results_path, stored_block, stored_page
from ta_assets.studies.sweep import sweep_cells
from ta_assets.trace import walk as trace
from ta_assets.trace.printed import as_text
from ta_assets.trace.targets import resolve
from ta_resources.storage.artifacts import Activations, ArtifactStore
from ta_resources.storage.atomic import REPLACED, beside
from tests.assets.made import copy_of, materialized, verdict

pytestmark = pytest.mark.slow
SETTING = "tiny_correct"
RELEASE_FILES = ("verdict.json", "verdict.md", "verdict.txt", "junit.xml", "environment.json", "release.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, make_world: Callable) -> Iterator[World]:
    """A study of one setting with a sweep over two combinations, and its verdict, made once in one process."""
    world = make_world(tmp_path_factory.mktemp("traced"), tiny_model)
    world.change_study(
        settings={SETTING: {"model": "tiny", "solutions": "correct"}},
        sweep={"residualize_against": ["none", "position"]},
    )
    with materialized(world.study) as world:
        instance, definitions = world.ledger.dagster, world.ledger.definitions()
        assert definitions.resolve_job_def("sweep").execute_in_process(instance=instance).success
        yield dataclasses.replace(world, ledger=Ledger(instance, lambda: definitions))


@pytest.fixture
def copied(made: World, tmp_path: Path) -> World:
    store = ArtifactStore(base_dir=str(copy_of(made, tmp_path).store.local_folder), recovers=False)
    return dataclasses.replace(made, store=store)


def walked(world: World, target: str, report: Path | None = None) -> tuple[dict[str, list[str]], list[str]]:
    """Step -> its faults, in the order of the walk; and all faults."""
    steps, faults = trace.trace(world, resolve(world, target, report))
    return {step.name: step.faults for step in steps}, faults


def readme_of(world: World) -> Path:
    return readme_path(world.studies.selected, world.store.local_folder)


def number_of(world: World, start: str, column: int) -> str:
    """A number of the first row of a table of the block that begins so."""
    page = results_path(world.studies.selected, world.store.local_folder).read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(start))
    return NUMBER.findall(row.split("|")[column])[0]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def everything_in(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_artifact_is_verified_from_its_name_and_from_each_of_its_files(copied: World) -> None:
    before, base = everything_in(copied.store.local_folder), copied.store.local_folder
    for asset in (one for one, facts in FACTS.items() if facts.scope is not Scope.GENERATED):  # the data are there
        partitions = [one for one in recorded_partitions(copied, asset) if copied.ledger.materialization(asset, one)]
        assert partitions, asset
        for partition in partitions:
            steps, faults = walked(copied, f"{asset}[{partition}]")
            assert faults == [], f"{asset}[{partition}]"
            assert list(steps)[-1] == f"{asset}[{partition}]"
            for path in Path(copied.store.place(asset, partition)).iterdir():
                assert resolve(copied, str(path), None).roots == ((asset, partition),)
    activations: Activations = copied.store.load("activations", SETTING)
    assert resolve(copied, str(base / activations.files()[0].file), None).roots == (("activations", SETTING),)
    assert everything_in(base) == before, "a walk changes nothing"


def test_the_numbers_of_all_reports_are_verified(copied: World) -> None:
    readme, release = readme_of(copied), copied.store.local_folder / "tiny/release"
    steps, faults = walked(copied, number_of(copied, f"| {SETTING} | ridge", 3))
    assert faults == []
    assert list(steps)[-1] == f"probe_comparison[{SETTING}]"
    assert {f"sentences[{SETTING}]", f"activations[{SETTING}]", f"cv_scores[{SETTING}]"} <= set(steps)
    seed_mean = number_of(copied, f"| {SETTING} | linear_probe", 4)
    assert walked(copied, seed_mean, readme)[1] == []
    steps, faults = walked(copied, str(readme))
    assert faults == []
    assert f"deferral_plan[{SETTING}]" in steps, "its checks are counted there"
    for name in RELEASE_FILES:
        path = release / name
        number = NUMBER.findall(path.read_text(encoding="utf-8"))[0]
        for target, report in ((str(path), None), (number, path)):
            steps, faults = walked(copied, target, report)
            assert faults == [], name
            assert list(steps)[-1] == "release_verdict[tiny]"
            assert f"probe_metrics[0|{SETTING}]" in steps
    for cell in sweep_cells(copied.studies.selected):
        value = Path(copied.store.place("sweep_metrics", cell.key)) / "value.json"
        number = NUMBER.findall(value.read_text(encoding="utf-8"))[-1]
        steps, faults = walked(copied, number, value)
        assert (list(steps), faults) == ([f"problem_ids[{SETTING}]", f"sweep_metrics[{cell.key}]"], [])


def test_no_number_of_the_block_is_left_out_and_each_has_its_artifact(made: World) -> None:
    block, text = current_page(made, "tiny"), made.store.load("readme_block", "tiny")
    assert render(block) == text
    assert from_json(to_json(block)) == block
    assert Counter(number for number, _ in numbers(block)) == Counter(NUMBER.findall(text))
    owners = {node for _, one in numbers(block) for node in [one.node]}
    own = {("readme_block", "tiny"), *((asset, SETTING) for asset in ("probe_comparison", "aggregate_metrics"))}
    assert owners == {*own, ("activations", SETTING)}
    assert all(one.line in text.splitlines() for _, one in numbers(block))


def test_a_forged_number_of_the_readme_is_never_verified(copied: World) -> None:
    readme, number = readme_of(copied), number_of(copied, f"| {SETTING} ", 3)
    true = number_of(copied, f"| {SETTING} | linear_probe", 4)
    edit(readme, number, "0.9999")
    for target, report in (("0.9999", None), ("0.9999", readme), (str(readme), None), (true, None), (true, readme)):
        _, faults = walked(copied, target, report)
        assert any("the artifacts do not give this line now" in fault and "0.9999" in fault for fault in faults), target
    assert walked(copied, "readme_block[tiny]")[1] != []
    assert walked(copied, f"probe_comparison[{SETTING}]")[1] == [], "it is not what was forged"


def test_a_forged_number_of_the_page_of_results_is_neither_verified_nor_current(copied: World) -> None:
    page = results_path(copied.studies.selected, copied.store.local_folder)
    number = number_of(copied, f"| {SETTING} ", 3)
    assert verdict(copied, "readme_is_current", "readme_block", "tiny").status == "passed"
    assert walked(copied, str(page))[1] == []
    assert walked(copied, number_of(copied, f"| {SETTING} | linear_probe", 4), page)[1] == []
    edit(page, number, "0.9999")
    for target, report in (("0.9999", None), ("0.9999", page), (str(page), None)):
        _, faults = walked(copied, target, report)
        assert any(f"{page}: the artifacts do not give this line now" in fault for fault in faults), target
    assert verdict(copied, "readme_is_current", "readme_block", "tiny").status == "failed"
    page.unlink()
    assert verdict(copied, "readme_is_current", "readme_block", "tiny").status == "failed"
    assert any("no block of results" in fault for fault in walked(copied, "readme_block[tiny]")[1])


def test_the_block_of_the_readme_is_the_short_beginning_of_the_page(made: World) -> None:
    study, base = made.studies.selected, made.store.local_folder
    block, page = stored_block(study, base), stored_page(study, base)
    assert block
    assert page
    assert page.startswith(block)
    assert len(block.splitlines()) <= 30
    assert f"| {SETTING} | linear_probe" in page
    assert f"| {SETTING} | linear_probe" not in block
    assert "Left out" not in block


def test_a_line_more_or_another_order_is_seen_too(copied: World) -> None:
    readme = readme_of(copied)
    healthy = readme.read_bytes()
    edit(readme, "\n\nMade from:", "\n\nThe best is 0.9999.\n\nMade from:")
    steps, faults = walked(copied, "0.9999")
    assert any("The best is 0.9999." in fault for fault in faults)
    assert list(steps)[-1] == "readme_block[tiny]"
    readme.write_bytes(healthy.replace(b"\n\nMade from:", b"\n\r\nMade from:"))
    assert any("its lines do not end as" in fault for fault in walked(copied, str(readme))[1])
    readme.write_bytes(healthy.replace(b"TA_RESULTS_START", b"TA_RESULTS"))
    assert any("no block of results" in fault for fault in walked(copied, str(readme))[1])


def test_a_number_beside_the_block_is_none_of_its_results(copied: World) -> None:
    readme = readme_of(copied)
    readme.write_text(f"0.9999\n{readme.read_text(encoding='utf-8')}", encoding="utf-8")
    for report in (None, readme):
        with pytest.raises(InputError, match="in its block of results"):
            resolve(copied, "0.9999", report)


def test_one_changed_byte_upstream_is_a_fault_of_its_step_and_the_walk_goes_on(copied: World) -> None:
    number = number_of(copied, f"| {SETTING} | ridge", 3)
    flip_a_byte(Path(copied.store.place("probe_comparison", SETTING)) / "value.json")
    steps, faults = walked(copied, number)
    assert any("sha256 is" in fault for fault in steps[f"probe_comparison[{SETTING}]"])
    assert any("sha256" in fault for fault in faults if not fault.startswith("probe_comparison"))
    assert not any(found for name, found in steps.items() if not name.startswith("probe_comparison"))
    assert f"activations[{SETTING}]" in steps
    steps, faults = walked(copied, str(readme_of(copied)))
    assert faults
    assert f"sentences[{SETTING}]" in steps


def test_a_damaged_manifest_elsewhere_keeps_no_file_from_being_found(copied: World) -> None:
    flip_a_byte(Path(copied.store.place("activations", SETTING)) / "manifest.json")
    splits = Path(copied.store.place("splits", SETTING)) / "value.json"
    assert resolve(copied, str(splits), None).roots == (("splits", SETTING),)
    steps, _ = walked(copied, f"probe_metrics[3|{SETTING}]")
    assert [name for name, faults in steps.items() if faults] == [f"activations[{SETTING}]"]


@pytest.mark.parametrize("name", RELEASE_FILES)
def test_an_edited_file_of_a_release_is_not_verified(copied: World, name: str) -> None:
    path = copied.store.local_folder / "tiny/release" / name
    number = NUMBER.findall(path.read_text(encoding="utf-8"))[0]
    edit(path, number, "0.9999")
    for target, report in (("0.9999", path), (str(path), None), ("release_verdict[tiny]", None)):
        _, faults = walked(copied, target, report)
        assert any(name in fault for fault in faults), target
    path.unlink()
    assert any(name in fault for fault in walked(copied, "release_verdict[tiny]")[1])


def test_a_changed_or_missing_combination_of_a_sweep_is_seen(copied: World) -> None:
    first, second = sweep_cells(copied.studies.selected)
    value = Path(copied.store.place("sweep_metrics", first.key)) / "value.json"
    flip_a_byte(value)
    steps, _ = walked(copied, "sweep_leaderboard[tiny]")
    assert [name for name, faults in steps.items() if faults] == [f"sweep_metrics[{first.key}]"]
    for path in [*value.parent.iterdir()]:
        path.unlink()
    steps, _ = walked(copied, "sweep_leaderboard[tiny]")
    assert any("finished" in fault for fault in steps["sweep_leaderboard[tiny]"])
    assert steps[f"sweep_metrics[{second.key}]"] == []


def test_what_no_study_sweeps_any_more_is_a_fault(copied: World) -> None:
    study = copied.studies.selected.model_copy(update={"sweep": {"residualize_against": ["none"]}})
    others = tuple(one for one in copied.studies.studies if one.name != "tiny")
    studies = dataclasses.replace(copied.studies, studies=(*others, study))
    gone = sweep_cells(copied.studies.selected)[1]
    steps, _ = walked(dataclasses.replace(copied, studies=studies), "sweep_leaderboard[tiny]")
    assert any("a combination of some study" in fault for fault in steps[f"sweep_metrics[{gone.key}]"])
    assert any("sweep.residualize_against" in fault for fault in steps["sweep_leaderboard[tiny]"])


def test_what_was_never_made_is_a_fault(copied: World) -> None:
    steps, faults = walked(copied, "splits[embedded_correct]")
    assert steps["splits[embedded_correct]"] == ["it was never made"]
    lines = as_text(resolve(copied, "splits[embedded_correct]", None), [], faults)
    assert lines[0] == "splits[embedded_correct] is of splits[embedded_correct]"
    assert lines[-1] == f"  {faults[-1]}"
    assert "it was never made" in lines[-1]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nonsense", "a number, asset"),
        ("no_asset[tiny]", "an asset among"),
        ("splits[no_such_setting]", "a partition among"),
        ("sweep_metrics[no_such~sweep_000000000000|tiny_correct]", "a partition among"),
        ("123456.789", "a number that is printed"),
        ("+123456.5", "a number that is printed"),
    ],
)
def test_a_target_that_is_none_is_named(copied: World, target: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(copied, target, None)
    assert said in str(caught.value)
    assert target in str(caught.value)


def test_a_report_goes_with_a_number_alone(copied: World) -> None:
    with pytest.raises(InputError, match="since a report is given"):
        resolve(copied, "splits[tiny_correct]", readme_of(copied))


def test_files_that_no_run_recorded_are_named(copied: World, tmp_path: Path) -> None:
    fold = copied.store.local_folder / "probe_metrics_folds/0123/metrics.json"
    fold.parent.mkdir(parents=True)
    vectors = next((copied.store.local_folder / "sweep_vectors").rglob("manifest.json"))
    for path in (fold, vectors):
        path.write_text("{}", encoding="utf-8")
        with pytest.raises(InputError, match="stored folds and the vectors of sweeps"):
            resolve(copied, str(path), None)
    outside = tmp_path / "report.md"
    outside.write_text("0.5", encoding="utf-8")
    for target, report in ((str(outside), None), ("0.5", outside)):
        with pytest.raises(InputError, match="a file below"):
            resolve(copied, target, report)


def test_a_walk_leaves_what_an_interrupted_write_moved_aside(copied: World) -> None:
    folder = Path(copied.store.place("splits", SETTING))
    aside = beside(folder, REPLACED)
    folder.rename(aside)
    steps, _ = walked(copied, f"splits[{SETTING}]")
    assert steps[f"splits[{SETTING}]"]
    assert aside.is_dir()
    assert not folder.exists()
    recovering = ArtifactStore(base_dir=str(copied.store.local_folder))
    assert recovering.exists("splits", SETTING), "any other reader puts it back"
    assert walked(copied, f"splits[{SETTING}]")[1] == []
