"""Is a series of checkpoints what it says it is? Faults that would make a figure over training wrong.

    unreadable   a checkpoint that cannot be read
    config       weights of other names or shapes than those of most checkpoints or of its config.json; a config.json,
                 or model_args beside a state dict, that differ from most in a field that changes the computation
    not finite   weights with NaN or infinity, or too large for the numbers of a model that the series can load
    duplicate    two steps with equal weights
    gap          of a run, a step of its schedule without a checkpoint; of other series, a step of the schedule
                 that fits their steps best
    order        two checkpoints that would make the path through weight space shorter if they were exchanged, or one
                 without which no others would; one that stores another step than its name, if most store that of the
                 name, or two that store one step, or another order (Trainer's trainer_state.json; step, iter_num and
                 the like beside a state dict); a series that ends with an initialization
    jump         one checkpoint far from all others, or two neighbors much farther apart than those around them: another
                 run, or an abrupt change

Distances are Euclidean, between all weights of two checkpoints, to 2% (see `sketch`). Equal weights are compared at the
step where they fit best, and not for their order where two steps fit. Distances do not tell the direction of time: a
whole series in reverse order is found only where checkpoints say their steps, or where one is an initialization whose
gains or biases show it. An end has one neighbor: an exchange with it may be missed, in a series of fewer than 7
checkpoints mostly is, and a checkpoint of another run beside it may seem to be exchanged with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.models.overflow import HARMLESS, overflows
from grok_interp.runs.copies import duplicates, placed
from grok_interp.runs.findings import (
    Finding,
    distances_between,
    far_from_all,
    jumps,
    misnamed,
    out_of_order,
    reversed_order,
)
from grok_interp.runs.gaps import gaps_of
from grok_interp.runs.misfits import Shapes, misfits, misshapen
from grok_interp.runs.refused import MisfittingConfigError, RefusedCheckpointError
from grok_interp.runs.series import Series
from grok_interp.runs.stored_configs import stored_config
from grok_interp.runs.stored_steps import stored_step
from grok_interp.runs.weight_sketches import sketch

T = TypeVar("T")


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        steps: of the series.
        findings: in the order of kinds; empty for a sound series.
        distances: between neighbors, (step, next step) -> distance; of checkpoints that can be compared.
    """

    steps: tuple[int, ...]
    findings: tuple[Finding, ...]
    distances: Mapping[tuple[int, int], float]

    @property
    def is_sound(self) -> bool:
        """Was nothing found?"""
        return not self.findings

    def __str__(self) -> str:
        found = f"{len(self.findings)} findings" if len(self.findings) != 1 else "1 finding"
        return "\n".join([f"{counted(len(self.steps), 'checkpoint')}, {found}", *map(str, self.findings)])


@checked
def audit(series: Series, *, on_checkpoint: Callable[[int, int], None] | None = None) -> Audit:
    """Check a series of checkpoints for faults; each is read once, and one is in memory at a time.

    Args:
        series: a `CheckpointSeries`, or the `checkpoints` of a `Run`. Files of state dicts need no `model=`.
        on_checkpoint: called with (checkpoints done, checkpoints to do).

    Returns:
        An `Audit`: one line per fault when it is printed.

    Raises:
        ValueError: for a series without checkpoints, and for what is no series.

    Example:
        >>> from grok_interp import CheckpointSeries, Transformer, preset
        >>> pairs = [(step, Transformer(preset("copier-tiny"), seed=0)) for step in (0, 10)]
        >>> print(audit(CheckpointSeries.from_models(pairs)))
        2 checkpoints, 1 finding
        duplicate: steps 0, 10 have the same weights: was a checkpoint copied, or training stopped?
    """
    if not all(hasattr(series, name) for name in ("steps", "checksum", "weights", "load")):
        raise ValueError(
            f"series must be a CheckpointSeries, or run.checkpoints of a Run, got {type(series).__name__}: use "
            "CheckpointSeries.from_files(pattern)"
        )
    if not series.steps:
        raise ValueError("an audit needs one checkpoint or more, got an empty series")
    read = _Read()
    for done, step in enumerate(series.steps, start=1):
        read.add(series, step)
        if on_checkpoint:
            on_checkpoint(done, len(series.steps))
    return read.compared(series.steps, gaps_of(series))


def audit_of_sketches(checksums: Mapping[int, str], sketches: Mapping[int, Tensor]) -> Audit:
    """The same without the checkpoints, from what was noted when they were evaluated.

    Args:
        checksums: step -> name of the weights, in the order of steps.
        sketches: step -> `sketch` of the weights.
    """
    read = _Read()
    for step, checksum in checksums.items():
        is_new = checksum not in read.checksums.values()
        read.checksums[step] = checksum
        if is_new:
            read.compare(step, sketches[step])
    return read.compared(tuple(checksums))


