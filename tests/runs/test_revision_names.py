"""Names of public checkpoints: three real ones of each suite."""

import pytest

from grok_interp.models.published_names import published_file
from grok_interp.runs.revision_names import SUITES, TrainingPoint, named_points, training_point

OFFICIAL = (
    "noembdFalse_paraleTrue_pltask384_rope_decoder_p29_base29_row32_ntask384_nvar2_dsplitTrue_dfrac80.0"
    "_{act}_n512_h4_d{layers}_lctx512_I1_dI0_adamw_bs1536_t{step}_T200000_Tw10000_lr1.50e-04_wd2.00e+00.pth"
)
OFFICIAL_FILES = {
    OFFICIAL.format(act=act, layers=layers, step=step): (step, None)
    for act, layers, step in (("relu", 4, 200000), ("gelu", 2, 100000), ("relu", 6, 5000))
}
NAMES = {
    "Pythia and PolyPythias": {"step0": (0, 0), "step512": (512, 1_073_741_824), "step143000": (143_000, 299892736000)},
    "OLMo": {
        "step1000-tokens4B": (1000, 4 * 10**9),
        "step556000-tokens2460B": (556_000, 2_460 * 10**9),
        "stage1-step1000-tokens5B": (1000, 5 * 10**9),
    },
    "Stanford's GPT-2s, and Hugging Face's Trainer": {
        "checkpoint-10": (10, None),
        "checkpoint-100": (100, None),
        "checkpoint-400000": (400_000, None),
    },
    "In-context modular arithmetic": OFFICIAL_FILES,
}
EACH = [(suite, name, point) for suite, names in NAMES.items() for name, point in names.items()]


@pytest.mark.parametrize(("suite", "name", "point"), EACH)
def test_a_name_says_its_step_and_tokens(suite: str, name: str, point: tuple) -> None:
    assert training_point(name) == TrainingPoint(*point)
    assert [each.name for each in SUITES if each.read(name)] == [suite]


def test_every_suite_has_three_names_here() -> None:
    assert {suite.name: 3 for suite in SUITES} == {suite: len(names) for suite, names in NAMES.items()}


def test_official_names_are_read_as_published_file_reads_them() -> None:
    for name in OFFICIAL_FILES:
        assert training_point(name).step == published_file(name).step


def test_names_of_ones_own() -> None:
    assert training_point("iter-0500_1.5B", pattern="iter-{step}_{tokens}B") == TrainingPoint(500, 1_500_000_000)
    with pytest.raises(ValueError, match="no name of a checkpoint in the pattern 'iter-{step}'"):
        training_point("iter_5", pattern="iter-{step}")


@pytest.mark.parametrize("name", ["main", "step", "stepX", "stage2-ingredient1-step1000-tokens3B", "xstep3"])
def test_other_names_are_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a checkpoint in Pythia.*give a pattern with {step}"):
        training_point(name)


@pytest.mark.parametrize("bad", [7, None, b"step3000", ["step3000"]])
def test_what_is_no_name_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"name must be a string such as 'step3000', got "):
        training_point(bad)  # pyright: ignore[reportArgumentType]


def test_a_pattern_is_a_string() -> None:
    with pytest.raises(ValueError, match=r"pattern must be a string such as 'iter-\{step\}', got 7 \(int\)"):
        training_point("iter-7", pattern=7)  # pyright: ignore[reportArgumentType]


def test_a_repository_is_a_string() -> None:
    with pytest.raises(ValueError, match=r"repository must be a string such as 'EleutherAI/pythia-70m', got 4 \(int\)"):
        training_point("step3", repository=4)  # pyright: ignore[reportArgumentType]


def test_names_of_one_suite_are_taken_and_others_left_out() -> None:
    names = ["main", "step1", "step20", "step3000", "checkpoint-5"]
    assert list(named_points(names)) == ["step1", "step20", "step3000"]
    assert named_points(["main"]) == {}


@pytest.mark.parametrize(
    ("repository", "tokens"),
    [("EleutherAI/pythia-70m", 6_291_456_000), ("EleutherAI/pythia-14m-seed1", 6_291_456_000), ("me/pythia-70m", None)],
)
def test_tokens_that_the_suite_tells_are_those_of_its_own_repositories(repository: str, tokens: int | None) -> None:
    assert training_point("step3000", repository=repository).tokens == tokens
    assert named_points(["step3000"], repository=repository)["step3000"].tokens == tokens
    assert training_point("step3000-tokens6B", repository=repository).tokens == 6_000_000_000
