"""What lies beside ``tokenizer.json`` and decides tokens too: added tokens, options, the token at the beginning.

Belongs here: reading ``tokenizer_config.json`` and ``added_tokens.json`` as transformers does, or refusing. Stays out:
encoding and alignment (``tokenizing.py``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ta_assets.core.errors import InputError
from ta_resources.language_model.checkpoint.model_folder import (
    ADDED_TOKENS,
    SPECIAL_TOKENS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    ModelFolder,
    read_json,
    token_files,
)

FLAGS = ("lstrip", "rstrip", "normalized", "single_word", "special")
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""In the order in which transformers gives new ids to those that have none."""
LISTS = ("extra_special_tokens", "additional_special_tokens")
"""Keys of further special tokens, the newer name first."""
BOS = ("never", "auto", "always")
Decoder = dict[str, tuple[int, dict[str, bool]]]
"""Content of an added token -> its id and flags."""


def add_tokens(tokenizer: Any, folder: ModelFolder) -> None:
    """Give the tokenizer the tokens that only the files beside it name.

    Raises:
        InputError: a token that would get another id than the file names, or an entry of another form.
    """
    from tokenizers import AddedToken

    config = read_json(folder, TOKENIZER_CONFIG)
    has_decoder = not token_files(folder)
    padding = {"pad_token": tokenizer.padding["pad_token"]} if tokenizer.padding else {}
    named = _named({**padding, **config, **({} if has_decoder else read_json(folder, SPECIAL_TOKENS))})
    where = f"{TOKENIZER_CONFIG}: added_tokens_decoder" if has_decoder else ADDED_TOKENS
    wanted = _decoder(folder, config["added_tokens_decoder"]) if has_decoder else _plain(folder, named)
    for content, (number, flags) in sorted(wanted.items(), key=lambda item: item[1][0]):
        if tokenizer.get_added_tokens_decoder().get(number) != (token := AddedToken(content, **flags)):
            tokenizer.add_tokens([token])
        given = tokenizer.token_to_id(content)
        if given != number:
            raise InputError(
                folder.source, f"{where}: {content!r}", number, f"the id that {TOKENIZER} gives it, {given}"
            )
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    tokenizer.add_tokens(
        [AddedToken(content, **{**flags, "special": True}) for content, flags in named.items() if content not in known]
    )


def refuse_options(tokenizer: Any, folder: ModelFolder) -> None:
    """Refuse options of the configuration that ``tokenizer.json`` contradicts: which of them the model saw is unknown.

    Raises:
        InputError: ``add_prefix_space``, ``do_lower_case`` or ``split_special_tokens``.
    """
    config, parts = read_json(folder, TOKENIZER_CONFIG), json.loads(tokenizer.to_str())
    spaces = [one["add_prefix_space"] for one in _nodes(parts.get("pre_tokenizer")) if one.get("type") == "ByteLevel"]
    normalizers = list(_nodes(parts.get("normalizer")))
    lower = any(one.get("type") == "Lowercase" or one.get("lowercase") is True for one in normalizers)
    stated = {
        "add_prefix_space": any(spaces) if spaces else None,
        "do_lower_case": lower,
        "split_special_tokens": False,
    }
    for key, own in stated.items():
        option = config.get(key)
        # transformers writes false as a default, whatever the file does, so only a space can be contradicted by it
        if isinstance(option, bool) and own is not None and option != own and (option or key == "add_prefix_space"):
            raise InputError(folder.source, f"{TOKENIZER_CONFIG}: {key}", option, f"{own}, as {TOKENIZER} does it")


def beginning(tokenizer: Any, folder: ModelFolder, bos: str) -> list[int]:
    """Ids that are put before a text.

    Args:
        tokenizer: without padding and truncation.
        folder: where its configuration lies.
        bos: ``never``; ``auto``, as the tokenizer itself does when it is asked for special tokens; or ``always``.

    Raises:
        InputError: another word, or ``always`` for a tokenizer that has no such token.
    """
    if bos not in BOS:
        raise InputError(folder.source, "extraction.bos", bos, f"one of {', '.join(BOS)}")
    if bos == "never":
        return []
    config = read_json(folder, TOKENIZER_CONFIG)
    content = content_of(config.get("bos_token"))
    token = None if content is None else tokenizer.token_to_id(content)
    mask, own = tokenizer.encode("a"), []
    for number, is_special in zip(mask.ids, mask.special_tokens_mask, strict=True):
        if not is_special:
            break
        own.append(number)
    if bos == "auto" and not isinstance(config.get("add_bos_token"), bool):
        return own
    if bos == "auto" and not config["add_bos_token"]:
        return []
    if token is None and not own:
        expected = f"a tokenizer whose bos_token is one of its tokens; {content!r} is not"
        raise InputError(folder.source, "extraction.bos", bos, expected)
    return own if token is None else [token]


def content_of(token: Any) -> str | None:
    """The text of a token that is written as a text or as an object."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) and content else None


def _decoder(folder: ModelFolder, entries: Any) -> Decoder:
    if not isinstance(entries, dict):
        raise InputError(folder.source, f"{TOKENIZER_CONFIG}: added_tokens_decoder", entries, "ids with their tokens")
    found: Decoder = {}
    for number, token in entries.items():
        content = token.get("content") if isinstance(token, dict) else None
        if not isinstance(content, str) or not number.isdecimal():
            where = f"{TOKENIZER_CONFIG}: added_tokens_decoder.{number}"
            raise InputError(folder.source, where, token, "a token with its content, under its id")
        found[content] = int(number), {flag: bool(token[flag]) for flag in FLAGS if flag in token}
    return found


def _named(config: Mapping[str, Any]) -> dict[str, dict[str, bool]]:
    """Contents of the special tokens that a configuration names, with their flags: the usual ones, those of the model's
    own (any other key that ends in ``_token``), further ones."""
    further = next((config[key] for key in LISTS if config.get(key)), [])
    own = [value for key, value in config.items() if key.endswith("_token") and key not in NAMED]
    more = [*own, *further.values()] if isinstance(further, dict) else [*own, *further]
    found: dict[str, dict[str, bool]] = {}
    for token in (*(config.get(key) for key in NAMED), *more):
        content = content_of(token)
        if content:
            found[content] = {flag: bool(token[flag]) for flag in FLAGS if isinstance(token, dict) and flag in token}
    return found


def _plain(folder: ModelFolder, special: Collection[str]) -> Decoder:
    """Tokens of the older file, which names ids only."""
    found: Decoder = {}
    for content, number in read_json(folder, ADDED_TOKENS).items():
        if isinstance(number, bool) or not isinstance(number, int):
            raise InputError(folder.source, f"{ADDED_TOKENS}: {content}", number, "the id of the token")
        found[content] = number, {"normalized": content not in special, "special": content in special}
    return found


def _nodes(part: Any) -> Iterator[Mapping[str, Any]]:
    """A component of a tokenizer and those within it."""
    if isinstance(part, dict):
        yield part
        for value in part.values():
            for one in value if isinstance(value, list) else [value]:
                yield from _nodes(one)
