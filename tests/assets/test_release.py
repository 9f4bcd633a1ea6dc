"""The command ``dagster job execute -j release``, as users and CI run it, on healthy and on faulty worlds."""

from __future__ import annotations

import json
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import pytest

from ta_assets.core.options import SEEDS
from ta_assets.ledger.fingerprint import code_sha256
from tests.assets.conftest import TinyWorld, build_world

METRICS = "artifacts/probe_metrics/tiny_correct/3/metrics.json"
README = "artifacts/tiny/README.md"


@dataclass(frozen=True)
class Released:
    """A world and what the release printed that it went through; others work on copies of it."""

    world: TinyWorld
    done: subprocess.CompletedProcess[str]

    def copy(self, folder: Path) -> TinyWorld:
        """The same world, instance and artifacts included, in a folder that is not there yet."""
        return TinyWorld(shutil.copytree(self.world.folder, folder))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Released:
    world = build_world(tmp_path_factory.mktemp("released"), tiny_model)
    return Released(world, world.release())


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, released: Released) -> Released:
    """Released again after the metrics of one cell were edited."""
    world = released.copy(tmp_path_factory.mktemp("damaged") / "world")
    metrics = world.folder / METRICS
    metrics.write_text(metrics.read_text(encoding="utf-8").replace("0.", "1."), encoding="utf-8")
    return Released(world, world.release())


@pytest.fixture
def copied(released: Released, tmp_path: Path) -> TinyWorld:
    return released.copy(tmp_path / "world")


def a_row_of_results(world: TinyWorld) -> tuple[str, str]:
    """A row of the block of results, and the first number in it."""
    lines = (world.folder / README).read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith("| tiny_correct "))
    return row, row.split("|")[3].strip()


def test_a_healthy_study_is_released(released: Released) -> None:
    world, done = released.world, released.done
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.verdict["verdict"] == "OK"
    assert not world.red()
    assert len(world.rows(name="random_label")) == 2 * SEEDS
    assert done.stdout.rstrip().splitlines()[-1].startswith("tiny: OK")


def test_a_release_leaves_its_verdict_in_every_form(released: Released) -> None:
    release = released.world.folder / "artifacts/tiny/release"
    cases = list(ElementTree.parse(release / "junit.xml").getroot().iter("testcase"))
    assert len(cases) == len(released.world.verdict["checks"])
    times = {(case.get("classname"), case.get("name")): float(case.get("time", "nan")) for case in cases}
    assert times["activations", "made[tiny_correct]"] > 0
    assert times["activations", "activations_match_text[tiny_correct]"] > 0
    assert {"verdict.json", "verdict.md", "junit.xml", "environment.json"} <= {path.name for path in release.iterdir()}


def test_a_second_release_computes_nothing(copied: TinyWorld) -> None:
    readme, artifacts = (copied.folder / README).read_bytes(), copied.artifact_hashes()
    second = copied.release()
    assert second.returncode == 0, second.stdout + second.stderr
    assert copied.computed() == set()
    assert "nothing changed" in second.stderr
    assert (copied.folder / README).read_bytes() == readme
    assert copied.artifact_hashes() == artifacts


def test_a_number_of_the_results_is_traced_to_data_model_and_code(copied: TinyWorld) -> None:
    readme, artifacts = (copied.folder / README).read_bytes(), copied.artifact_hashes()
    row, number = a_row_of_results(copied)
    traced = copied.trace(number, "--json")
    assert traced.returncode == 0, traced.stdout + traced.stderr
    answer = json.loads(traced.stdout)
    assert {"line": row, "what": found_as(row), "artifact": "probe_comparison[tiny_correct]"} in answer["found"]
    steps = {step["artifact"]: step for step in answer["steps"]}
    order = list(steps)
    for name, step in steps.items():
        assert all(order.index(parent) < order.index(name) for parent in step["made_from_artifacts"]), name
    assert {"sentences[tiny_correct]", "activations[tiny_correct]", "cv_scores[tiny_correct]"} <= set(steps)
    assert len(steps["activations[tiny_correct]"]["made_from"]["source"]["sha256"]) == 64
    assert steps["activations[tiny_correct]"]["made_from"]["language_model"]["sha256"]
    assert steps["cv_scores[tiny_correct]"]["code_sha256"] == code_sha256()
    assert (copied.folder / README).read_bytes() == readme
    assert copied.artifact_hashes() == artifacts, "a walk changes nothing"


def test_a_count_of_a_verdict_is_traced_to_what_was_judged(released: Released) -> None:
    world = released.world
    report = world.folder / "artifacts/tiny/release/verdict.md"
    traced = world.trace(str(len(world.verdict["checks"])), "--report", str(report), "--json")
    assert traced.returncode == 0, traced.stdout + traced.stderr
    assert json.loads(traced.stdout)["found"][0]["artifact"] == "release_verdict[tiny]"
    assert "deferral_plan[tiny_correct]" in traced.stdout


def test_a_number_that_is_printed_nowhere_is_no_target(released: Released) -> None:
    assert released.world.trace("123456.789").returncode == 2


def test_a_damaged_artifact_is_red_with_what_was_made_of_it_and_nothing_else(damaged: Released) -> None:
    red = damaged.world.red()
    assert damaged.done.returncode == 1
    assert red >= {("artifacts_intact", "probe_metrics", "3|tiny_correct")}
    assert {asset for _, asset, _ in red} <= {"probe_metrics", "aggregate_metrics", "readme_block"}


def test_a_damaged_artifact_is_not_verified(damaged: Released) -> None:
    traced = damaged.world.trace(str(damaged.world.folder / METRICS))
    assert traced.returncode == 1
    assert "metrics.json: sha256 is" in traced.stdout


