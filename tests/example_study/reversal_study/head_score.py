"""A head score: how much does a token attend to itself?"""

from __future__ import annotations

import torch
from torch import Tensor

from grok_interp.analysis.head_registry import AttentionScore


def current_token_targets(tokens: Tensor) -> Tensor:
    """batch x query x key: the query itself."""
    return torch.eye(tokens.shape[1], dtype=torch.bool).expand(len(tokens), -1, -1)


CURRENT_TOKEN = AttentionScore(
    name="current_token",
    formula="mean over queries q of A[q, q]",
    source="an example",
    ideal_head="attends to its own token, always",
    compared_to_detect_head="has no such head",
    targets=current_token_targets,
)
