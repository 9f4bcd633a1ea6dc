"""Seeds of rollouts: a function of what is sampled and of a number, so that a resumed campaign is an undisturbed one.

Stays out: generators, which are the engine's.
"""

from __future__ import annotations

BITS = 31
"""Servers take seeds of 32 bits, and some read the largest one as "any"."""
BASE_TRIES = 1 << 20
"""Number of the first draw that may become a base trace. Draws of the first sentence have smaller numbers: one that was
chosen for its answer must not be counted in an accuracy."""


def seed_of(key: str, index: int) -> int:
    """Seed of one rollout, in [0, 2^31).

    Rollouts of the same key have different seeds: equal ones would give the same text twice. An odd factor makes
    ``index -> seed`` one-to-one, and factor and offset are bits of the key.

    Args:
        key: hex digits, at least 32 (``records.key_of``).
        index: number of the rollout, in [0, 2^31).

    Raises:
        ValueError: an index outside.
    """
    if not 0 <= index < 1 << BITS:
        raise ValueError(f"rollout {index}, expected a number in [0, 2^{BITS})")
    offset, factor = int(key[:16], 16), int(key[16:32], 16) | 1
    return (offset + factor * index) % (1 << BITS)
