"""Devices and dtypes: what auto means, and what is refused. A GPU is imitated; this machine may have none."""

from __future__ import annotations

import pytest
import torch

from ta_assets.core.errors import InputError
from ta_resources.language_model.devices import (
    COMPUTE_DTYPES,
    STORAGE_DTYPES,
    resolve_device,
    resolve_dtype,
    torch_dtype,
)


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("no_accelerator")
def test_auto_is_the_cpu_where_there_is_nothing_better():
    assert resolve_device("auto") == torch.device("cpu")


@pytest.mark.usefixtures("two_gpus")
def test_auto_prefers_cuda_and_a_gpu_can_be_chosen():
    assert resolve_device("auto").type == "cuda"
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(InputError, match="has 2"):
        resolve_device("cuda:2")


@pytest.mark.usefixtures("no_accelerator")
def test_auto_takes_mps_when_there_is_no_cuda(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto").type == "mps"


@pytest.mark.usefixtures("no_accelerator")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps", "gpu", "", "cuda:x", "meta"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(InputError, match="device"):
        resolve_device(device)


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16), ((7, 5), torch.float16)]
)
def test_auto_dtype_on_cuda_is_bfloat16_where_the_gpu_computes_it(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    assert resolve_dtype("auto", torch.device("cuda")) == expected


def test_auto_dtype_on_a_cpu_is_float32():
    assert resolve_dtype("auto", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize("name", COMPUTE_DTYPES)
def test_an_explicit_dtype_is_taken_as_it_is(name):
    assert resolve_dtype(name, torch.device("cpu")) == getattr(torch, name)


@pytest.mark.parametrize("name", ["float64", "int8", "half", "", "__doc__"])
def test_an_unknown_dtype_is_refused(name):
    with pytest.raises(InputError, match=r"extraction\.dtype"):
        resolve_dtype(name, torch.device("cpu"))


def test_bfloat16_is_no_storage_dtype_because_numpy_has_none():
    with pytest.raises(InputError, match="storage_dtype"):
        torch_dtype("extraction.storage_dtype", "bfloat16", STORAGE_DTYPES)
