"""Model folders: identity by content, nothing that runs code, and the Hub by commit."""

from __future__ import annotations

import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec
from ta_assets.core.values import PooledProblem
from ta_resources.language_model.resource import LanguageModelResource

COMMIT = "c" * 40


def identity(folder: Path) -> dict[str, str]:
    return LanguageModelResource().identity(ExtractionSpec(language_model=str(folder)))


def test_identity_is_the_content_wherever_the_folder_lies(copied_model, tmp_path):
    before = identity(copied_model)
    assert before["kind"] == "folder"
    assert len(before["sha256"]) == 64
    assert str(tmp_path) not in json.dumps(before)
    moved = copied_model.rename(tmp_path / "elsewhere")
    assert identity(moved) == before


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
def test_one_changed_byte_of_a_file_that_is_read_changes_the_identity(copied_model, name):
    before = identity(copied_model)
    content = bytearray((copied_model / name).read_bytes())
    content[-1] ^= 1
    if name != "model.safetensors":  # these must stay JSON
        content = (copied_model / name).read_bytes() + b"\n"
    (copied_model / name).write_bytes(content)
    status = (copied_model / name).stat()
    os.utime(copied_model / name, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert identity(copied_model) != before


def test_a_file_that_is_not_read_changes_nothing(copied_model):
    before = identity(copied_model)
    (copied_model / "README.md").write_text("hello")
    (copied_model / "pytorch_model.bin").write_bytes(b"also pickled")
    assert identity(copied_model) == before


def refused(folder: Path, match: str) -> None:
    with pytest.raises(InputError, match=match):
        identity(folder)
    with (
        pytest.raises(InputError, match=match),
        LanguageModelResource(device="cpu").open(ExtractionSpec(language_model=str(folder))),
    ):
        pass


def test_pickled_weights_are_refused_and_never_read(copied_model):
    (copied_model / "model.safetensors").unlink()
    (copied_model / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    refused(copied_model, r"pytorch_model\.bin.*safetensors")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_the_models_author_is_refused(copied_model, name):
    content = json.loads((copied_model / name).read_text())
    (copied_model / name).write_text(json.dumps(content | {"auto_map": {"AutoModel": "modeling.Evil"}}))
    (copied_model / "modeling.py").write_text("raise SystemExit('code was run')")
    refused(copied_model, "auto_map")


@pytest.mark.parametrize(
    ("name", "content"),
    [("config.json", None), ("config.json", "{"), ("config.json", "[]"), ("tokenizer.json", None)],
)
def test_a_file_that_is_absent_or_no_json_is_named(copied_model, name, content):
    (copied_model / name).unlink()
    if content is not None:
        (copied_model / name).write_text(content)
    refused(copied_model, name)


def test_a_tokenizer_that_cannot_be_read_is_named(copied_model):
    (copied_model / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        LanguageModelResource().tokenizer(ExtractionSpec(language_model=str(copied_model)))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    refused(tmp_path / "absent", "existing model folder")


@pytest.mark.parametrize(
    "weight_map", [{}, {"a": "../model.safetensors"}, {"a": "pytorch_model.bin"}, {"a": "absent.safetensors"}, {"a": 1}]
)
def test_an_index_must_name_safetensors_files_beside_it(copied_model, weight_map):
    (copied_model / "model.safetensors").rename(copied_model / "model-1.safetensors")
    (copied_model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    refused(copied_model, r"model\.safetensors\.index\.json")


def test_sharded_weights_are_read(copied_model):
    from transformers import AutoModelForCausalLM

    sharded = copied_model.parent / "sharded"
    shutil.copytree(copied_model, sharded)
    (sharded / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(copied_model).save_pretrained(sharded, max_shard_size="100KB")
    assert (sharded / "model.safetensors.index.json").exists()
    found = []
    for folder in (copied_model, sharded):
        found.append(vectors(LanguageModelResource(device="cpu"), ExtractionSpec(language_model=str(folder))))
    assert found[0] == found[1]


class ModelHub(BaseHTTPRequestHandler):
    folder: Path
    asked: list[str]
    refusing: int = 0

    def log_message(self, format: str, *args: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.refusing:
            self.send_error(self.refusing)
            return
        parts = self.path.split("/")
        path = self.folder / parts[-1]
        known = parts[1:4] == ["someone", "tiny", "resolve"]
        if not known or parts[4] not in ("main", COMMIT) or not path.is_file():
            code = (
                "RepoNotFound" if not known else "EntryNotFound" if parts[4] in ("main", COMMIT) else "RevisionNotFound"
            )
            body, status, headers = b"", 404, {"X-Error-Code": code, "X-Repo-Commit": COMMIT}
        else:
            body, status = path.read_bytes(), 200
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{path.name}-{len(body)}"'}
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub(copied_model, tmp_path, monkeypatch):
    """A resource over a Hub on this machine that serves the tiny model, and the server."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    huggingface_hub.close_session()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (ModelHub,), {"folder": copied_model, "asked": []}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    yield LanguageModelResource(device="cpu", endpoint=endpoint, cache_dir=str(tmp_path / "cache")), server
    server.shutdown()
    server.server_close()
    huggingface_hub.close_session()


HUB_SPEC = ExtractionSpec(language_model="someone/tiny", storage_dtype="float32")


def offline(resource: LanguageModelResource) -> LanguageModelResource:
    return resource.model_copy(update={"offline": True})


def vectors(resource: LanguageModelResource, spec: ExtractionSpec) -> bytes:
    with resource.open(spec) as extractor:
        (pooled,) = extractor.extract([(1, "One. Two.", ["One.", "Two."])], log=lambda _: None)
    assert isinstance(pooled, PooledProblem)
    return pooled.vectors.tobytes()


def test_a_hub_model_is_its_id_and_its_commit_and_reads_like_its_folder(hub, copied_model):
    resource, _ = hub
    assert resource.identity(HUB_SPEC) == {"kind": "hub", "language_model": "someone/tiny", "commit": COMMIT}
    folder_spec = ExtractionSpec(language_model=str(copied_model), storage_dtype="float32")
    assert vectors(resource, HUB_SPEC) == vectors(LanguageModelResource(device="cpu"), folder_spec)


def test_planning_fetches_no_weights(hub, tmp_path):
    hub[0].identity(HUB_SPEC)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_without_a_network_the_downloaded_commit_is_used(hub):
    resource, server = hub
    online = vectors(resource, HUB_SPEC)
    server.shutdown()
    server.server_close()
    assert offline(resource).identity(HUB_SPEC)["commit"] == COMMIT
    assert vectors(offline(resource), HUB_SPEC) == online
    assert resource.identity(HUB_SPEC)["commit"] == COMMIT


def test_hf_hub_offline_means_the_downloaded_files_alone(hub, monkeypatch):
    resource, server = hub
    online = vectors(resource, HUB_SPEC)
    requests = len(server.RequestHandlerClass.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert vectors(resource, HUB_SPEC) == online
    assert len(server.RequestHandlerClass.asked) == requests > 0


def test_an_address_of_the_hub_with_a_password_is_refused_and_not_shown(hub):
    resource = hub[0].model_copy(update={"endpoint": hub[0].endpoint.replace("http://", "http://me:s3cret@")})
    with pytest.raises(InputError, match=r"endpoint: found '…@127\.0\.0\.1:\d+', expected .*HF_ENDPOINT") as caught:
        resource.identity(HUB_SPEC)
    assert "s3cret" not in str(caught.value)


def test_a_model_that_was_never_downloaded_needs_the_hub(hub):
    with pytest.raises(InputError, match="neither cached nor reachable"):
        offline(hub[0]).identity(HUB_SPEC)


@pytest.mark.parametrize(("name", "revision"), [("someone/else", "main"), ("someone/tiny", "v9"), ("a b", "main")])
def test_a_repository_or_revision_that_is_not_there_is_named(hub, name, revision):
    with pytest.raises(InputError, match=f"{name}@{revision}"):
        hub[0].identity(ExtractionSpec(language_model=name, revision=revision))


def test_a_token_that_is_not_valid_is_named(hub):
    hub[1].RequestHandlerClass.refusing = 401
    with pytest.raises(InputError, match=r"someone/tiny@main: config\.json: .*HF_TOKEN set to a token that is valid"):
        hub[0].identity(HUB_SPEC)


def test_a_hub_model_without_safetensors_is_refused(hub, copied_model):
    resource, _ = hub
    (copied_model / "model.safetensors").unlink()
    (copied_model / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(InputError, match="safetensors"), resource.open(HUB_SPEC):
        pass


def test_a_hub_model_with_code_of_its_author_is_refused(hub, copied_model):
    config = json.loads((copied_model / "config.json").read_text())
    (copied_model / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "x.Y"}}))
    with pytest.raises(InputError, match="auto_map"):
        hub[0].identity(HUB_SPEC)
