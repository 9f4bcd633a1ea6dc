"""The example of ``docs/data.md`` loads, and its table of fields is what the reader does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ta_assets.core.errors import InputError
from ta_assets.core.traces.labels import label_problem
from ta_assets.studies.loading import read_study
from ta_assets.studies.study import Study
from ta_resources.rollouts.resource import RolloutsResource

TEXT = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(\S+\.json)`\n\n```json\n(.*?)```", TEXT, flags=re.DOTALL | re.MULTILINE))
FIELDS = re.findall(r"^\| `(\S+\.json)` +\| `(\w+)` +\| (yes|no) ", TEXT, flags=re.MULTILINE)
PROBLEM_ID = 7


def written(folder: Path, files: dict[str, Any]) -> Study:
    (folder / "study.yaml").write_text(re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)[0], encoding="utf-8")
    study = read_study(folder / "study.yaml")
    source = study.source("small_correct")
    assert source.folder is not None
    for name, content in files.items():
        path = Path(source.folder) / source.prefix / f"problem_{PROBLEM_ID}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return study


def read(study: Study) -> None:
    source, rollouts = study.source("small_correct"), RolloutsResource()
    problem = rollouts.load_problem(source, PROBLEM_ID)
    label_problem(problem, study.labels)
    rollouts.load_rollouts(source, PROBLEM_ID, [0])


def test_the_example_is_read_as_it_says(tmp_path: Path) -> None:
    study = written(tmp_path, {name: json.loads(text) for name, text in FILES.items()})
    source, rollouts = study.source("small_correct"), RolloutsResource()
    assert rollouts.list_problem_ids(source) == [PROBLEM_ID]
    problem = rollouts.load_problem(source, PROBLEM_ID)
    # two sentences tell nothing of the size of their campaign
    table = label_problem(problem, study.labels.model_copy(update={"rollouts": 100}))
    assert table["chunk_text"].tolist() == ["First the product.", "3 * 4 = 12."]
    assert table["anchor"].tolist() == [0, 1]
    assert table["function_tag"].tolist() == ["plan_generation", "active_computation"]
    assert not table["n_different"].isna().to_numpy().any(), "its fractions are of whole rollouts"
    assert all(sentence in problem.trace_text for sentence in problem.sentences)
    found = rollouts.load_rollouts(source, PROBLEM_ID, [0])[0]
    assert [one.is_correct for one in found] == [False, True]


def test_the_table_names_every_file_and_field_of_the_example() -> None:
    named = {(name, field) for name, field, _ in FIELDS}
    shown = {
        (name, field)
        for name, text in FILES.items()
        for entry in ([json.loads(text)] if text.startswith("{") else json.loads(text))
        for field in entry
    }
    assert named - shown == {("base_solution.json", "solution")}
    assert shown - named == {("problem.json", "problem")}, "which nobody reads"


@pytest.mark.parametrize(("name", "field", "required"), FIELDS)
def test_a_field_is_required_as_the_table_says(tmp_path: Path, name: str, field: str, required: str) -> None:
    files = {name: json.loads(text) for name, text in FILES.items()}
    (files[name][0] if isinstance(files[name], list) else files[name]).pop(field, None)
    study = written(tmp_path, files)
    if required == "no":
        read(study)
        return
    with pytest.raises(InputError, match=field):
        read(study)
