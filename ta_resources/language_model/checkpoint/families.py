"""Families of decoders whose blocks were compared with transformers' own hidden states, and what was proven of each.

Belongs here: the lists, and which configurations of a family they hold for. Stays out: loading, and the proof itself:
``make docs`` measures every family of the installed transformers and writes ``docs/models.md``.
"""

from __future__ import annotations

from typing import Any


def _named(families: str) -> frozenset[str]:
    return frozenset(families.split())


PIECES = _named(
    """
    afmoe apertus arcee aria_text axk1 biogpt bitnet bloom codegen cohere cohere2 cohere2_moe ctrl cwm deepseek_v2
    deepseek_v3 diffllama doge dots1 ernie4_5 ernie4_5_moe exaone4 exaone_moe falcon flex_olmo flint gemma gemma2
    gemma3_text glm glm4 glm4_moe glm4_moe_lite gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss gptj granite granite_swa
    granitemoe granitemoe_swa granitemoeshared helium hunyuan_v1_dense hunyuan_v1_moe hy_v3 hyperclovax internlm3
    iquestcoder jais2 jetmoe kolibri1 laguna llama llama4_text mellum mimo_v2_flash minimax_m2 ministral ministral3
    mistral mixtral modernbert-decoder mpt nanochat nemotron olmo olmo2 olmo3 olmoe opt persimmon phi phi3
    phi4_multimodal phimoe qwen2 qwen2_5_vl_text qwen2_moe qwen2_vl_text qwen3 qwen3_moe qwen3_vl_moe_text qwen3_vl_text
    seed_oss smollm3 solar_open stablelm starcoder2 vaultgemma xglm youtu
    """
)
"""Families (``model_type``) of which a text may be read in pieces that a key-value cache joins: plain attention alone.
Of any other a text is read whole. A recurrent state, or an index over what was read, is not joined rightly, or only for
some lengths of a piece."""
CUT = PIECES | _named(
    """
    axk2 bailing_hybrid bamba beam deepseek_v32 dots3_note_text falcon_h1 falcon_mamba glm_moe_dsa granitemoehybrid
    inkling2_text inkling_text jamba kimi_linear lfm2 lfm2_moe lfm3 mamba mamba2 minimax minimax_m3_vl_text moshi
    olmo_hybrid openai-gpt qwen3_5_moe_text qwen3_5_text qwen3_next recurrent_gemma rwkv zaya
    """
)
"""Families whose blocks are the same ones without the blocks above them. Any other is loaded whole."""
TEXT_PARTS = _named(
    """
    aya_vision cohere2_vision fuyu gemma3 gemma4 gemma4_unified got_ocr2 idefics3 internvl lfm2_vl llama4 llava
    llava_next llava_onevision mistral3 moss_transcribe_diarize qwen2_5_vl qwen2_vl qwen3_5 qwen3_5_moe qwen3_vl
    qwen3_vl_moe smolvlm vipllava
    """
)
"""Families with images or sound whose ``text_config`` is a decoder that reads text as the whole model does."""
LENGTH_DEPENDENT = frozenset({"dynamic", "longrope"})
"""Rotary embeddings (transformers' ``rope_type``) that change with the length of the text."""
UNPROVEN = ("use_bidirectional_attention", "num_kv_shared_layers", "hidden_size_per_layer_input")
"""Options with which a decoder also looks ahead, or blocks share what depends on their number; what is proven of a
family does not hold then."""


def is_cut(config: Any) -> bool:
    """Whether the model may be loaded without the blocks above the deepest wanted one."""
    return config.model_type in CUT and _is_as_proven(config)


def is_read_in_pieces(config: Any) -> bool:
    """Whether a text may be read in pieces."""
    return config.model_type in PIECES and _is_as_proven(config) and is_prefix_stable(config)


def is_prefix_stable(config: Any) -> bool:
    """Whether the first tokens have the same hidden states with and without what follows them.

    So it is in a causal model, unless the length of the text decides how positions are rotated (``dynamic``: NTK-aware
    scaling; ``longrope``: Ding et al. 2024, section 3).
    """
    rotations = getattr(config, "rope_parameters", None) or {}
    # one set for all blocks, or one for each kind of block
    sets = [rotations, *(one for one in rotations.values() if isinstance(one, dict))]
    return not LENGTH_DEPENDENT.intersection(one.get("rope_type") for one in sets)


def _is_as_proven(config: Any) -> bool:
    # is_causal: with false, transformers lets any decoder look ahead
    return getattr(config, "is_causal", True) is not False and not any(getattr(config, name, None) for name in UNPROVEN)
