"""How much a view holds, and refusing more than a browser draws: the reader is asked to choose."""

from __future__ import annotations

from dataclasses import dataclass

MOST_TOKENS, MOST_HEADS, MOST_MEGABYTES = 4096, 256, 12  # 12 MB hold one causal head of 4,096 tokens
MOST_OF_CIRCUITSVIS = 256  # tokens of its chart; of more a canvas shows a part


@dataclass(frozen=True)
class ViewSize:
    n_steps: int
    n_heads: int
    n_tokens: int

    @property
    def megabytes(self) -> float:
        """Of attention in the page: a byte a weight of the causal half, in base64; all of a square take twice that."""
        cells = self.n_steps * self.n_heads * self.n_tokens * (self.n_tokens + 1) / 2
        return cells * 4 / 3 / 1e6

    def require_fits(self) -> None:
        """Raises ValueError, with the size it would have had and what to choose."""
        wishes = [
            wish
            for too_much, wish in (
                (self.n_tokens > MOST_TOKENS, f"tokens[:{MOST_TOKENS}]"),
                (self.n_heads > MOST_HEADS, "heads=[(layer, head), ...]"),
                (self.megabytes > MOST_MEGABYTES, "fewer tokens, heads=[(layer, head), ...] or steps=[...]"),
            )
            if too_much
        ]
        if wishes:
            raise ValueError(
                f"a view of {self.n_steps:,} steps x {self.n_heads:,} heads x {self.n_tokens:,} tokens would hold "
                f"{self.megabytes:,.1f} MB of attention; {MOST_TOKENS:,} tokens, {MOST_HEADS} heads and "
                f"{MOST_MEGABYTES} MB fit: choose {', '.join(wishes)}"
            )
