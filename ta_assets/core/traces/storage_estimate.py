"""How much room the vectors of a corpus take, before there are any.

Belongs here: arithmetic and wording. Stays out: the disk, the language model.
"""

from __future__ import annotations

from dataclasses import dataclass

METADATA_BYTES = 192
"""What a stored sentence takes beside its vectors: its span and its share of the text."""
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class StorageEstimate:
    """Bytes of all vectors of a corpus."""

    total: int
    """Of all problems at all blocks."""
    missing: int
    """Of those that are not stored yet."""


def block_bytes(n_sentences: int, n_rows: int, row_bytes: int) -> int:
    """Bytes of one problem at one block.

    Args:
        n_sentences: its sentences.
        n_rows: its vectors: as many as sentences, or as tokens of sentences when all of them are stored.
        row_bytes: d_model times the bytes of a number.
    """
    return n_rows * row_bytes + n_sentences * METADATA_BYTES


def in_words(n_bytes: float) -> str:
    """``1.50 GiB``: the largest unit of 1024 that keeps the number at 1 or more, with two decimals."""
    unit = 0
    while n_bytes >= 1024 and unit < len(UNITS) - 1:
        n_bytes, unit = n_bytes / 1024, unit + 1
    return f"{n_bytes:.2f} {UNITS[unit]}"
