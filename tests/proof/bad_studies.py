"""Malformed study files and their sections, and the variable that names a study."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import yaml

from ta_assets.studies.loading import STUDY_VARIABLE, load_studies, read_study
from tests.proof.bad_case import OMIT, STUDY, BadInput, Bench

HEALTHY = yaml.safe_dump(dict(STUDY))
BOMB = "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9 if before else ['lol'] * 9)}]\n"
    for before, name in zip(["", *"abcdefghij"], "abcdefghijk", strict=True)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def _sections(name: str, field: str, value: str, expected: str, /, **sections: Any) -> BadInput:
    def act(bench: Bench) -> object:
        return read_study(bench.study(**sections))

    kind = "sweep section" if "sweep" in sections else "study file"
    return BadInput(kind, name, act, "study.yaml", field, value, expected)


def _text(name: str, text: str | bytes, field: str, value: str, expected: str) -> BadInput:
    def act(bench: Bench) -> object:
        return read_study(bench.write("study.yaml", text))

    return BadInput("study file", name, act, "study.yaml", field, value, expected)


def _added(name: str, line: str, field: str, value: str, expected: str) -> BadInput:
    return _text(name, f"{HEALTHY}{line}\n", field, value, expected)


def _variable(name: str, make: Callable[[Bench], str], value: str, expected: str, file: str = "TA_STUDY") -> BadInput:
    def act(bench: Bench) -> object:
        before = os.environ.get(STUDY_VARIABLE)
        os.environ[STUDY_VARIABLE] = make(bench)
        try:
            return load_studies()
        finally:
            os.environ.pop(STUDY_VARIABLE)
            if before is not None:
                os.environ[STUDY_VARIABLE] = before

    field = "value" if file == "TA_STUDY" else "file"
    return BadInput("environment", name, act, file, field, value, expected)


def _model(**changes: str) -> dict[str, Any]:
    return {"small": {**STUDY["models"]["small"], **changes}}


def _setting(**changes: Any) -> dict[str, Any]:
    return {"small_correct": {**STUDY["settings"]["small_correct"], **changes}}


def _sharing(first: int, second: int) -> dict[str, Any]:
    setting = {**STUDY["settings"]["small_correct"], "shared_problems": True}
    return {"a": {**setting, "problems": first}, "b": {**setting, "problems": second}}


def _fifo(bench: Bench) -> str:
    path = bench.folder / "study.yaml"
    os.mkfifo(path)
    return str(path)


def _name_of_a_shipped_one(bench: Bench) -> object:
    os.environ[STUDY_VARIABLE] = str(bench.study(name="paper"))
    try:
        return load_studies()
    finally:
        os.environ.pop(STUDY_VARIABLE)


def _file_of_a_shipped_setting(bench: Bench) -> object:
    path = bench.study(settings={"pilot": STUDY["settings"]["small_correct"]})
    return load_studies(str(path))


def _huge_file(bench: Bench) -> object:
    return read_study(bench.write("study.yaml", HEALTHY + "# " + "x" * 3_000_000))


def _symlink_to_itself(bench: Bench) -> object:
    path = bench.folder / "study.yaml"
    path.symlink_to(path)
    return read_study(path)


def _directory(bench: Bench) -> str:
    return str(bench.folder)


FILES = [
    _text("an empty study file", "", "file", "None", "a mapping"),
    _text("a list in place of a study", "[1, 2]", "file", "[1, 2]", "a mapping"),
    _text("a number in place of a study", "12", "file", "12", "a mapping"),
    _text("YAML that ends too early", "a: [", "file", "expected", "valid YAML"),
    _text("a tab for indentation", "a:\n\t- b", "file", "\\t", "valid YAML"),
    _text("two documents in one file", f"{HEALTHY}---\n{HEALTHY}", "file", "another document", "valid YAML"),
    _text("a NUL in the text", "name: a\0b", "file", "special characters", "valid YAML"),
    _text("Latin-1 in place of UTF-8", b"name: \xe9tude", "file", "UnicodeDecodeError", "UTF-8"),
    _text("UTF-16 in place of UTF-8", HEALTHY.encode("utf-16"), "file", "UnicodeDecodeError", "UTF-8"),
    _text("a key given twice", f"{HEALTHY}name: again\n", "file", "given twice: name", "valid YAML"),
    _text("an alias of nothing", f"{HEALTHY}seeds: *five\n", "file", "five", "valid YAML"),
    _text("a list that holds itself", "a: &a [*a]", "file", "holds itself", "valid YAML"),
    _text("a bomb of aliases", BOMB, "file", "values when written out", "at most"),
    _text("a bomb of merged mappings", MERGE_BOMB, "file", "values when written out", "at most"),
    _text("a hundred thousand open brackets", "[" * 100_000, "file", "nested", "valid YAML"),
    _text("ten thousand levels by indentation", "- " * 10_000 + "x", "file", "nested", "valid YAML"),
    _text("a Python object", "!!python/object/apply:os.getcwd []", "file", "python/object", "valid YAML"),
    _text("a tag of nobody", "name: !mine x", "file", "!mine", "valid YAML"),
    _added("a number of five thousand digits", "seeds: " + "9" * 5000, "file", "'9999", "valid YAML"),
    _added("a day that no month has", "readme: 2001-02-31", "file", "2001-02-31", "valid YAML"),
    _added("a text called an integer", "seeds: !!int five", "file", "five", "valid YAML"),
    _added("a text called a time", "seeds: !!timestamp soon", "file", "soon", "valid YAML"),
    _added("a text called a truth", "seeds: !!bool perhaps", "file", "perhaps", "valid YAML"),
    _added("a list as a key", "? [a]\n: b", "file", "unhashable", "valid YAML"),
    _added("a number as a key", "7: b", "7", "found 7", "Keys should be strings"),
    BadInput("study file", "a file of three megabytes", _huge_file, "study.yaml", "file", "bytes", "at most"),
    BadInput("study file", "a link to itself", _symlink_to_itself, "study.yaml", "file", "", "readable UTF-8"),
]

SECTIONS = [
    _sections("no name", "name", "None", "no default", name=OMIT),
    _sections("no models", "models", "None", "no default", models=OMIT),
    _sections("an unknown section", "sttings", "{}", "no such key", sttings={}),
    _sections("a name with a slash", "name", "'a/b'", "pattern", name="a/b"),
    _sections("a name that is a number", "name", "3", "string", name=3),
    _sections("no settings at all", "settings", "{}", "at least 1", settings={}),
    _sections("both a folder and a repository", "dataset", "'b/c'", "exactly one", dataset={"folder": "a", "repo_id": "b/c"}),
    _sections("a repository without an owner", "dataset.repo_id", "'rollouts'", "pattern", dataset={"repo_id": "rollouts"}),
    _sections("a folder of no name", "dataset.folder", "''", "a path", dataset={"folder": ""}),
    _sections("a NUL in a folder", "dataset.folder", "'a\\x00b'", "a path", dataset={"folder": "a\0b"}),
    _sections("the home of nobody", "dataset.folder", "'~nobody-of-that-name/x'", "home", dataset={"folder": "~nobody-of-that-name/x"}),
    _sections("a temperature above its folder", "dataset.temperature", "'../x'", "without '..'", dataset={"folder": "a", "temperature": "../x"}),
    _sections("an absolute temperature", "dataset.temperature", "'/etc'", "relative", dataset={"folder": "a", "temperature": "/etc"}),
    _sections("a temperature with a backslash", "dataset.temperature", "'a\\\\b'", "relative", dataset={"folder": "a", "temperature": "a\\b"}),
    _sections("a temperature with an empty part", "dataset.temperature", "'a//b'", "relative", dataset={"folder": "a", "temperature": "a//b"}),
    _sections("a model folder with a line break", "models.small.folder", "'a\\nb'", "printable", models=_model(folder="a\nb")),
    _sections("a model folder above its place", "models.small.folder", "'a/../../b'", "without '..'", models=_model(folder="a/../../b")),
    _sections("a language model of no name", "models.small.language_model", "''", "Hub id", models=_model(language_model="")),
    _sections("a language model with spaces", "models.small.language_model", "'a b/c'", "Hub id", models=_model(language_model="a b/c")),
    _sections("a language model in three parts", "models.small.language_model", "'a/b/c'", "Hub id", models=_model(language_model="a/b/c")),
    _sections("an empty revision", "models.small.revision", "''", "pattern", models=_model(revision="")),
    _sections("an anchor percentile of no number", "labels.anchor_percentile", "nan", "finite", labels={"anchor_percentile": float("nan")}),
    _sections("an anchor percentile as a truth", "labels.anchor_percentile", "True", "number", labels={"anchor_percentile": True}),
    _sections("fractions that sum to more than one", "splits", "0.9", "sum to 1", splits={"train": 0.9}),
    _sections("a fraction of no number", "splits.val", "nan", "finite", splits={"val": float("nan")}),
    _sections("a negative seed", "splits.seed", "-1", "at least 0", splits={"seed": -1}),
    _sections("a seed that numpy cannot take", "inference.seed", "<a number of", "at most", inference={"seed": 1 << 2000}),
    _sections("half a permutation", "statistics.permutations", "200.5", "integer", statistics={"permutations": 200.5}),
    _sections("a quintillion bootstrap samples", "statistics.bootstrap", "1000000000000000000", "at most", statistics={"bootstrap": 10**18}),
    _sections("a quintillion permutations", "statistics.permutations", "1000000000000000000", "at most", statistics={"permutations": 10**18}),
    _sections("a quintillion permutations of the comparison", "inference.permutations", "1000000000000000000", "at most", inference={"permutations": 10**18}),
    _sections("a quintillion draws of the ceiling", "inference.ceiling_draws", "1000000000000000000", "at most", inference={"ceiling_draws": 10**18}),
    _sections("a quintillion hidden units", "probes.mlp_hidden", "1000000000000000000", "at most", probes={"mlp_hidden": 10**18}),
    _sections("a quintillion iterations", "probes.mlp_max_iter", "1000000000000000000", "at most", probes={"mlp_max_iter": 10**18}),
    _sections("a quintillion position bins", "probes.position_bins", "1000000000000000000", "at most", probes={"position_bins": 10**18}),
    _sections("a network of a quintillion layers", "probes.token_probes.depth", "1000000000000000000", "at most", probes={"token_probes": {"depth": 10**18}}),
    _sections("a learning rate of no number", "probes.token_probes.learning_rate", "nan", "finite", probes={"token_probes": {"learning_rate": float("nan")}}),
    _sections("a margin of no number", "inference.margin", "nan", "finite", inference={"margin": float("nan")}),
    _sections("an endless budget", "deferral.budget", "inf", "finite", deferral={"budget": float("inf")}),
    _sections("a threshold of no number", "verification.threshold", "nan", "finite", verification={"threshold": float("nan")}),
    _sections("a layer beyond all counting", "extraction.layer", "<a number of", "a block index", extraction={"layer": 1 << 5000}),
    _sections("a pooling of nobody", "extraction.pooling", "'max'", "'mean', 'last' or 'tokens'", extraction={"pooling": "max"}),
    _sections("a dtype of nobody", "extraction.dtype", "'int4'", "'auto', 'float32', 'float16' or 'bfloat16'", extraction={"dtype": "int4"}),
    _sections("a beginning in other words", "extraction.bos", "'sometimes'", "'never', 'auto' or 'always'", extraction={"bos": "sometimes"}),
    _sections("a layer in words", "extraction.layer", "'top'", "a block index", extraction={"layer": "top"}),
    _sections("a setting of an unknown model", "settings.small_correct.model", "'large'", "one of models", settings=_setting(model="large")),
    _sections("a setting of two problems", "settings.small_correct.problems", "2", "at least 3", settings=_setting(problems=2)),
    _sections("settings that share other numbers of problems", "settings.b.problems", "4", "as settings.a.problems has it", settings=_sharing(3, 4)),
    _sections("solutions that are neither", "settings.small_correct.solutions", "'maybe'", "'incorrect'", settings=_setting(solutions="maybe")),
    _sections("a README outside", "readme", "'../../etc/passwd'", "without '..'", readme="../../etc/passwd"),
    _sections("other than five seeds", "seeds", "3", "5", seeds=3),
    _sections("a token probe without tokens", "probes.models", "attention_probe", "pooling: tokens", probes={"models": ["attention_probe"]}),
    _sections("faults in three sections", "labels.missing", "'skip'", "'zero'", labels={"missing": "skip"}, seeds=3, splits={"seed": -1}),
]  # fmt: skip

SWEEPS = [
    _sections("a factor that no section has", "sweep.loudness", "loudness", "a key of", sweep={"loudness": [1]}),
    _sections("a key that is no list of values", "sweep.models", "'a'", "valid tuple", sweep={"seed": [1], "models": ["a"]}),
    _sections("a factor without values", "sweep.layer", "[]", "at least 1", sweep={"layer": []}),
    _sections("a factor that is no list", "sweep.layer", "3", "list", sweep={"layer": 3}),
    _sections("a section in place of a factor", "sweep", "'vertical_attention'", "one of extraction.vertical_attention.mode", sweep={"vertical_attention": ["light"]}),
    _sections("a mapping in place of a value", "sweep.vertical_attention.0", "{'mode': 'light'}", "must be one value", sweep={"vertical_attention": [{"mode": "light"}]}),
    _sections("an inner value that its section forbids", "sweep", "'token_probes.heads'", "greater than or equal to 1", sweep={"token_probes.heads": [0]}),
    _sections("a value listed twice", "sweep.anchor_percentile", "[90, 90.0]", "twice", sweep={"anchor_percentile": [90, 90.0]}),
    _sections("a value that its section forbids", "sweep.anchor_percentile", "150", "less than", sweep={"anchor_percentile": [150]}),
    _sections("a value of no number", "sweep.anchor_percentile", "nan", "finite", sweep={"anchor_percentile": [float("nan")]}),
    _sections("a probe that nobody fits", "sweep.probe", "'oracle'", "one of", sweep={"probe": ["oracle"]}),
    _sections("fractions that no combination completes", "sweep", "0.9", "sum to 1", sweep={"splits.train": [0.9]}),
    _sections("a hundred thousand combinations", "sweep", "100000", "at most 10000", sweep={"rollouts": list(range(1, 101)), "mlp_hidden": list(range(1, 101)), "mlp_max_iter": list(range(1, 11))}),
    _sections("a factor named twice", "sweep.layer", "[1]", "is a factor already", sweep={"layer": [0], "extraction.layer": [1]}),
    _sections("a token probe at a pooling without tokens", "sweep", "attention_probe", "pooling: tokens", extraction={"pooling": "tokens"}, probes={"models": ["linear_probe", "attention_probe"]}, sweep={"probe": ["attention_probe"], "pooling": ["tokens", "mean"]}),
]  # fmt: skip

VARIABLES = [
    _variable("a study that does not exist", lambda _: "nowhere.yaml", "'nowhere.yaml'", "one of embedded, from_scratch, paper"),
    _variable("a folder in place of a study", _directory, "", "one of embedded, from_scratch, paper"),
    _variable("a path longer than any file's", lambda _: "x" * 5000, "'xxx", "one of embedded, from_scratch, paper"),
    _variable("a study in the home of nobody", lambda _: "~nobody-of-that-name/s.yaml", "'~nobody", "one of embedded"),
    _variable("a pipe in place of a study", _fifo, "study.yaml", "one of embedded, from_scratch, paper"),
    BadInput(
        "environment", "the name of a shipped study", _name_of_a_shipped_one, "study.yaml", "name", "'paper'",
        "does not use already",
    ),
    BadInput(
        "study file", "the setting of a shipped study", _file_of_a_shipped_setting, "study.yaml", "settings.pilot",
        "'pilot'", "does not use already",
    ),
]  # fmt: skip

CASES: list[BadInput] = [*FILES, *SECTIONS, *SWEEPS, *VARIABLES]


def healthy(bench: Bench) -> None:
    """The study without a fault is read."""
    assert read_study(bench.study()).name == "mine"
