"""Units: read by eye."""

import pytest

from grok_interp.counted import duration, size


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 kB"), (1_234, "1.23 kB"), (650_000_000, "650 MB"), (67_245_000_000, "67.2 GB"), (9e15, "9,000 TB")],
)
def test_sizes(n_bytes: int, text: str) -> None:
    assert size(n_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01234, "0.0123 s"),
        (119, "119 s"),
        (120, "2 min"),
        (5_400, "90 min"),
        (90_000, "25 h"),
        (200_000, "2.31 days"),
        (9e8, "28.5 years"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
