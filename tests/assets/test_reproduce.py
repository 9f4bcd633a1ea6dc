"""The command that brings the published tables back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ta_assets.reproduce import main

ROOT = Path(__file__).resolve().parents[2]
METRICS = {"pr_auc", "spearman_mean", "top_5_recall", "top_10_recall"}
SPLIT_OF = {"pilot": "pilot", "full": "full", "llama_correct": "scaling_shared", "qwen_correct": "scaling_shared"}


@pytest.fixture
def files(shared_folder: Path, tmp_path: Path) -> dict[str, Path]:
    """Copies of the smallest reference set that a test may spoil."""
    reference = shared_folder / "reference"
    sources = {
        "labels": reference / "labels/pilot.parquet",
        "splits": reference / "splits/splits_pilot.json",
        "predictions": reference / "predictions/pilot.parquet",
    }
    copies = {name: tmp_path / source.name for name, source in sources.items()}
    copies["predictions"] = tmp_path / "predictions.parquet"
    for name, source in sources.items():
        copies[name].write_bytes(source.read_bytes())
    return copies


def arguments(files: dict[str, Path]) -> list[str]:
    return [part for name, path in files.items() for part in (f"--{name}", str(path))]


def spoil(path: Path, **columns: Any) -> None:
    pd.read_parquet(path).assign(**columns).to_parquet(path)


UNVECTORIZED_SORT = {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"}
"""scikit-learn caps the text features by sorting term frequencies, of which most are equal; numpy's AVX-512 sort leaves
other terms at the cap than the sort of the machine that made the published tables."""


@pytest.mark.parametrize("name", SPLIT_OF)
def test_the_published_tables_come_back(shared_folder: Path, name: str) -> None:
    reference = shared_folder / "reference"
    files = {
        "labels": reference / f"labels/{name}.parquet",
        "splits": reference / f"splits/splits_{SPLIT_OF[name]}.json",
        "predictions": reference / f"predictions/{name}.parquet",
    }
    done = subprocess.run(  # numpy reads the variable while it is imported
        [sys.executable, "-m", "ta_assets.reproduce", *arguments(files)],
        env={**os.environ, **UNVECTORIZED_SORT},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    published = json.loads((reference / f"published/{name}.json").read_text())["seeds"]
    assert set(answer) == {"refit", "recomputed"}
    assert set(answer["refit"]) == {"position_baseline", "text_only_baseline"}
    for model, parts in answer["refit"].items():
        for part, values in parts.items():
            assert values == pytest.approx(published["0"][part][model], abs=5e-5)
    for seed, cell in published.items():
        for part in ("val", "test"):
            for model, expected in cell[part].items():
                assert set(expected) == METRICS
                assert answer["recomputed"][model][seed][part] == pytest.approx(expected, abs=1e-9)


def test_the_command_prints_one_object_and_loads_neither_dagster_nor_torch(files: dict[str, Path]) -> None:
    program = (
        "import sys; from ta_assets.reproduce import main; code = main(sys.argv[1:]);"
        "loaded = {'dagster', 'torch', 'transformers'} & set(sys.modules);"
        "sys.exit(f'loaded {loaded}' if loaded else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments(files)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(json.loads(done.stdout)) == {"refit", "recomputed"}


def test_the_order_of_rows_does_not_matter(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(files)) == 0
    expected = capsys.readouterr().out
    for name in ("labels", "predictions"):
        pd.read_parquet(files[name]).sample(frac=1, random_state=0).to_parquet(files[name])
    assert main(arguments(files)) == 0
    assert capsys.readouterr().out == expected


def test_an_undefined_metric_is_null(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_parquet(files["predictions"])
    table.loc[table["split"] == "val", "anchor"] = 0
    table.to_parquet(files["predictions"])
    assert main(arguments(files)) == 0
    answer = json.loads(capsys.readouterr().out)["recomputed"]["linear_probe"]["0"]
    assert answer["val"]["pr_auc"] is None
    assert answer["test"]["pr_auc"] is not None


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("labels", {"token_count": float("nan")}, "token_count: found '1152 values absent"),
        ("labels", {"anchor": 2}, "anchor: found [2]"),
        ("labels", {"anchor": 0}, "expected both 0 and 1"),
        ("labels", {"chunk_text": None}, "expected text in every row"),
        ("labels", {"problem_id": 1591.5}, "expected a column of whole numbers"),
        ("labels", {"chunk_idx": 0}, "expected each sentence once"),
        ("labels", {"problem_id": 4019}, "expected each sentence once"),
        ("predictions", {"split": "val"}, "expected rows of val and of test"),
        ("predictions", {"score_mlp_probe": float("inf")}, "score_mlp_probe"),
        ("predictions", {"score_mlp_probe": "high"}, "expected a column of numbers"),
        ("predictions", {"seed": 0}, "expected each sentence once"),
    ],
)
def test_bad_values_are_named(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], name: str, columns: dict[str, Any], message: str
) -> None:
    spoil(files[name], **columns)
    assert main(arguments(files)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert str(files[name]) in captured.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "train"),
        ('{"train": [], "val": [1], "test": [2]}', "not empty"),
        ('{"train": [1591, true], "val": [1], "test": [2]}', "whole numbers"),
        ('{"train": [1591], "val": [4605], "test": [1591]}', "each problem in one part"),
        ('{"train": [1591], "val": [4605], "test": [77]}', "problems that have rows"),
    ],
)
def test_bad_splits_are_named(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    files["splits"].write_text(text)
    assert main(arguments(files)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_the_faults_of_all_files_are_named_at_once(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    pd.read_parquet(files["labels"]).drop(columns=["anchor", "chunk_text"]).to_parquet(files["labels"])
    files["splits"].unlink()
    files["predictions"].write_text("no parquet")
    assert main(arguments(files)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert "also anchor, chunk_text" in lines[0]
    assert any("readable JSON" in line for line in lines)
    assert "readable parquet" in lines[-1]


def test_a_table_without_scores_or_rows_is_refused(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_parquet(files["predictions"])
    table.loc[:, ~table.columns.str.startswith("score_")].to_parquet(files["predictions"])
    pd.read_parquet(files["labels"]).head(0).to_parquet(files["labels"])
    assert main(arguments(files)) == 2
    errors = capsys.readouterr().err
    assert "at least one score_<model>" in errors
    assert "at least one row" in errors


@pytest.mark.parametrize("left", [["--labels"], ["--splits"], []])
def test_an_argument_that_is_left_out_is_a_usage_error(files: dict[str, Path], left: list[str]) -> None:
    given = [part for name in left for part in (name, str(files[name.strip("-")]))]
    more = ["--predictions", str(files["predictions"])] if left else []
    with pytest.raises(SystemExit) as caught:
        main([*given, *more])
    assert caught.value.code == 2


def test_scores_alone_are_measured_as_with_labels(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(files)) == 0
    expected = json.loads(capsys.readouterr().out)["recomputed"]
    assert main(["--predictions", str(files["predictions"]), "--k", "5", "10"]) == 0
    assert json.loads(capsys.readouterr().out) == {"recomputed": expected}


def test_test_rows_and_other_k_can_be_asked_for(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    alone = ["--predictions", str(files["predictions"])]
    assert main(alone) == 0
    expected = json.loads(capsys.readouterr().out)["recomputed"]["linear_probe"]["0"]
    table = pd.read_parquet(files["predictions"])
    val = table[table["split"] == "val"]
    # the val rows of several folds repeat sentences; those of train are no concern of the test
    pd.concat([table, val, val.assign(split="train")]).to_parquet(files["predictions"])
    assert main([*alone, "--rows", "test", "--k", "3", "5"]) == 0
    found = json.loads(capsys.readouterr().out)["recomputed"]["linear_probe"]["0"]
    assert set(found) == {"test"}
    assert set(found["test"]) == {"pr_auc", "spearman_mean", "top_3_recall", "top_5_recall"}
    for metric in ("pr_auc", "top_5_recall"):
        assert found["test"][metric] == expected["test"][metric]


def test_all_rows_need_no_split(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_parquet(files["predictions"])
    alone = ["--predictions", str(files["predictions"]), "--rows", "all"]
    answers = []
    for content in (table, table.drop(columns="split"), table[table["split"] == "test"]):
        content.to_parquet(files["predictions"])
        assert main(alone) == 0
        answers.append(json.loads(capsys.readouterr().out)["recomputed"]["linear_probe"]["0"])
    assert answers[0] == answers[1] != answers[2]
    assert set(answers[0]) == {"all"}


@pytest.mark.parametrize("k", ["0", "-1", "ten"])
def test_a_k_that_is_no_cut_off_is_a_usage_error(files: dict[str, Path], k: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--predictions", str(files["predictions"]), "--k", k])
    assert caught.value.code == 2
