"""Several results of the same checkpoints of a run, kept in its `results` folder, each checkpoint asked once.

results/NAME.nc         one file a result
results/probes.json     what exactly was asked, by which version; others than these start anew
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar, get_type_hints

from grok_interp.activations import HookedModel
from grok_interp.files import write_text
from grok_interp.results.result import LabelledResult, shown_steps
from grok_interp.runs.run import Run

SAVE_EVERY = 8  # checkpoints analyzed between two saves: what a kill can cost


class Probes(Protocol):
    """What every checkpoint is asked; `description` names it exactly, in plain values."""

    def description(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class RunResults:
    """Subclasses list their results as fields and say in `ask` how one checkpoint answers."""

    version: ClassVar[int] = (
        1  # raised when the same question gets another answer: what was answered before is asked anew
    )

    @classmethod
    def ask(cls, pair: tuple[int, HookedModel], probes: Any) -> Self:
        raise NotImplementedError

    @classmethod
    def kinds(cls) -> dict[str, type[LabelledResult]]:
        """field -> class of the result."""
        hints = get_type_hints(cls)
        return {field.name: hints[field.name] for field in fields(cls)}

    @property
    def each(self) -> dict[str, LabelledResult]:
        return {name: getattr(self, name) for name in self.kinds()}

    @property
    def steps(self) -> tuple[int, ...]:
        """Checkpoints that all results have answered."""
        answered = (set(result.array["checkpoint"].values.tolist()) for result in self.each.values())
        return tuple(sorted(set.intersection(*answered)))

    def not_finite(self) -> tuple[int, ...]:
        """The steps at which a result is NaN or infinite because weights, activations or logits are."""
        return tuple(sorted({step for result in self.each.values() for step in result.not_finite()}))

    def not_finite_warnings(self) -> list[str]:
        """What a report says of them: nothing, or one sentence."""
        steps = self.not_finite()
        where = f"checkpoint {shown_steps(steps)}" if len(steps) == 1 else f"checkpoints {shown_steps(steps)}"
        return [
            f"Not finite: weights, activations or logits are NaN or infinite at {where}. Their values are undefined "
            "(NaN) and are left out of curves and headlines: training diverged, or the files are damaged."
        ] * bool(steps)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Raises FileNotFoundError before the first analysis, ValueError for damaged files."""
        return cls(**{name: kind.load(directory / f"{kind.name}.nc") for name, kind in cls.kinds().items()})

    def save(self, directory: Path) -> None:
        for result in self.each.values():
            result.save(directory / f"{result.name}.nc")

    def at(self, steps: Iterable[int]) -> Self:
        kept = list(steps)
        return type(self)(
            **{name: type(result)(result.array.sel(checkpoint=kept)) for name, result in self.each.items()}
        )

    def extended(self, *later: Self) -> Self:
        """These and other checkpoints, asked the same."""
        return type(self)(
            **{name: result.extended(*(getattr(other, name) for other in later)) for name, result in self.each.items()}
        )


Results = TypeVar("Results", bound=RunResults)


def ask_run(
    directory: Path,
    kind: type[Results],
    probes: Probes,
    *,
    device: str = "cpu",
    on_checkpoint: Callable[[int, int], None] | None = None,
) -> Results:
    """Ask every checkpoint of a run that was not asked before, and save the answers in its `results` folder.

    `on_checkpoint` is told (checkpoints done, checkpoints to do). Raises ValueError for a run without checkpoints and
    for a damaged one; what was analyzed before it is kept.
    """
    series, results = Run.open(directory), Run.open(directory).directory / "results"
    known = _known(kind, results, probes, series.steps)
    missing = [step for step in series.steps if known is None or step not in known.steps]
    if not missing:
        if known is None:
            raise ValueError(f"{directory} has no checkpoints yet: train it first, with the same directory")
        return known
    if known is None:
        (results / "probes.json").unlink(missing_ok=True)  # no file may claim what was answered to others
    answers = [known] if known else []

    def save() -> None:
        if answers:
            answers[:] = [answers[0].extended(*answers[1:])]
            answers[0].save(results)
            write_text(results / "probes.json", json.dumps(_asked(kind, probes), indent=1) + "\n")

    try:
        for done, step in enumerate(missing, start=1):
            answers.append(kind.ask((step, series.load(step).to(device)), probes))
            if done % SAVE_EVERY == 0:
                save()
            if on_checkpoint:
                on_checkpoint(done, len(missing))
    finally:  # Ctrl-C and a damaged checkpoint lose nothing
        save()
    return answers[0]


def _known(kind: type[Results], results: Path, probes: Probes, steps: tuple[int, ...]) -> Results | None:
    """What was answered before to these probes, for the checkpoints that are still there."""
    asked = results / "probes.json"
    if not asked.exists() or {"version": 1, **json.loads(asked.read_text())} != _asked(kind, probes):
        return None
    try:
        known = kind.load(results)
    except FileNotFoundError:
        return None
    kept = [step for step in known.steps if step in steps]
    return known.at(kept) if kept else None


def _asked(kind: type[Results], probes: Probes) -> dict[str, Any]:
    return {**probes.description(), "version": kind.version}
