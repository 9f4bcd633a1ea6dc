"""Which device computes, in which floating type, and how it says that its memory is full.

Belongs here: the meaning of ``auto``, the validation of explicit choices, freeing. Stays out: models, and what is done
when memory runs out.
torch is imported inside functions, so that the graph loads without it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ta_assets.core.errors import InputError

if TYPE_CHECKING:
    import torch

GPU_POOL = "gpu"
"""Dagster pool of the steps that load a language model, so that no two of them run at once."""
COMPUTE_DTYPES = ("float32", "bfloat16", "float16")
STORAGE_DTYPES = ("float16", "float32")
OUT_OF_MEMORY_TEXTS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
"""What CUDA, MPS, the cpu allocator and the system write into a bare RuntimeError or OSError."""
DEVICE_PATTERN = re.compile(r"cpu|mps|cuda(:\d+)?")


def resolve_device(device: str) -> torch.device:
    """The device to compute on: ``auto`` is cuda, else mps, else cpu; or ``cpu``, ``mps``, ``cuda``, ``cuda:1``.

    Raises:
        InputError: another word, or a device that this machine does not have.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if not DEVICE_PATTERN.fullmatch(device):
        raise InputError("language model resource", "device", device, "auto, cpu, mps, cuda or cuda:<number>")
    resolved = torch.device(device)
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        found = f"a CUDA device that is there (this machine has {torch.cuda.device_count()}), or auto"
        raise InputError("language model resource", "device", device, found)
    if resolved.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("language model resource", "device", device, "a device that is there, or auto")
    return resolved


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The compute dtype: ``auto`` is float32 on a cpu, and bfloat16 (where there is none, float16) on cuda and mps.

    bfloat16 goes first although float16 has three more bits of mantissa: the residual stream of Llama and Qwen models
    holds single coordinates in the thousands and more, which float16 (largest value 65,504) can turn into infinity
    inside a block, and these models were trained in bfloat16. On a cpu half precision is slower than float32.

    Raises:
        InputError: a word that is neither ``auto`` nor one of ``COMPUTE_DTYPES``.
    """
    import torch

    if dtype != "auto":
        return torch_dtype("extraction.dtype", dtype, COMPUTE_DTYPES)
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if _has_bfloat16(device) else torch.float16


def torch_dtype(field: str, name: str, allowed: tuple[str, ...]) -> torch.dtype:
    """The torch dtype of that name.

    Raises:
        InputError: a name that is not in ``allowed``.
    """
    import torch

    if name not in allowed:
        raise InputError("extraction settings", field, name, "one of " + ", ".join(allowed))
    return getattr(torch, name)


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 itself; older GPUs only emulate it, slower than float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    try:
        torch.ones(1, dtype=torch.bfloat16, device=device).sum().item()
    except (RuntimeError, TypeError):
        return False
    return True


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, numpy or the system says that memory ran out, of the host or of a device."""
    import torch

    text = str(error).lower()
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or any(
        known in text for known in OUT_OF_MEMORY_TEXTS
    )


def free_device_memory(device: torch.device) -> None:
    """Give memory that no tensor uses any more back to the device."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
