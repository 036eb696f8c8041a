"""Windows, on a text that counts 0, 1, 2, ... so that each window says where it comes from."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from grok_interp.configs import TextConfig
from grok_interp.data.windows import ValidationWindows, WindowSampler, validation_windows

PLAIN = TextConfig()
N_CTX = 7
ALPHABET = range(10_000, 10_050)
WITH_COPIES = TextConfig(copy_fraction=0.5, segment_lengths=(2, 3))


def counting(n_tokens: int) -> np.ndarray:
    return np.arange(n_tokens, dtype=np.uint32)


def sampler(n_tokens: int = 101, *, config: TextConfig = PLAIN, n_ctx: int = N_CTX, seed: int = 3) -> WindowSampler:
    return WindowSampler(counting(n_tokens), config, n_ctx=n_ctx, seed=seed, alphabet=ALPHABET)


def held_out(n_tokens: int, *, n_ctx: int, n_windows: int, leaks: dict[int, int] | None = None) -> ValidationWindows:
    """Windows of a text that counts, with leaks given as start -> length."""
    lengths = np.zeros(n_tokens, dtype=np.uint16)
    for start, length in (leaks or {}).items():
        lengths[start] = length
    return validation_windows(counting(n_tokens), lengths, n_ctx=n_ctx, n_windows=n_windows)


def starts(windows: Tensor) -> list[int]:
    return windows[:, 0].tolist()


@pytest.mark.parametrize("config", [PLAIN, WITH_COPIES], ids=["plain", "with copies"])
def test_a_batch_depends_on_seed_and_step_alone(config: TextConfig) -> None:
    walked = sampler(config=config)
    walk = [walked.batch(step, 5) for step in range(23)]  # more epochs than are remembered
    for step in (0, 22, 4):
        assert torch.equal(sampler(config=config).batch(step, 5), walk[step])
        assert torch.equal(walked.batch(step, 5), walk[step])
    assert not torch.equal(sampler(config=config, seed=4).batch(4, 5), walk[4])


def test_random_windows_are_of_the_alphabet_also_without_copies() -> None:
    windows = sampler(config=TextConfig(random_fraction=1.0)).batch(0, 50)
    assert set(windows.unique().tolist()) <= set(ALPHABET)
    assert len(windows.unique()) > 40, "most of its 50 tokens are drawn"


def test_a_window_is_the_text_from_its_start_and_one_token_more_than_the_context() -> None:
    windows = sampler().batch(2, 5)
    assert windows.shape == (5, N_CTX + 1)
    assert windows.dtype == torch.int64
    assert torch.equal(windows, windows[:, :1] + torch.arange(N_CTX + 1))


@settings(deadline=None)
@given(n_ctx=st.integers(1, 9), n_tokens=st.integers(2, 90), seed=st.integers(0, 99), epoch=st.integers(0, 3))
def test_an_epoch_visits_every_block_once(n_ctx: int, n_tokens: int, seed: int, epoch: int) -> None:
    assume(n_tokens >= 2 * n_ctx)
    windows = sampler(n_tokens, n_ctx=n_ctx, seed=seed)
    visited = sorted(starts(windows.batch(epoch, windows.n_blocks)))
    shift = visited[0]
    assert 0 <= shift < n_ctx
    assert visited == [shift + n_ctx * block for block in range(n_tokens // n_ctx - 1)]


def test_epochs_differ_in_order_and_in_shift() -> None:
    windows = sampler()
    epochs = [starts(windows.batch(epoch, windows.n_blocks)) for epoch in range(20)]
    orders = {tuple(start // N_CTX for start in epoch) for epoch in epochs}
    assert len(orders) == 20
    assert {min(epoch) for epoch in epochs} == set(range(N_CTX)), "every shift below a block occurs"


@settings(deadline=None)
@given(small=st.integers(1, 40), large=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_sample_comes_from_the_same_place_whatever_the_batch_size(small: int, large: int, seed: int) -> None:
    windows = sampler(60, seed=seed)
    ones = torch.cat([windows.batch(step, small) for step in range(-(-60 // small))])
    others = torch.cat([windows.batch(step, large) for step in range(-(-60 // large))])
    assert torch.equal(ones[:60], others[:60])


@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_the_ranks_share_a_batch_in_turns(n_ranks: int) -> None:
    windows = sampler()
    whole = windows.batch(4, 6)
    for rank in range(n_ranks):
        assert torch.equal(windows.batch(4, 6, rank=rank, n_ranks=n_ranks), whole[rank::n_ranks])


def test_a_text_one_token_too_short_is_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="the training text has 13 tokens, a context of 7 needs at least 14"):
        sampler(13)
    assert sampler(14).batch(0, 3).max() <= 13


def test_copies_are_drawn_anew_at_each_step_and_on_each_rank() -> None:
    config = TextConfig(copy_fraction=1.0, segment_lengths=(2, 3))
    everywhere = sampler(61, config=config, n_ctx=30)
    draws = [everywhere.batch(step, 80, rank=rank, n_ranks=2) for step in (0, 1) for rank in (0, 1)]
    sources = {tuple((window - window[0]).tolist()) for draw in draws for window in draw}
    assert len(sources) == 160


@settings(deadline=None)
@given(n_ctx=st.integers(1, 9), n_tokens=st.integers(10, 200), n_windows=st.integers(1, 60))
def test_validation_windows_are_spread_over_the_whole_text_and_never_the_same(
    n_ctx: int, n_tokens: int, n_windows: int
) -> None:
    windows = held_out(n_tokens, n_ctx=n_ctx, n_windows=n_windows).tokens
    available = (n_tokens - 1) // n_ctx
    assert windows.shape == (min(n_windows, available), n_ctx + 1)
    assert torch.equal(windows, windows[:, :1] + torch.arange(n_ctx + 1)), "plain text"
    gaps = set(np.diff(starts(windows)).tolist())
    assert starts(windows)[0] == 0
    assert not gaps or (min(gaps) >= n_ctx and max(gaps) - min(gaps) <= n_ctx), "one block more or less"
    assert len(gaps) == 0 or starts(windows)[-1] == (available - 1) * n_ctx


def test_validation_windows_read_by_eye() -> None:
    windows = held_out(50, n_ctx=7, n_windows=3)
    assert (windows.n_dropped, windows.n_examined) == (0, 7)
    assert starts(windows.tokens) == [0, 21, 42], "the first, the middle and the last of the seven there are"


def test_a_short_text_gives_the_validation_windows_it_has() -> None:
    assert starts(held_out(22, n_ctx=7, n_windows=100).tokens) == [0, 7, 14]


def test_a_text_without_a_validation_window_is_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="the validation text has 7 tokens, one window needs 8"):
        held_out(7, n_ctx=7, n_windows=1)
    assert starts(held_out(8, n_ctx=7, n_windows=1).tokens) == [0]


def test_windows_with_a_leak_are_dropped_and_the_others_spread_over_the_rest() -> None:
    """Windows of 8 tokens at 0, 7, ..., 42: a leak in the second, one in two windows, one that none contains."""
    windows = held_out(50, n_ctx=7, n_windows=3, leaks={8: 6, 28: 1, 20: 5})
    assert (windows.n_dropped, windows.n_examined) == (3, 7)
    assert starts(windows.tokens) == [0, 14, 42], "of 0, 14, 35 and 42"


def test_a_text_of_leaks_only_is_refused_with_what_helps() -> None:
    with pytest.raises(ValueError, match="each of the 2 validation windows .* or a larger validation_fraction"):
        held_out(15, n_ctx=7, n_windows=1, leaks={0: 3, 9: 3})
