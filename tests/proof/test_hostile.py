"""What somebody else wrote cannot leave its folder, run, or forge a line of a report.

Each guard also has its plain cases elsewhere: ``tests/core/test_markdown.py`` and ``tests/checks/test_report.py`` (any
text), ``tests/resources/language_model/test_model_folder.py``, ``tests/resources/rollouts/test_hub_dataset.py``, and
``tests/resources/test_hub_client.py`` (the token is sent to the Hub alone). That a token is written nowhere:
``test_token.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec, SplitRule
from ta_assets.core.traces.splits import single_split
from ta_assets.core.values import CorpusSource
from ta_assets.ledger.table import ASSETS, partitions_of
from ta_assets.studies.loading import load_studies, read_study
from ta_assets.studies.readme_file import readme_path
from ta_resources.language_model.resource import LanguageModelResource
from tests.assets.conftest import N_PROBLEMS, ROOT, TinyWorld, build_world, write_model
from tests.proof.bad_case import PREFIX, Bench
from tests.proof.bad_data import LISTINGS, labelled
from tests.proof.bad_inputs import Benches

markdown_it = pytest.importorskip("markdown_it", reason="renders the reports as a reader would see them")

EVIL = "evil.example"
ATTACKS = (
    "Sum | of <script>alert(1)</script> | all |",
    "<img src=x onerror=alert(1)></td>",
    f"[click](http://{EVIL})",
    f"![see](http://{EVIL}/i.png)",
    f"http://{EVIL}/bare",
    "`code` **bold** ```\r\nfence",
    "</testcase>]]><failure/>",
    "<!-- TA_RESULTS_END tiny -->",
    "\x1b[31mred\x07",
    "\n\n# Heading of the text\n\n- item",
    "\n\n| check | verdict |\n| --- | --- |\n| forged | passed |\n",
)
NASTY = " ".join(ATTACKS)


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Benches:
    return Benches(tmp_path_factory.mktemp("benches"))


@pytest.fixture
def bench(benches: Benches, tmp_path: Path) -> Bench:
    return Bench(tmp_path, benches.folder / "model", benches.folder / "corpus")


@dataclass(frozen=True)
class Released:
    """A release of texts that attack."""

    world: TinyWorld
    output: str

    @property
    def results(self) -> Path:
        return self.world.folder / "artifacts"

    def metadata(self) -> Iterator[tuple[str, dg.MetadataValue]]:
        """Every entry that Dagster's pages show of the latest materializations, and of all checks."""
        studies = load_studies(str(self.world.study))
        with dg.DagsterInstance.from_config(str(self.world.folder)) as instance:
            for asset in (*ASSETS, "release_verdict"):
                key = dg.AssetKey(asset)
                for partition in partitions_of(asset, studies.selected):
                    filters = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition])
                    for record in instance.fetch_materializations(filters, limit=1).records:
                        assert record.asset_materialization is not None
                        for name, value in record.asset_materialization.metadata.items():
                            yield f"{asset}[{partition}].{name}", value
            for run in instance.get_runs():
                for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
                    assert entry.dagster_event is not None
                    evaluation: Any = entry.dagster_event.event_specific_data
                    yield f"{evaluation.check_name}.description", dg.MetadataValue.md(evaluation.description or "")
                    for name, value in evaluation.metadata.items():
                        yield f"{evaluation.check_name}.{name}", value


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = tmp_path_factory.mktemp("hostile")
    write_model(folder / "model")
    world = build_world(folder, folder / "model")
    world.change_study(settings={"tiny_correct": {"model": "tiny", "solutions": "correct"}})
    # a problem of the train part may be skipped: the others are whole
    skipped = single_split(range(1, N_PROBLEMS + 1), SplitRule()).train[0]
    for problem_id in range(1, N_PROBLEMS + 1):
        poison(world.problem("correct", problem_id), unaligned=problem_id == skipped)
    result = world.release()
    assert world.rows(name="made", asset="probe_metrics", partition="0|tiny_correct")[0]["status"] == "passed"
    return Released(world, result.stdout + result.stderr)


