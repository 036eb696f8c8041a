"""A model predicts the token of strictly largest logit, and none where there is a tie."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.analysis.predictions import NO_PREDICTION, predicted_tokens

INF, NAN = float("inf"), float("nan")


def test_predictions_read_by_eye() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [3.0, 1.0, 3.0], [0.0, 0.0, 0.0], [-INF, -INF, 0.0], [1.0, NAN, 0.0]])
    assert predicted_tokens(logits).tolist() == [1, NO_PREDICTION, NO_PREDICTION, 2, NO_PREDICTION]


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.integers(-3, 3), min_size=1, max_size=11), token=st.integers(0, 10))
def test_no_tie_is_predicted_and_every_strict_maximum_is(values: list[int], token: int) -> None:
    token %= len(values)
    raised = torch.tensor(values, dtype=torch.float32)
    raised[token] = 4
    assert predicted_tokens(raised[None, None]).tolist() == [[token]]
    tied = torch.cat([raised, torch.tensor([4.0])])
    assert predicted_tokens(tied).item() == NO_PREDICTION