def test_a_seed_that_was_left_out_is_traced_to_the_mean_that_lacks_it(damaged: Released) -> None:
    found = json.loads(damaged.world.trace("3", "--json").stdout)["found"]
    (left_out,) = {one["artifact"] for one in found if one["line"].startswith("Left out: tiny_correct: seed 3")}
    assert left_out == "aggregate_metrics[tiny_correct]"


def test_after_a_repair_only_what_follows_from_it_is_computed(
    damaged: Released, released: Released, tmp_path: Path
) -> None:
    world = damaged.copy(tmp_path / "world")
    backfill = world.run("asset", "materialize", "--select", "probe_metrics", "--partition", "3|tiny_correct")
    assert backfill.returncode == 0, backfill.stderr
    again = world.release()
    assert again.returncode == 0, again.stdout + again.stderr
    assert world.computed() <= {
        "aggregate_metrics[tiny_correct]",
        "deferral_plan[tiny_correct]",
        "scaling_summary[tiny]",
        "readme_block[tiny]",
    }
    assert world.artifact_hashes() == released.world.artifact_hashes()


def test_a_rule_with_new_options_judges_again_what_is_not_computed_again(copied: TinyWorld) -> None:
    copied.change_study(statistics={"bootstrap": 100, "permutations": 201})
    again = copied.release()
    assert again.returncode == 0, again.stdout + again.stderr
    assert copied.computed() <= {"readme_block[tiny]"}
    assert {row["n"] for row in copied.rows(name="random_label")} == {201}


def test_a_changed_label_rule_is_named_by_a_walk_and_repeats_no_forward_pass(copied: TinyWorld) -> None:
    copied.change_study(labels={"anchor_percentile": 80})
    traced = copied.trace("aggregate_metrics[tiny_correct]")
    assert traced.returncode == 1
    assert "labels.anchor_percentile: 90.0 -> 80" in traced.stdout
    again = copied.release()
    assert again.returncode == 0, again.stdout + again.stderr
    computed = {cell.partition("[")[0] for cell in copied.computed()}
    assert "sentences" in computed
    assert "probe_metrics" in computed
    assert "activations" not in computed
    assert "labels.anchor_percentile: 90.0 -> 80" in copied.verdict["cells"]["sentences[tiny_correct]"]


def test_a_forged_number_is_not_verified(copied: TinyWorld) -> None:
    readme, (_, number) = copied.folder / README, a_row_of_results(copied)
    readme.write_text(readme.read_text(encoding="utf-8").replace(number, "0.9999"), encoding="utf-8")
    for target in (("0.9999",), ("0.9999", "--report", str(readme)), (str(readme),)):
        forged = copied.trace(*target)
        assert forged.returncode == 1
        assert "the artifacts do not give this line now" in forged.stdout


def found_as(row: str) -> str:
    cells = [cell.strip() for cell in row.split("|")]
    return f"{cells[1]}, {cells[2]}: average precision"


def test_a_check_that_raises_is_errored_and_all_others_report(tiny_world) -> None:
    tiny_world.change_study(settings={"tiny_correct": {"model": "tiny", "solutions": "correct"}})
    result = tiny_world.release(fault="check")
    assert result.returncode == 1
    assert {row["status"] for row in tiny_world.rows(name="span_integrity")} == {"errored"}
    assert {name for name, _, _ in tiny_world.red()} == {"span_integrity"}
    healed = tiny_world.release()
    assert healed.returncode == 0, "an errored check is evaluated again by the next release"


def test_failing_roots_still_end_in_a_verdict(tiny_world) -> None:
    result = tiny_world.release(fault="roots")
    assert result.returncode == 1
    assert {row["status"] for row in tiny_world.rows(name="made")} == {"failed", "skipped"}
    assert {row["status"] for row in tiny_world.rows(name="random_label")} == {"skipped"}
    assert "planted: no listing" in json.dumps(tiny_world.rows(name="made", asset="problem_ids"))


def test_a_crash_while_planning_is_a_row(tiny_world) -> None:
    result = tiny_world.release(fault="plan")
    assert result.returncode == 1
    (row,) = tiny_world.rows(name="release")
    assert row["status"] == "failed"
    assert "planted: the model cannot be identified" in json.dumps(row)


def test_faults_in_two_settings_are_both_reported_and_each_stays_in_its_own(tiny_world) -> None:
    chunks = tiny_world.problem("correct", 2) / "chunks_labeled.json"
    content = json.loads(chunks.read_text(encoding="utf-8"))
    content[3]["chunk"] = "This sentence is not in the trace."
    chunks.write_text(json.dumps(content), encoding="utf-8")
    result = tiny_world.release(fault="asset")
    assert result.returncode == 1
    (skipped,) = tiny_world.rows(name="zero_skipped_problems", asset="activations", partition="tiny_correct")
    assert skipped["status"] == "failed"
    assert "2" in skipped["offenders"][0]
    (made,) = tiny_world.rows(name="made", asset="sentences", partition="tiny_incorrect")
    assert made["status"] == "failed"
    assert "planted: the incorrect corpus cannot be read" in made["message"]
    assert not tiny_world.rows(name="made", partition="tiny_correct", status="failed")
    assert len(tiny_world.rows(name="random_label", status="skipped")) == SEEDS
    assert len(tiny_world.rows(name="random_label", status="passed")) == SEEDS
    assert result.stdout.rstrip().splitlines()[-1].startswith("tiny: NOT OK")


def test_a_broken_study_is_named_before_anything_runs(tiny_world) -> None:
    tiny_world.change_study(seeds=3)
    result = tiny_world.release()
    assert result.returncode != 0
    assert "seeds: found 3" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tiny_world.folder / "artifacts").exists()
