"""How often `audit` finds a deleted checkpoint by the spacing of the others, and false gaps of whole series.

python benchmarks/gaps.py    # minutes
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from grok_interp.configs.schedules import dense_steps, join_steps, linear_steps, logarithmic_steps
from grok_interp.runs.gaps import gaps

DELETED = 6  # steps of each schedule, one at a time
LENGTHS = (100, 1000, 2000, 5000, 10_000, 143_000)  # updates
ADDS = (0.5, 1e-9)  # rounded, cut off

Steps = tuple[int, ...]


def schedules() -> Iterator[tuple[str, Steps]]:
    for every in (1, 5, 10, 25, 100, 500, 1000):
        for n_steps in (every * 10, every * 37, every * 80 + every // 3):
            yield "even steps", linear_steps(n_steps, every=every)
            yield "even steps", linear_steps(n_steps, every=every)[1:]
    for n_steps in LENGTHS:
        for number in (10, 15, 21, 33, 50):
            for add in ADDS:
                yield "rounded linspace", _rounded([n_steps * n / (number - 1) for n in range(number)], add)
                for first in (1, 10):
                    exact = [first * (n_steps / first) ** (n / (number - 1)) for n in range(number)]
                    yield "rounded geomspace", _rounded(exact, add)
                    yield "rounded geomspace", (0, *_rounded(exact, add))
        for per_decade in (3, 4, 5, 8, 10):
            yield "logarithmic steps", logarithmic_steps(n_steps, per_decade=per_decade)
        heads = [_powers(2, n_steps), _powers(10, n_steps), _digits(n_steps)]
        heads += [logarithmic_steps(n_steps, per_decade=n) for n in (3, 4, 8)]
        for head in heads[:3:2]:
            yield "powers of 2, and 1, 2, 5, ...", tuple(sorted({*head, n_steps}))
        for every in (64, 100, 500, 1000):
            if every * 10 <= n_steps:
                even = linear_steps(n_steps, every=every)
                for head in heads:
                    yield "one of these, then even steps", join_steps(tuple(s for s in head if s < every), even)
                dense = dense_steps(center=4 * every, width=every, every=every // 10)
                yield "even steps, denser in a part", join_steps(even, dense)
    for first, second, third in ((50, 100, 1000), (10, 100, 500), (100, 500, 1000), (1, 10, 100), (1000, 250, 500)):
        for number in (10, 20, 40):
            two = join_steps(tuple(range(0, first * number, first)), _from(first * number, second, number))
            yield "even steps of several spacings", two
            yield "even steps of several spacings", join_steps(two, _from(two[-1], third, number))


def _rounded(exact: list[float], add: float) -> Steps:
    return tuple(sorted({int(each + add) for each in exact}))


def _powers(base: int, n_steps: int) -> Steps:
    return (0, *(base**power for power in range(20) if base**power < n_steps))


def _digits(n_steps: int) -> Steps:
    return tuple(sorted(digit * 10**power for power in range(6) for digit in (1, 2, 5) if digit * 10**power < n_steps))


def _from(start: int, every: int, number: int) -> Steps:
    return tuple(range(start, start + every * number + 1, every))


def main() -> None:
    draw, found, false, n_schedules = random.Random(0), dict[str, list[bool]](), 0, 0
    for kind, steps in schedules():
        n_schedules += 1
        false += any(gaps(steps))
        for number in draw.sample(range(1, len(steps) - 1), min(DELETED, len(steps) - 2)):
            left = [*steps[:number], *steps[number + 1 :]]
            pairs = [each.steps for each in gaps(left)]
            found.setdefault(kind, []).append((steps[number - 1], steps[number + 1]) in pairs)
    print(f"{n_schedules} whole series: {false} with a gap")
    for kind, each in found.items():
        print(f"{kind}: {sum(each) / len(each):.0%} of {len(each)} deleted steps found")
    every = [one for each in found.values() for one in each]
    print(f"together: {sum(every) / len(every):.0%} of {len(every)}")


if __name__ == "__main__":
    main()