def poison(folder: Path, *, unaligned: bool) -> None:
    """Every text of a problem attacks; an unaligned one is skipped with the text in the reason."""
    chunks = json.loads((folder / "chunks_labeled.json").read_text(encoding="utf-8"))
    for index, chunk in enumerate(chunks):
        chunk |= {
            "chunk": f"{ATTACKS[index % len(ATTACKS)]} {chunk['chunk']}",
            "function_tags": [f"{NASTY}{index % 2}"],
            "summary": NASTY,
        }
    trace = " ".join(chunk["chunk"] for chunk in chunks)
    if unaligned:
        chunks[3]["chunk"] = f"{NASTY} that the trace does not have"
    for name, content in (
        ("chunks_labeled", chunks),
        ("base_solution", {"prompt": NASTY, "solution": trace, "full_cot": trace}),
        ("problem", {"problem": NASTY, "nickname": NASTY, "title": NASTY, "gt_answer": NASTY}),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def is_harmless(text: str) -> bool:
    """Whether Markdown renders to nothing but headings, lists, tables, marked-up names, and plots of ours."""
    html = markdown_it.MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text)
    tags = set(re.findall(r"<(\w+)", html))
    images = re.findall(r'<img src="([^"]*)"', html)
    controls = [one for one in text if not one.isprintable() and one != "\n"]
    ours = {"h1", "h2", "h3", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code", "br", "hr"}
    plots = {"img"} if images and all(image.startswith("data:image/png;base64,") for image in images) else set()
    headings = re.findall(r"<h\d>(.*?)</h\d>", html, flags=re.DOTALL)
    return tags <= ours | plots and not controls and not any("Heading of the text" in one for one in headings)


def test_the_judge_of_markdown_sees_an_attack() -> None:
    assert is_harmless("# Title\n\n| a | b |\n| --- | --- |\n| 1 | `x` |\n")
    for text in (NASTY, "<b>x</b>", f"[a](http://{EVIL})", f"![a](http://{EVIL}/i.png)", "a\x1b[31m", "```\nx\n```"):
        assert not is_harmless(text), text


def test_text_of_a_dataset_means_nothing_in_a_cells_report(released: Released) -> None:
    reports = sorted(released.results.glob("probe_metrics/*/*/report.md"))
    assert len(reports) == 5
    for path in reports:
        text = path.read_bytes().decode()
        assert "script" in text, "the tag is shown"
        assert is_harmless(text)


def test_text_of_a_dataset_means_nothing_in_a_verdict(released: Released) -> None:
    folder = released.results / "tiny/release"
    markdown = (folder / "verdict.md").read_bytes().decode()
    assert "script" in markdown, "the reason of the skip quotes the text"
    assert is_harmless(markdown)
    shown = (folder / "verdict.txt").read_bytes().decode()
    assert all(one.isprintable() or one == "\n" for one in shown)
    assert not re.search(r"^\S*forged", shown, flags=re.MULTILINE)
    suites = ET.fromstring((folder / "junit.xml").read_bytes())
    assert len(list(suites.iter("testcase"))) == len(released.world.verdict["checks"])
    assert {one.tag for one in suites.iter()} <= {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "error", "skipped", "system-out"
    }  # fmt: skip


def test_text_of_a_dataset_means_nothing_in_a_readme(released: Released) -> None:
    text = (released.results / "tiny/README.md").read_bytes().decode()
    start, end = "<!-- TA_RESULTS_START tiny -->", "<!-- TA_RESULTS_END tiny -->"
    assert (text.count(start), text.count(end)) == (1, 1)
    assert is_harmless(text.replace(start, "").replace(end, ""))


def test_text_of_a_dataset_means_nothing_in_dagsters_pages(released: Released, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(released.world.folder)  # the storage's folders are relative to the current one
    shown = dict(released.metadata())
    markdown = {name: value.md_str for name, value in shown.items() if isinstance(value, dg.MarkdownMetadataValue)}
    assert "activations[tiny_correct].skipped_problems" in markdown
    assert [name for name in markdown if name.startswith("probe_metrics[0|tiny_correct].report")]
    assert "zero_skipped_problems.description" in markdown
    assert [name for name, text in markdown.items() if not is_harmless(text or "")] == []
    links = [name for name, value in shown.items() if isinstance(value, dg.UrlMetadataValue)]
    assert links == []


def test_text_of_a_dataset_does_not_drive_the_terminal(released: Released) -> None:
    assert "\x07" not in released.output
    # Dagster colours its own lines; the red of the text is not among its escapes
    assert "\x1b[31mred" not in released.output


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("readme", "../outside.md"),
        ("readme", "/etc/motd"),
        ("readme", "a\\..\\..\\b"),
        ("dataset", {"folder": "data", "temperature": "../../etc"}),
        ("models", {"small": {"folder": "/etc", "language_model": "a/b"}}),
        ("models", {"small": {"folder": "a/../../b", "language_model": "a/b"}}),
        ("models", {"small": {"folder": "a`<b>|", "language_model": "a/b"}}),
    ],
)
def test_a_path_of_a_study_does_not_leave_its_folder(bench: Bench, section: str, value: Any) -> None:
    read_study(bench.study())
    with pytest.raises(InputError, match=section):
        read_study(bench.study(**{section: value}))


def test_a_readme_that_is_a_link_out_is_not_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = bench.folder / "here"
    inside.mkdir()
    monkeypatch.chdir(inside)
    study = read_study(bench.study(readme="README.md"))
    assert readme_path(study, bench.folder) == inside / "README.md"
    (bench.folder / "precious.md").write_text("precious", encoding="utf-8")
    (inside / "README.md").symlink_to(bench.folder / "precious.md")
    with pytest.raises(InputError, match="below the current directory"):
        readme_path(study, bench.folder)


@pytest.mark.parametrize("linked", ["chunks_labeled.json", "", ".."])
def test_a_link_in_a_dataset_does_not_lead_out_of_it(bench: Bench, linked: str) -> None:
    labelled(bench)
    path = (bench.problem_file("problem.json").parent / linked).resolve()
    path.rename(bench.folder / "outside")
    path.symlink_to(bench.folder / "outside")
    try:
        found: object = labelled(bench)
    except InputError as error:  # all problems are lost, and with them the corpus
        found = error
    assert "a file inside the dataset's folder" in str(found)


