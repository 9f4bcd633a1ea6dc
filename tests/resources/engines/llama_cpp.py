"""A llama.cpp server, as the package xllamacpp has it, with SmolLM2: ``python llama_cpp.py FOLDER GGUF PORT`` serves.

Belongs here: the model's file for it, its process. Stays out: what is asked of it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np

START_SECONDS = 120


def write_gguf(folder: Path, target: Path) -> None:
    """A llama model with tied embeddings and a byte-level tokenizer, in half precision."""
    from gguf import GGUFWriter, TokenType
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = GGUFWriter(target, "llama")
    writer.add_name("smollm2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config.get("rope_theta") or config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])
    vocabulary = {number: token for token, number in tokenizer["model"]["vocab"].items()}
    special = {one["id"]: one["content"] for one in tokenizer["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([special.get(one, vocabulary.get(one, f"[{one}]")) for one in range(config["vocab_size"])])
    kinds = [TokenType.CONTROL if one in special else TokenType.NORMAL for one in range(config["vocab_size"])]
    writer.add_token_types(kinds)
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    writer.add_eos_token_id(2)
    writer.add_bos_token_id(1)
    writer.add_add_bos_token(False)
    names = {
        "self_attn.q_proj": ("attn_q", heads),
        "self_attn.k_proj": ("attn_k", key_heads),
        "self_attn.v_proj": ("attn_v", 0),
        "self_attn.o_proj": ("attn_output", 0),
        "mlp.gate_proj": ("ffn_gate", 0),
        "mlp.up_proj": ("ffn_up", 0),
        "mlp.down_proj": ("ffn_down", 0),
        "input_layernorm": ("attn_norm", 0),
        "post_attention_layernorm": ("ffn_norm", 0),
    }
    for name, tensor in load_file(folder / "model.safetensors").items():
        if name == "model.embed_tokens.weight":
            writer.add_tensor("token_embd.weight", tensor.astype(np.float16))
        elif name == "model.norm.weight":
            writer.add_tensor("output_norm.weight", tensor.astype(np.float32))
        elif name.startswith("model.layers."):
            block, _, part = name.removeprefix("model.layers.").removesuffix(".weight").partition(".")
            to, rotated = names[part]
            if rotated:  # this file format holds the two halves of a rotation interleaved
                shape = (rotated, 2, tensor.shape[0] // rotated // 2, tensor.shape[1])
                tensor = tensor.reshape(shape).swapaxes(1, 2).reshape(tensor.shape)
            kind = np.float32 if tensor.ndim == 1 else np.float16
            writer.add_tensor(f"blk.{block}.{to}.weight", np.ascontiguousarray(tensor.astype(kind)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class LlamaCppServer:
    """The server as a process; ``kill`` ends it at once, ``start`` starts it at the same address."""

    def __init__(self, gguf: Path) -> None:
        self._gguf, self._port = gguf, free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, __file__, str(self._gguf), str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            assert self._process.poll() is None, "the server has ended"
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.3)
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def serve(gguf: str, port: str) -> None:
    """Serve until the process ends."""
    import xllamacpp  # type: ignore[import-not-found]

    params = xllamacpp.CommonParams()
    params.model.path = gguf
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = 4096
    params.n_parallel = 4
    params.n_gpu_layers = 0
    params.warmup = False
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while os.getppid() > 1:  # the one that started it is gone
        time.sleep(1)


if __name__ == "__main__":
    serve(*sys.argv[1:])
