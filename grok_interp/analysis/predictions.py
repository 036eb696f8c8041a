"""Which token does a model predict? The one whose logit is strictly the largest.

Where several tokens share the largest logit the model predicts none of them: arg-max alone would answer with the token
of the smallest index, and a model whose logits are all equal would be right wherever token 0 is the answer.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

NO_PREDICTION = -1  # no token: never equal to an expected one


def predicted_tokens(logits: Float[Tensor, "*lead d_vocab"]) -> Int64[Tensor, "*lead"]:
    """The token with strictly the largest logit. Kernel.

    Args:
        logits: of every token, in any unit; the last axis is the vocabulary.

    Returns:
        Token ids; `NO_PREDICTION` where tokens are tied for the largest logit or a logit is NaN.

    Example:
        >>> predicted_tokens(torch.tensor([[0.0, 2.0, 1.0], [2.0, 2.0, 1.0]])).tolist()
        [1, -1]
    """
    largest, token = logits.max(dim=-1)
    n_largest = (logits == largest.unsqueeze(-1)).sum(dim=-1)
    return torch.where(n_largest == 1, token, NO_PREDICTION)
