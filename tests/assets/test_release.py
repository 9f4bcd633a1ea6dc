"""The command ``dagster job execute -j release``, as users and CI run it, on healthy and on faulty worlds."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

from ta_assets.core.options import SEEDS
from ta_assets.ledger.made_from import code_sha256


def test_a_healthy_study_is_released_kept_and_repaired(tiny_world) -> None:
    first = tiny_world.release()
    assert first.returncode == 0, first.stdout + first.stderr
    assert tiny_world.verdict["verdict"] == "OK"
    assert not tiny_world.red()
    assert len(tiny_world.rows(name="random_label")) == 2 * SEEDS
    assert first.stdout.rstrip().splitlines()[-1].startswith("tiny: OK")
    release = tiny_world.folder / "artifacts/tiny/release"
    cases = ElementTree.parse(release / "junit.xml").getroot().iter("testcase")
    assert len(list(cases)) == len(tiny_world.verdict["checks"])
    assert {"verdict.json", "verdict.md", "junit.xml", "environment.json"} <= {path.name for path in release.iterdir()}
    readme = tiny_world.folder / "artifacts/tiny/README.md"
    before, artifacts = readme.read_bytes(), tiny_world.artifact_hashes()

    second = tiny_world.release()
    assert second.returncode == 0, second.stdout + second.stderr
    assert tiny_world.computed() == set()
    assert "nothing changed" in second.stderr
    assert readme.read_bytes() == before

    block = readme.read_text(encoding="utf-8")
    row = next(line for line in block.splitlines() if line.startswith("| tiny_correct ") and "ridge" in line)
    number = row.split("|")[3].strip()
    traced = tiny_world.trace(number, "--json")
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
    assert tiny_world.trace("123456.789").returncode == 2
    verdict_md = release / "verdict.md"
    traced = tiny_world.trace(str(len(tiny_world.verdict["checks"])), "--report", str(verdict_md), "--json")
    assert traced.returncode == 0, traced.stdout + traced.stderr
    assert json.loads(traced.stdout)["found"][0]["artifact"] == "release_verdict[tiny]"
    assert "deferral_plan[tiny_correct]" in traced.stdout
    assert readme.read_bytes() == before
    assert tiny_world.artifact_hashes() == artifacts

    metrics = tiny_world.folder / "artifacts/probe_metrics/tiny_correct/3/metrics.json"
    metrics.write_text(metrics.read_text(encoding="utf-8").replace("0.", "1."), encoding="utf-8")
    third = tiny_world.release()
    assert third.returncode == 1
    assert tiny_world.red() >= {("artifacts_intact", "probe_metrics", "3|tiny_correct")}
    assert {red[1] for red in tiny_world.red()} <= {"probe_metrics", "aggregate_metrics", "readme_block"}
    traced = tiny_world.trace(str(metrics))
    assert traced.returncode == 1
    assert "metrics.json: sha256 is" in traced.stdout
    found = json.loads(tiny_world.trace("3", "--json").stdout)["found"]
    (left_out,) = {one["artifact"] for one in found if one["line"].startswith("Left out: tiny_correct: seed 3")}
    assert left_out == "aggregate_metrics[tiny_correct]"

    backfill = tiny_world.run("asset", "materialize", "--select", "probe_metrics", "--partition", "3|tiny_correct")
    assert backfill.returncode == 0, backfill.stderr
    fourth = tiny_world.release()
    assert fourth.returncode == 0, fourth.stdout + fourth.stderr
    assert tiny_world.computed() <= {
        "aggregate_metrics[tiny_correct]",
        "deferral_plan[tiny_correct]",
        "scaling_summary[tiny]",
        "readme_block[tiny]",
    }
    assert tiny_world.artifact_hashes() == artifacts

    tiny_world.change_study(statistics={"bootstrap": 100, "permutations": 201})
    again = tiny_world.release()
    assert again.returncode == 0, again.stdout + again.stderr
    assert tiny_world.computed() <= {"readme_block[tiny]"}
    assert {row["n"] for row in tiny_world.rows(name="random_label")} == {201}, "a rule with new options judges again"

    tiny_world.change_study(labels={"anchor_percentile": 80})
    traced = tiny_world.trace("aggregate_metrics[tiny_correct]")
    assert traced.returncode == 1
    assert "labels.anchor_percentile: 90.0 -> 80" in traced.stdout
    readme.write_text(block.replace(number, "0.9999"), encoding="utf-8")
    for target in (("0.9999",), ("0.9999", "--report", str(readme)), (str(readme),)):
        forged = tiny_world.trace(*target)
        assert forged.returncode == 1
        assert "the artifacts do not give this line now" in forged.stdout
    fifth = tiny_world.release()
    assert fifth.returncode == 0, fifth.stdout + fifth.stderr
    computed = {cell.partition("[")[0] for cell in tiny_world.computed()}
    assert "sentences" in computed
    assert "probe_metrics" in computed
    assert "activations" not in computed, "a changed label rule must repeat no forward pass"
    assert "labels.anchor_percentile: 90.0 -> 80" in tiny_world.verdict["cells"]["sentences[tiny_correct]"]


def found_as(row: str) -> str:
    cells = [cell.strip() for cell in row.split("|")]
    return f"{cells[1]}, {cells[2]}: average precision"


def test_an_asset_that_raises_in_one_cell_leaves_the_other_setting_complete(tiny_world) -> None:
    result = tiny_world.release(fault="asset")
    assert result.returncode == 1
    (row,) = tiny_world.rows(name="made", asset="sentences", partition="tiny_incorrect")
    assert row["status"] == "failed"
    assert "planted: the incorrect corpus cannot be read" in row["message"]
    assert all(partition.endswith(("incorrect", "tiny")) for _, _, partition in tiny_world.red())
    assert len(tiny_world.rows(name="random_label", status="passed")) == SEEDS
    assert len(tiny_world.rows(name="random_label", status="skipped")) == SEEDS


def test_a_check_that_raises_is_errored_and_all_others_report(tiny_world) -> None:
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


def test_two_faults_in_different_settings_are_both_reported(tiny_world) -> None:
    chunks = tiny_world.problem("correct", 2) / "chunks_labeled.json"
    content = json.loads(chunks.read_text(encoding="utf-8"))
    content[3]["chunk"] = "This sentence is not in the trace."
    chunks.write_text(json.dumps(content), encoding="utf-8")
    result = tiny_world.release(fault="asset")
    assert result.returncode == 1
    (skipped,) = tiny_world.rows(name="zero_skipped_problems", partition="tiny_correct")
    assert skipped["status"] == "failed"
    assert "2" in skipped["offenders"][0]
    (made,) = tiny_world.rows(name="made", asset="sentences", partition="tiny_incorrect")
    assert made["status"] == "failed"
    assert result.stdout.rstrip().splitlines()[-1].startswith("tiny: NOT OK")


def test_a_broken_study_is_named_before_anything_runs(tiny_world) -> None:
    tiny_world.change_study(seeds=3)
    result = tiny_world.release()
    assert result.returncode != 0
    assert "seeds: found 3" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tiny_world.folder / "artifacts").exists()
