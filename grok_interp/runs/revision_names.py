"""What the name of a public checkpoint says: its step, and the tokens trained on. One entry per suite, as data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from grok_interp.arguments.strings import text
from grok_interp.runs.step_patterns import name_pattern

BILLION = 10**9


@dataclass(frozen=True)
class TrainingPoint:
    """How far a checkpoint was trained.

    Attributes:
        step: optimizer updates.
        tokens: trained on; rounded as the name is, None where neither name nor suite says it.
        is_rounded: are `tokens` those of the name?
    """

    step: int
    tokens: int | None = None
    is_rounded: bool = field(default=False, repr=False, compare=False)


@dataclass(frozen=True)
class Suite:
    """How a public suite names its checkpoints.

    Args:
        name: of the suite.
        where: repositories that use these names.
        pattern: of the whole name, with the group `step` and perhaps `tokens`, in billions.
        tokens_per_step: where it is known and the same for all models of the suite.
        repositories: that `tokens_per_step` holds for; others use such names too.
    """

    name: str
    where: str
    pattern: re.Pattern[str]
    tokens_per_step: int | None = None
    repositories: re.Pattern[str] = re.compile(".*")

    def read(self, name: str, *, repository: str | None = None) -> TrainingPoint | None:
        """None for another suite's name.

        Args:
            name: of a revision on the hub.
            repository: that has it, owner and name; one of the suite if None.
        """
        match = self.pattern.fullmatch(name)
        if match is None:
            return None
        step, billions = int(match["step"]), match.groupdict().get("tokens")
        if billions is not None:
            return TrainingPoint(step, round(float(billions) * BILLION), is_rounded=True)
        if self.tokens_per_step is None or not (repository is None or self.repositories.fullmatch(repository)):
            return TrainingPoint(step)
        return TrainingPoint(step, step * self.tokens_per_step)


SUITES = (
    Suite(
        "Pythia and PolyPythias",
        "EleutherAI/pythia-70m, EleutherAI/pythia-14m-seed1, ...",
        re.compile(r"step(?P<step>\d+)"),
        tokens_per_step=1024 * 2048,
        repositories=re.compile(r"EleutherAI/pythia-.+"),
    ),
    Suite(
        "OLMo",  # later stages count their steps anew, so only the first is a series of its own
        "allenai/OLMo-1B-hf, allenai/OLMo-2-0425-1B, ...",
        re.compile(r"(?:stage1-)?step(?P<step>\d+)-tokens(?P<tokens>\d+)B"),
    ),
    Suite(
        "Stanford's GPT-2s, and Hugging Face's Trainer",
        "stanford-crfm/alias-gpt2-small-x21, ...",
        re.compile(r"checkpoint-(?P<step>\d+)"),
    ),
    Suite(
        "In-context modular arithmetic",
        "the official files, see `published_file`",
        re.compile(r"noembd.*_t(?P<step>\d+)_T\d+_.*\.pth"),
    ),
)


def training_point(name: str, *, pattern: str | None = None, repository: str | None = None) -> TrainingPoint:
    """Step and tokens from the name of a revision or of a file.

    Args:
        name: `step3000`, `stage1-step1000-tokens5B`, `checkpoint-100`, ...
        pattern: for other names, with `{step}` and perhaps `{tokens}` (in billions).
        repository: that has it, owner and name. Tokens that only a suite tells are those of its own repositories.

    Returns:
        The optimizer step, and the training tokens where the name tells them.

    Raises:
        ValueError: for a name that fits no suite, or not the pattern, and for anything but a string.

    Example:
        >>> training_point("step3000")
        TrainingPoint(step=3000, tokens=6291456000)
        >>> training_point("iter500-2.5B", pattern="iter{step}-{tokens}B").tokens
        2500000000
    """
    text(name, "name", "step3000")
    if repository is not None:
        text(repository, "repository", "EleutherAI/pythia-70m")
    given = None if pattern is None else name_pattern(text(pattern, "pattern", "iter-{step}"))
    suites = SUITES if given is None else (Suite("given", "", given),)
    found = next((point for suite in suites if (point := suite.read(name, repository=repository))), None)
    if found is None:
        known = f"the pattern {pattern!r}" if pattern else ", ".join(f"{suite.name}" for suite in SUITES)
        raise ValueError(
            f"{name!r} is no name of a checkpoint in {known}: give a pattern with {{step}}, as 'iter-{{step}}'"
        )
    return found


def named_points(
    names: list[str], *, pattern: str | None = None, repository: str | None = None
) -> dict[str, TrainingPoint]:
    """Name -> point for those that fit; without a pattern, those of the one suite that fits the most names.

    Other names (`main`, tags, later stages of a training) are left out. Where a pattern and a suite say the same step,
    the tokens are those of the suite, if its repository is known.
    """
    by_suite = [
        {name: point for name in names if (point := suite.read(name, repository=repository))} for suite in SUITES
    ]
    if pattern is None:
        return max(by_suite, key=len)
    given = Suite("given", "", name_pattern(pattern))
    points = {name: point for name in names if (point := given.read(name))}
    of_suites = {name: point for each in by_suite for name, point in each.items()} if repository else {}
    return {name: _with_tokens(point, of_suites.get(name)) for name, point in points.items()}


def _with_tokens(point: TrainingPoint, other: TrainingPoint | None) -> TrainingPoint:
    return other if other and point.tokens is None and other.step == point.step else point
