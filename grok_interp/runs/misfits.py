"""Checkpoints of another model than most of their series: by the shapes of their weights, by their configs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from grok_interp.counted import counted
from grok_interp.models.hooked import other_sizes
from grok_interp.results.order import shown_steps
from grok_interp.runs.findings import Finding

Shapes = Mapping[str, tuple[int, ...]]


def misshapen(shapes: Mapping[int, Shapes]) -> Iterator[Finding]:
    """Steps whose weights have other names or shapes than those of most.

    Args:
        shapes: step -> name of a weight -> its shape, in the order of steps; of equally many, the first are the usual.
    """
    each = {step: frozenset(those.items()) for step, those in shapes.items()}
    usual, _ = next(iter(Counter(each.values()).most_common(1)), (frozenset(), 0))
    fitting = [step for step, those in each.items() if those == usual]
    for step, those in shapes.items():
        if names := sorted({name for name, _ in each[step] ^ usual}):
            name, expected = names[0], dict(usual)
            which = f"{'step' if len(fitting) == 1 else 'steps'} {shown_steps(fitting)}"
            yield Finding(
                "config",
                (step,),
                f"step {step} has {counted(len(names), 'weight')} of another name or shape than {which} "
                f"({name}: {those.get(name, 'none')}, expected {expected.get(name, 'none')}): another model?",
            )


def misfits(configs: Mapping[int, Mapping[str, Any]]) -> Iterator[Finding]:
    """Steps whose config says another computation than most: their weights would be computed with otherwise.

    Args:
        configs: step -> fields of its config; of a series with configs.
    """
    names = dict.fromkeys(name for fields in configs.values() for name in fields)
    each = {step: {name: fields.get(name) for name in names} for step, fields in configs.items()}
    values = {name: [fields[name] for fields in each.values()] for name in names}
    usual = {name: max(those, key=those.count) for name, those in values.items()}
    steps_of = defaultdict(list)
    for step, fields in each.items():
        steps_of[other_sizes(fields, usual)].append(step)
    fitting = steps_of.pop("", [])
    others = f" (steps {shown_steps(fitting)})" if fitting else ""
    for differing, steps in steps_of.items():
        which = f"config of step {steps[0]}" if len(steps) == 1 else f"configs of steps {shown_steps(steps)}"
        has = "has" if len(steps) == 1 else "have"
        yield Finding("config", tuple(steps), f"the {which} {has} {differing}{others}: are all of one training?")