def test_a_link_within_a_dataset_is_followed(bench: Bench) -> None:
    path = bench.problem_file("problem.json")
    path.rename(bench.data() / "shared.json")
    path.symlink_to(bench.data() / "shared.json")
    labelled(bench)


@pytest.mark.parametrize("case", LISTINGS[:6], ids=lambda case: case.name)
def test_a_listing_of_the_hub_writes_nothing_outside_its_folder(bench: Bench, case: Any) -> None:
    with pytest.raises(InputError):
        case.act(bench)
    written = [path for path in bench.folder.rglob("*") if path.is_file()]
    assert [path for path in written if "revisions" not in path.relative_to(bench.folder).parts] == []


def test_a_revision_with_slashes_stays_below_its_dataset(bench: Bench) -> None:
    offline = bench.rollouts.model_copy(update={"offline": True})
    source = CorpusSource(PREFIX, repo_id="a/b", revision="x/../../../../y")
    with pytest.raises(InputError, match="listing"):
        offline.list_problem_ids(source)
    reader: Any = offline._reader(source)
    assert reader._listing_path.resolve().is_relative_to((bench.folder / "downloads/a--b").resolve())


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {shlex.quote(str(self.path))}",)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".pkl"])
def test_pickled_weights_are_refused_and_not_opened(bench: Bench, suffix: str) -> None:
    canary = bench.folder / "ran"
    weights = bench.model_folder() / "model.safetensors"
    weights.with_name(f"pytorch_model{suffix}").write_bytes(pickle.dumps(Touch(canary)))
    weights.unlink()
    with pytest.raises(InputError, match=f"pytorch_model{suffix}.*pickled weights can run code"):
        bench.extract("So it is.", ["So it is."])
    assert not canary.exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_a_models_author_is_refused_and_not_run(bench: Bench, file: str) -> None:
    canary = bench.folder / "ran"
    folder = bench.model_folder()
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w')\n", encoding="utf-8")
    path = folder / file
    content = json.loads(path.read_text(encoding="utf-8"))
    code = dict.fromkeys(("AutoConfig", "AutoModel", "AutoTokenizer"), "evil.Evil")
    path.write_text(json.dumps({**content, "auto_map": code}), encoding="utf-8")
    for call in (LanguageModelResource().identity, LanguageModelResource().tokenizer):
        with pytest.raises(InputError, match=f"{file}: auto_map.*no code of its author"):
            call(ExtractionSpec(language_model=str(folder)))
    with pytest.raises(InputError, match="auto_map"):
        bench.extract("So it is.", ["So it is."])
    assert not canary.exists()


@pytest.mark.parametrize("kind", ["object/apply:os.system", "object/new:os.system", "name:os.system", "module:os"])
def test_yaml_that_would_run_is_refused_and_does_not(bench: Bench, kind: str) -> None:
    canary = bench.folder / "ran"
    path = bench.write("study.yaml", f"name: !!python/{kind} ['touch {canary}']\n")
    with pytest.raises(InputError, match=r"study\.yaml: file: .*python.*expected valid YAML"):
        read_study(path)
    assert not canary.exists()


def test_the_web_server_of_make_dev_listens_on_loopback_only(tmp_path: Path) -> None:
    found = re.search(r"^dev:.*\n\t\$\(BIN\)/(dagster dev.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert found is not None
    executable, *arguments = shlex.split(found[1])
    for name in ("dagster.yaml", "workspace.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DAGSTER_DISABLE_TELEMETRY": "yes"}
    for name in ("DAGSTER_HOME", "DAGSTER_MODULE_NAME"):
        environment.pop(name, None)
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name(executable)), *arguments, "-p", str(port)],
        cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 90
        while port not in {at for _, at in listening(process.pid)} and time.monotonic() < deadline:
            assert process.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
            time.sleep(0.3)
        addresses = listening(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()
    assert port in {at for _, at in addresses}
    assert {address for address, _ in addresses} <= {"127.0.0.1", "::1"}


def listening(session: int) -> set[tuple[str, int]]:
    """Address and port of every TCP socket on which a process of a session listens; from Linux's own tables."""
    inodes = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) != session:
                continue
            for one in (process / "fd").iterdir():
                with contextlib.suppress(OSError):  # it was closed
                    inodes.add(os.readlink(one))
    found = set()
    for table, family, width in (("tcp", socket.AF_INET, 4), ("tcp6", socket.AF_INET6, 16)):
        path = Path("/proc/net") / table
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                address, _, port = fields[1].partition(":")
                raw = bytes.fromhex(address)
                words = b"".join(raw[at : at + 4][::-1] for at in range(0, width, 4))
                found.add((socket.inet_ntop(family, words), int(port, 16)))
    return found


def test_a_socket_on_all_addresses_would_be_seen() -> None:
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen()
        assert ("0.0.0.0", everywhere.getsockname()[1]) in listening(os.getsid(0))
