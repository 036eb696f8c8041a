"""Which tasks (a, b) of Z_p^2 are trained on: the rules of `ModularConfig` (B.1 of "Learning to grok").

rectangular: sets of four (a, b), (a, y), (x, b), (x, y). The bases (a, b) are drawn from range(1, p) like those of the
paper's runs; x and y are drawn from range(0, p).
published: exactly the draws of the published code (github.com/ablghtianyi/ICL_Modular_Arithmetic). Bases, x and y are
from range(0, p), and a single generator draws the bases, the rectangles and the order of the other tasks.
random: each task on its own.

Under the first two rules x is not in {a, b} and y is not in {a, b, x}. For the same seed they choose different
tasks: a model trained under one must not be evaluated on the o.o.d. tasks of the other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from grok_interp.configs.modular import ModularConfig

Pair = tuple[int, int]
Proposals = Callable[[Pair, range, random.Random], Iterator[Pair]]
MAX_ATTEMPTS = 100  # for p = 29 and n_id = 512, about one attempt in 20 finds no room


def pairs(span: range) -> list[Pair]:
    """All (a, b) with both parts in span, sorted.

    Args:
        span: the numbers that both parts are from.
    """
    return [(a, b) for a in span for b in span]


def draw_tasks(config: ModularConfig) -> tuple[list[Pair], list[Pair]]:
    """The tasks that are trained on, and all others in a random order.

    Args:
        config: `p`, `n_id`, `rule` and `task_seed` determine the result; the other fields are ignored.

    Returns:
        The `n_id` tasks, all different, with the bases of rectangles first; and the p^2 - n_id other tasks.

    Raises:
        ValueError: if the rule finds no room for `n_id` tasks.

    Example:
        >>> chosen, others = draw_tasks(ModularConfig(p=29, n_id=8, alpha=0.6, rule="published"))
        >>> chosen[:2], len(others)
        ([(4, 21), (20, 2)], 833)
    """
    if config.rule == "published":
        return _published_tasks(config)
    chosen = _rectangular_tasks(config) if config.rule == "rectangular" else _random_tasks(config)
    others = sorted(set(pairs(range(config.p))) - set(chosen))
    random.Random(config.task_seed).shuffle(others)
    return chosen, others


def rectangular_bases(config: ModularConfig) -> list[Pair]:
    """The n_id / 4 base vectors (a, b) of the rectangular rule.

    Args:
        config: its p, n_id and task_seed are read.
    """
    return random.Random(config.task_seed).sample(pairs(range(1, config.p)), config.n_id // 4)


def _rectangular_tasks(config: ModularConfig) -> list[Pair]:
    """The rectangles of all bases are redrawn, with a seed derived from the first, until every base has one."""
    bases, span = rectangular_bases(config), range(config.p)
    for attempt in range(MAX_ATTEMPTS):
        seed = f"{config.task_seed}/{attempt}" if attempt else config.task_seed + 1
        chosen = _completed(bases, span, random.Random(seed), _any_pair)
        if chosen is not None:
            return chosen
    raise ValueError(
        f"the rectangular rule found no room for {config.n_id} tasks with p = {config.p} and task_seed "
        f"{config.task_seed} in {MAX_ATTEMPTS} attempts: lower n_id, or use rule 'random'"
    )


def _published_tasks(config: ModularConfig) -> tuple[list[Pair], list[Pair]]:
    """One generator draws the bases, then the rectangles, then the order of the other tasks."""
    span, generator = range(config.p), random.Random(config.task_seed)
    bases = generator.sample(pairs(span), config.n_id // 4)
    chosen = _completed(bases, span, generator, _allowed_pair)
    if chosen is None:
        raise ValueError(
            f"the published rule has no room for {config.n_id} tasks with p = {config.p} and task_seed "
            f"{config.task_seed}, where the published code never ends: lower n_id, change task_seed, or use rule "
            "'rectangular' or 'random'"
        )
    others = list(set(pairs(span)) - set(chosen))  # unsorted: the published order starts from that of Python's sets
    generator.shuffle(others)
    return chosen, others


def _random_tasks(config: ModularConfig) -> list[Pair]:
    return random.Random(config.task_seed).sample(pairs(range(config.p)), config.n_id)


def _completed(bases: list[Pair], span: range, generator: random.Random, proposals: Proposals) -> list[Pair] | None:
    """The bases, then (a, y), (x, b) and (x, y) of each; None once a base has no x and y that make all three new."""
    taken, corners = dict.fromkeys(bases), pairs(span)
    for base in bases:
        if not any(_fits(base, corner, taken) for corner in corners):
            return None
        corner = next(corner for corner in proposals(base, span, generator) if _fits(base, corner, taken))
        taken.update(dict.fromkeys(_others(base, corner)))
    return list(taken)


def _others(base: Pair, corner: Pair) -> list[Pair]:
    (a, b), (x, y) = base, corner
    return [(a, y), (x, b), (x, y)]


def _fits(base: Pair, corner: Pair, taken: dict[Pair, None]) -> bool:
    x, y = corner
    return x not in base and y not in (*base, x) and not any(pair in taken for pair in _others(base, corner))


def _any_pair(_: Pair, span: range, generator: random.Random) -> Iterator[Pair]:
    while True:
        yield generator.randrange(span.start, span.stop), generator.randrange(span.start, span.stop)


def _allowed_pair(base: Pair, span: range, generator: random.Random) -> Iterator[Pair]:
    """x not in {a, b} and y not in {a, b, x}, as the published code draws them."""
    while True:
        x = generator.choice([number for number in span if number not in base])
        yield x, generator.choice([number for number in span if number not in (*base, x)])
