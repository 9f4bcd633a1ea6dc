"""A tiny configuration of any decoder that transformers has: the family's own defaults, with every size made small.

Belongs here: which keys are sizes, and the families that need a word of their own. Stays out: weights, what is done
with them.
"""

from __future__ import annotations

from typing import Any

N_BLOCKS = 6

BY_SIZE = """
512: vocab_size vocab_size_per_layer_input encoder_hash_byte_group_vocab ngram_vocab_size_base pronunciation_vocab_size
512: shape_vocab_size
384: max_position_embeddings n_positions n_ctx max_seq_len context_length model_max_length max_target_positions
64: intermediate_size ffn_dim n_inner ffn_hidden_size dense_intermediate_size intermediate_size_mlp encoder_ffn_dim
64: decoder_ffn_dim dim_ff dff d_inner feed_forward_size prompt_mid_dim
32: hidden_size n_embd d_model embed_dim embedding_dim embedding_size input_embedding_size output_embedding_size
32: lru_width word_embed_proj_dim attention_hidden_size pronunciation_embed_dim shape_embed_dim d_ssm mamba_d_ssm
32: moe_intermediate_size shared_expert_intermediate_size router_hidden_size expert_ffn_hidden_size emb_dim rel_extent
32: shared_experts_intermediate_size moe_shared_expert_intermediate_size ple_embed_dim query_pre_attn_scalar
24: sliding_window sliding_window_size window_size local_attention attention_window_size
16: kv_lora_rank q_lora_rank o_lora_rank mamba_chunk_size qk_head_dim index_topk block_size local_attn_chunk_length
16: lsh_attn_chunk_length attention_chunk_size floor_scale dim_model_base
8: head_dim kv_channels d_head dim_head attention_head_size qk_rope_head_dim qk_nope_head_dim v_head_dim rotary_dim
8: linear_key_head_dim linear_value_head_dim linear_head_dim attention_head_dim swa_head_dim index_head_dim chunk_size
8: mamba_d_state state_size ssm_state_size hidden_size_per_layer_input mamba_d_head mamba_head_dim mamba_n_heads
8: mamba_num_heads n_mamba_heads mamba_headdim index_block_size
6: num_hidden_layers n_layer n_layers num_layers num_blocks max_window_layers decoder_layers num_decoder_layers
6: encoder_layers num_encoder_layers num_layers_per_stack
4: num_attention_heads n_head n_heads num_heads attention_heads encoder_attention_heads decoder_attention_heads
4: num_encoder_attention_heads num_decoder_attention_heads num_experts n_routed_experts num_local_experts d_rel
4: moe_num_experts linear_num_key_heads linear_num_value_heads linear_num_heads swa_num_attention_heads laurel_rank
4: index_n_heads zero_expert_num swa_num_heads mamba_dt_rank time_step_rank adapter_rank gated_norm_rank hc_lowrank
2: num_key_value_heads num_kv_heads num_experts_per_tok moe_topk moe_k num_experts_per_token mamba_n_groups
2: n_groups mamba_ngroups index_topk_blocks num_query_groups num_mem_blocks swa_num_key_value_heads n_group topk_group
2: num_expert_group o_groups hc_count
"""
"""What each key becomes where it is larger."""
SIZES: dict[str, int] = {
    key: int(size)
    for size, _, keys in (line.partition(":") for line in BY_SIZE.strip().splitlines())
    for key in keys.split()
}
IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "sep_token_id": 2, "cls_token_id": 1}
ROTATED = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}}
SIZED_HEADS = {"head_dim": 8, "num_key_value_heads": 2}
OWN: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 3},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8},
    "gemma3n_text": {"num_kv_shared_layers": 2},
    "gemma3n": {"text_config": {"num_kv_shared_layers": 2}},
    "hunyuan_v1_dense": SIZED_HEADS,
    "hunyuan_v1_moe": SIZED_HEADS,
    "ministral": SIZED_HEADS,
    "nemotron": SIZED_HEADS,
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 3},
    "mamba2": {"head_dim": 16},
    "nemotron_h": {"layers_block_type": ["mamba", "attention"] * 3},
    "qwen4_exp_text": SIZED_HEADS,
    "qwen4_exp": {"text_config": SIZED_HEADS},
    "qwen2_vl": {"text_config": ROTATED},
    "qwen2_5_vl": {"text_config": ROTATED},
    "reformer": {"is_decoder": True},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"attention_hidden_size": 64, "attention_head_dim": 16},
    "zamba2": {"attention_hidden_size": 64, "attention_head_dim": 16, "mamba_headdim": 8},
}
"""Family -> what its configuration needs beside small sizes."""


def tiny_config(family: str) -> Any:
    """The configuration of ``family`` (a ``model_type`` of transformers), ``N_BLOCKS`` deep and ``WIDTH`` wide."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = CONFIG_MAPPING[family]
    config = kind()
    own = OWN.get(family, {})
    inner = {
        name: _small(part, own.get(name, {}))
        for name in config.sub_configs
        if (part := getattr(config, name, None)) is not None
    }
    return kind(**{**_small(config, own), **inner})


def _small(config: Any, own: dict[str, Any]) -> dict[str, Any]:
    """Keys of a configuration with small values, and those of its own."""
    values = vars(config)
    deep = next((values[key] for key in SIZES if SIZES[key] == N_BLOCKS and isinstance(values.get(key), int)), None)
    small: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, bool) or key.startswith("_"):
            continue
        if isinstance(value, int):
            size = SIZES.get(key, IDS.get(key))
            small |= {} if size is None else {key: size if size == N_BLOCKS else min(value, size)}
        elif isinstance(value, list) and len(value) == deep:
            kinds = list(dict.fromkeys(map(str, value)))
            first = {str(one): one for one in reversed(value)}
            small[key] = [first[kinds[index % len(kinds)]] for index in range(N_BLOCKS)]
    if "kv_lora_rank" in values:  # latent attention has as many key heads as query heads
        small["num_key_value_heads"] = small["num_attention_heads"]
    return small | {key: value for key, value in own.items() if key not in config.sub_configs}
