"""At which steps a checkpoint is kept: sorted tuples of steps, so that a schedule can be read, printed and joined.

steps = join_steps(logarithmic_steps(10_000, per_decade=8), dense_steps(center=4_000, width=500, every=20))
"""

from collections.abc import Sequence
from itertools import count, takewhile

MOST_CHECKPOINTS = 100_000  # that a rule makes: more are a slip


def _require_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def linear_steps(n_steps: int, *, every: int) -> tuple[int, ...]:
    """0, every, 2 every, ... and always n_steps itself."""
    _require_positive(n_steps=n_steps, every=every)
    return tuple(range(0, n_steps, every)) + (n_steps,)


def logarithmic_steps(n_steps: int, *, per_decade: int) -> tuple[int, ...]:
    """0, 1 and then `per_decade` steps for each factor of ten, up to and with n_steps."""
    _require_positive(n_steps=n_steps, per_decade=per_decade)
    steps, exponent = {0, 1, n_steps}, 1
    while (step := round(10 ** (exponent / per_decade))) < n_steps:
        steps.add(step)
        exponent += 1
    return tuple(sorted(steps))


def token_steps(n_steps: int, *, tokens_per_step: int, every: int) -> tuple[int, ...]:
    """The steps nearest to 0, every, 2 every, ... training tokens, and always n_steps itself."""
    _require_positive(n_steps=n_steps, tokens_per_step=tokens_per_step)
    if every < tokens_per_step:
        raise ValueError(
            f"a checkpoint every {every:,} tokens was asked for, but a step trains on {tokens_per_step:,}: "
            f"ask for {tokens_per_step:,} or more"
        )
    if (n_checkpoints := n_steps * tokens_per_step // every) > MOST_CHECKPOINTS:
        raise ValueError(
            f"every {every:,} tokens makes {n_checkpoints:,} checkpoints in {n_steps:,} steps, more than "
            f"{MOST_CHECKPOINTS:,}: ask for fewer"
        )
    steps = ((2 * tokens + tokens_per_step) // (2 * tokens_per_step) for tokens in count(0, every))
    return tuple(takewhile(lambda step: step < n_steps, steps)) + (n_steps,)


def dense_steps(*, center: int, width: int, every: int) -> tuple[int, ...]:
    """`center`, and every `every` steps within `width` of it: for looking closely at a change already found."""
    _require_positive(center=center, width=width, every=every)
    first = center - min(width, center) // every * every
    return tuple(range(first, center + width + 1, every))


def join_steps(*schedules: tuple[int, ...]) -> tuple[int, ...]:
    """The sorted union of several schedules."""
    return tuple(sorted(set().union(*schedules)))


def spread_steps(steps: Sequence[int], n_steps: int) -> list[int]:
    """`n_steps` of them at most, the first and the last among them, evenly in number: dense where they are dense.

    One step alone is the last. Raises ValueError for less than one.
    """
    _require_positive(n_steps=n_steps)
    last, gaps = len(steps) - 1, min(n_steps, len(steps)) - 1
    return [steps[last - round(last * gap / max(gaps, 1))] for gap in range(gaps, -1, -1)]
