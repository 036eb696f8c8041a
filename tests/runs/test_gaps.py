"""Which steps are missing, and that no common schedule lacks one."""

import pytest

from grok_interp import training_preset
from grok_interp.configs.schedules import dense_steps, join_steps, linear_steps, logarithmic_steps
from grok_interp.runs.gaps import gaps

HUNDREDS = linear_steps(1000, every=100)
POWERS = tuple(2**power for power in range(12))
PYTHIA = (0, *POWERS[:10], *range(1000, 144_000, 1000))
DEMO = training_preset("copier-mini").kept_steps
LINSPACE = tuple(round(1000 * number / 12) for number in range(13))
ONE_TWO_FIVE = tuple(digit * 10**power for power in range(4) for digit in (1, 2, 5))
REFERENCE = (0, 500, 600, 650, 700, 750, 1000, 2000, 4000)
MODULAR = (0, 2000, 4000, 5000, 6000, 7000, 8000, 10_000, 14_000, 20_000, 26_000)


def geomspace(first: int, last: int, n_steps: int, *, add: float = 0.5) -> tuple[int, ...]:
    """Rounded, or with 0 cut off, without repeats."""
    return tuple(sorted({int(first * (last / first) ** (n / (n_steps - 1)) + add) for n in range(n_steps)}))


def found(steps: tuple[int, ...], *missing: int) -> list[tuple[int, ...]]:
    return [each.steps for each in gaps([step for step in steps if step not in missing])]


@pytest.mark.parametrize(
    ("steps", "missing", "expected"),
    [
        (HUNDREDS, (100,), [(0, 200)]),
        (HUNDREDS, (500,), [(400, 600)]),
        (HUNDREDS, (800,), [(700, 900)]),
        (HUNDREDS, (900,), [(800, 1000)]),
        (HUNDREDS, (100, 900), [(0, 200), (800, 1000)]),
        (HUNDREDS, (300, 500), [(200, 400), (400, 600)]),
        (HUNDREDS, (300, 500, 700), [(200, 400), (400, 600), (600, 800)]),
        (HUNDREDS, (300, 400, 500), [(200, 600)]),
        (HUNDREDS, (100, 600, 800), [(0, 200), (500, 700), (700, 900)]),
        (linear_steps(500, every=100), (300,), [(200, 400)]),
        (POWERS, (2,), [(1, 4)]),
        (POWERS, (8, 32), [(4, 16), (16, 64)]),
        (POWERS, (1024,), [(512, 2048)]),
        (PYTHIA, (4,), [(2, 8)]),
        (PYTHIA, (5000, 7000), [(4000, 6000), (6000, 8000)]),
        (DEMO, (300, 2000), [(250, 350), (1900, 2100)]),
        (PYTHIA, (256,), [(128, 512)]),
        (PYTHIA, (512,), [(256, 1000)]),
        (PYTHIA, (1000,), [(512, 2000)]),
        (PYTHIA, (142_000,), [(141_000, 143_000)]),
        (tuple(range(10)), (8,), [(7, 9)]),
        (LINSPACE, (83,), [(0, 167)]),
        (LINSPACE, (500,), [(417, 583)]),
        (LINSPACE, (500, 583), [(417, 667)]),
        ((0, *ONE_TWO_FIVE), (2,), [(1, 5)]),
        (ONE_TWO_FIVE, (20,), [(10, 50)]),
        (ONE_TWO_FIVE, (500,), [(200, 1000)]),
        (logarithmic_steps(10_000, per_decade=4), (562,), [(316, 1000)]),
        (geomspace(10, 7000, 15), (65,), [(41, 104)]),
        (join_steps(tuple(range(0, 1000, 50)), tuple(range(1000, 3100, 100))), (1000,), [(950, 1100)]),
    ],
)
def test_missing_steps(steps: tuple[int, ...], missing: tuple[int, ...], expected: list[tuple[int, int]]) -> None:
    assert found(steps, *missing) == expected


@pytest.mark.parametrize("missing", HUNDREDS[1:-1])
def test_each_missing_step_of_a_regular_series(missing: int) -> None:
    assert found(HUNDREDS, missing) == [(missing - 100, missing + 100)]


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (0,),
        (0, 1),
        (0, 1, 2, 4),
        (0, 1, 2, 3, 4, 6),
        (0, 10, 20, 30, 50, 100, 200, 300, 500, 1000),
        (0, 100, 150, 200, 250, 300, 500, 1000),
        (0, 100, 200, 210, 220, 230, 300, 400),
        (0, 100, 200, 300, 400, 600),
        (*HUNDREDS, 1050),
        (*HUNDREDS, 2000, 3000, 4000, 5000),
        (*HUNDREDS, *range(1200, 3000, 200)),
        (*range(0, 1000, 50), *range(1000, 2000, 100), *range(2000, 3000, 50)),
        (*range(10**18, 10**18 + 8), 10**18 + 10_000),
        POWERS,
        PYTHIA,
        REFERENCE,
        MODULAR,
    ],
)
def test_schedules_without_a_gap(steps: tuple[int, ...]) -> None:
    assert found(steps) == []
    assert found(steps[:-1]) == []


@pytest.mark.parametrize("every", range(1, 12))
def test_every_nth_checkpoint_has_no_gap(every: int) -> None:
    assert found(PYTHIA[::every]) == found(DEMO[::every]) == found(HUNDREDS[::every]) == []


@pytest.mark.parametrize("first", [1, 10])
@pytest.mark.parametrize("last", [100, 1000, 2000, 7000, 143_000])
@pytest.mark.parametrize("n_steps", [8, 10, 15, 21, 33, 50, 64])
def test_rounded_series_have_no_gap(first: int, last: int, n_steps: int) -> None:
    for add in (0.5, 1e-9):
        assert found(geomspace(first, last, n_steps, add=add)) == []
        assert found((0, *geomspace(first, last, n_steps, add=add))) == []
        assert found(tuple(sorted({int(last * number / (n_steps - 1) + add) for number in range(n_steps)}))) == []


@pytest.mark.parametrize("missing", PYTHIA[2:-1])
def test_each_missing_step_of_pythia(missing: int) -> None:
    number = PYTHIA.index(missing)
    assert found(PYTHIA, missing) == [(PYTHIA[number - 1], PYTHIA[number + 1])]


@pytest.mark.parametrize("n_steps", range(1000, 4001, 50))
def test_the_schedule_of_the_demo_has_no_gap_however_long_it_trains(n_steps: int) -> None:
    assert found((*(step for step in DEMO if step < n_steps), n_steps)) == []


@pytest.mark.parametrize("per_decade", [1, 2, 3, 4, 5, 8, 10, 16])
@pytest.mark.parametrize("n_steps", [100, 500, 1000, 1100, 2000, 4000, 4321, 10_000, 143_000])
def test_logarithmic_steps_and_what_they_are_joined_with(n_steps: int, per_decade: int) -> None:
    steps = logarithmic_steps(n_steps, per_decade=per_decade)
    assert found(steps) == []
    assert found(join_steps(steps, dense_steps(center=n_steps // 2, width=n_steps // 20, every=5))) == []
    for every in (20, 50, 100, 200, 500, 1000):
        assert found(linear_steps(n_steps, every=every)) == []
        assert found(join_steps(steps, linear_steps(n_steps, every=every))) == []
        before = tuple(step for step in steps if step < every)
        assert found(join_steps(before, linear_steps(n_steps, every=every))) == []