def findings_of_files(series: Any) -> list[Finding]:
    """What configs and steps show, of any series; no weights are read, and what cannot be read shows nothing.

    Args:
        series: a `CheckpointSeries`.
    """
    configs, stored = {}, {}
    for step in series.steps:
        with suppress(RefusedCheckpointError):
            if fields := stored_config(series, step):
                configs[step] = fields
            if (said := stored_step(series, step)) is not None:
                stored[step] = said
    return [*misfits(configs), *gaps_of(series), *misnamed(stored)]


@dataclass(frozen=True)
class _Read:
    """What is kept of the checkpoints: never their weights."""

    checksums: dict[int, str] = field(default_factory=dict)
    shapes: dict[int, Shapes] = field(default_factory=dict)
    configs: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    stored: dict[int, int] = field(default_factory=dict)
    untrained: dict[int, frozenset[str]] = field(default_factory=dict)
    sketches: dict[int, Tensor] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, series: Series, step: int) -> None:
        try:
            checksum = series.checksum(step)
            equal = next((earlier for earlier, other in self.checksums.items() if other == checksum), None)
            self.checksums[step] = checksum
            weights = series.weights(step) if equal is None else None  # equal weights have equal distances
            config = stored_config(series, step)
            stored = stored_step(series, step)
        except (ValueError, OSError) as error:
            self.checksums.pop(step, None)
            said = str(error)
            named = said if said.startswith(f"step {step},") else f"step {step}: {said}"
            kind = "config" if isinstance(error, MisfittingConfigError) else "unreadable"
            self.findings.append(Finding(kind, (step,), named))
            return
        if config:
            self.configs[step] = config
        if stored is not None:
            self.stored[step] = stored
        if equal in self.shapes:
            self.shapes[step] = self.shapes[equal]
        if weights is not None:
            self.shapes[step] = {name: tuple(weight.shape) for name, weight in weights.items()}
            found = sketch(weights)
            self.compare(step, found * torch.nan if _overflows(series, step, weights) else found)
            if step in self.sketches:
                self.untrained[step] = frozenset(_of_one_value(weights))

    def compare(self, step: int, found: Tensor) -> None:
        """Files of equal weights may differ (`torch.save` writes its file name into them), their sketches do not."""
        if not found.isfinite().all():
            self.findings.append(
                Finding(
                    "not finite",
                    (step,),
                    f"step {step} has weights with NaN or infinity, or too large to compute with: training diverged",
                )
            )
        elif same := [earlier for earlier, other in self.sketches.items() if torch.equal(found, other)]:
            self.checksums[step] = self.checksums[same[0]]
        else:
            self.sketches[step] = found

    def compared(self, steps: Sequence[int], missing: Iterable[Finding] = ()) -> Audit:
        odd = list(misshapen(self.shapes))
        others = {step for finding in odd for step in finding.steps}
        sketches, unsure = placed(_without(self.checksums, others), _without(self.sketches, others))
        distances, order = distances_between(sketches), list(sketches)
        far = list(far_from_all(order, distances))
        near = [step for step in order if all(step not in each.steps for each in far)]
        findings = [*self.findings, *odd, *misfits(_without(self.configs, others)), *duplicates(self.checksums)]
        findings += [*missing, *misnamed(_without(self.stored, others))]
        findings += [*reversed_order(_without(self.untrained, others))]
        findings += [*out_of_order([step for step in near if step not in unsure], distances), *far]
        findings += jumps(near, distances)
        neighbors = {pair: distances[pair] for pair in zip(order, order[1:], strict=False)}
        return Audit(tuple(steps), tuple(findings), neighbors)


def _without(each: Mapping[int, T], steps: Collection[int]) -> dict[int, T]:
    return {step: value for step, value in each.items() if step not in steps}


def _of_one_value(weights: Mapping[str, Tensor]) -> Iterator[str]:
    """Names of the weights with one axis whose entries are all equal."""
    for name, weight in weights.items():
        if weight.dim() == 1 and len(weight) > 1 and bool((weight == weight[0]).all()):
            yield name


def _overflows(series: Series, step: int, weights: Mapping[str, Tensor]) -> bool:
    """Whether the model of large weights overflows; False of a series that holds state dicts and no model."""
    filled = [weight.detach() for weight in weights.values() if weight.is_floating_point() and weight.numel()]
    if not any(float(weight.float().abs().max()) > HARMLESS for weight in filled):  # float8 has no maximum
        return False
    try:
        return overflows(series.load(step))
    except ValueError:
        return False
