"""Which number of a report belongs to which artifact; the walk itself is tried by ``test_release``."""

from __future__ import annotations

import pytest

from ta_assets import trace
from ta_assets.report_numbers import numbers_of
from ta_assets.studies import load_studies

BLOCK = """Is a probe of study `embedded` better than the obvious baseline?

| setting       | score      | average precision | difference                | verdict |
| --- | --- | ---: | --- | --- |
| small_correct | ridge \\| x | 0.7235 | +0.014 (-0.059 to +0.093) | inconclusive, needs about 1,372 problems |

- small_correct: 40 problems, chance 0.335; 96% of 75 anchors have Fisher p < .05

| setting       | model     | seeds | average_precision |
| ------------- | --------- | ----: | ----------------- |
| small_correct | mlp_probe |     5 | 0.4547 ± 0.0540   |

| check          | severity | passed |  of |
| -------------- | -------- | -----: | --: |
| finite_metrics | ERROR    |     12 |  13 |

Made from:
- small_correct: data prefix `x` sha256 `ab`; language model sha256 `cd`; problems 41, block 2
"""


def test_every_number_of_a_block_has_an_owner() -> None:
    found = list(numbers_of(BLOCK, load_studies("embedded").selected))
    owner = {number: one.node for number, one in found}
    assert owner["0.7235"] == owner["+0.093"] == owner["1,372"] == ("probe_comparison", "small_correct")
    assert owner["0.335"] == owner["96%"] == ("probe_comparison", "small_correct")
    assert owner["0.0540"] == ("aggregate_metrics", "small_correct")
    assert owner["13"] == ("readme_block", "embedded")
    assert owner["41"] == ("activations", "small_correct")
    what = {number: one.what for number, one in found}
    assert what["0.7235"] == "small_correct, ridge | x: average precision"
    assert what["0.4547"] == "small_correct, mlp_probe: average_precision"


@pytest.mark.parametrize(
    "target", ["nonsense", "no_asset[embedded]", "splits[no_such_setting]", "release_verdict[embedded]"]
)
def test_a_target_that_is_none_is_named(
    target: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace.main([target]) == trace.EXIT_BAD_INPUT
    said = capsys.readouterr().err
    assert "TARGET" in said
    assert target in said


def test_a_folder_without_an_instance_is_named(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert trace.main(["0.5"]) == trace.EXIT_BAD_INPUT
    assert "dagster.yaml" in capsys.readouterr().err


def test_numbers_with_a_sign_are_no_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert trace.main(["+123456.5", "--json"]) == trace.EXIT_BAD_INPUT
    assert "+123456.5" in capsys.readouterr().err
