"""Drawing tokens: one uniform number per row and token, from a generator of the row's own.

Belongs here: logits and numbers -> tokens. Stays out: models and caches. torch is imported inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BLOCK = 256
"""Numbers that are drawn at a time; always as many, so that a row's stream does not depend on how long it runs."""
CANDIDATES = (128, 2048)
"""Most likely tokens that are sorted; all of them only where these do not have the wanted share together."""


class Streams:
    """A stream of uniform numbers per seed."""

    def __init__(self, seeds: Sequence[int]) -> None:
        import torch

        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._block = torch.empty((len(seeds), 0))
        self._used = 0

    def next(self) -> torch.Tensor:
        """[n_seeds] float64, the next number of each row."""
        import torch

        if self._used == self._block.shape[1]:
            drawn = [torch.rand(BLOCK, generator=one, dtype=torch.float64) for one in self._generators]
            self._block, self._used = torch.stack(drawn), 0
        self._used += 1
        return self._block[:, self._used - 1]


def draw(logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """[n] tokens by inversion: row i takes the token into whose share of the interval its number falls.

    With ``top_p`` below 1 tokens are drawn from the fewest that have this share together, most likely first (Holtzman
    et al. 2020, The curious case of neural text degeneration), their chances scaled to sum to 1.

    Args:
        logits: [n, n_vocabulary].
        uniform: [n] float64 in [0, 1).
        temperature: divides the logits.
        top_p: in (0, 1].
    """
    import torch

    device = logits.device
    # mps has no numbers of 64 bits, and the last places of a row's sum decide which token is the last
    chances = torch.softmax((logits.cpu() if device.type == "mps" else logits).float() / temperature, dim=-1)
    order = None
    if top_p < 1:
        chances, order = _most_likely(chances, top_p)
    edges = torch.cumsum(chances.double(), dim=-1)
    if order is not None:
        # of a sorted row: a token is in while those before it have less than the share
        before = edges - chances.double()
        edges = torch.cumsum(torch.where(before < top_p, chances.double(), 0.0), dim=-1)
    wanted = uniform.to(edges.device)[:, None] * edges[:, -1:]
    place = torch.searchsorted(edges, wanted, right=True)
    # rounding may put a number at the very end: the last token with a chance takes it
    last = torch.searchsorted(edges, edges[:, -1:].contiguous(), right=False)
    place = torch.minimum(place, last)
    return (place if order is None else order.gather(-1, place))[:, 0].to(device)


def _most_likely(chances: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Chances in falling order, as many as have the share in every row, and whose they are."""
    import torch

    for count in CANDIDATES:
        if count < chances.shape[-1]:
            found = torch.topk(chances, count, dim=-1)
            if bool((found.values.double().sum(dim=-1) >= top_p).all()):
                return found.values, found.indices
    return torch.sort(chances, dim=-1, descending=True)
