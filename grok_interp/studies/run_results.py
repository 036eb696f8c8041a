"""Several results of the same checkpoints of a run, each checkpoint evaluated once (see results/store.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Self

from grok_interp.models.activations import HookedModel
from grok_interp.results.analyzer import Analyzer
from grok_interp.results.order import shown_steps
from grok_interp.results.result import Result
from grok_interp.runs.run import Run


@dataclass(frozen=True)
class RunResults:
    """Subclasses have a field for each result, and are made of an analyzer for each field, in the same order.

    A field is None where its analyzer is: where the result is not defined.
    """

    @classmethod
    def of_run(
        cls,
        run: Run,
        analyzers: Sequence[Analyzer | None],
        *,
        device: str = "cpu",
        on_checkpoint: Callable[[int, int], None] | None = None,
    ) -> Self:
        """At every checkpoint of a run; what is not stored is evaluated.

        Args:
            run: any run of the study.
            analyzers: one for each field; None where it is not defined.
            device: where models run, a torch device.
            on_checkpoint: called with (checkpoints done, checkpoints to do).
        """
        defined = [analyzer for analyzer in analyzers if analyzer]
        found = iter(run.evaluate(defined, device=device, on_checkpoint=on_checkpoint))
        return cls(*(next(found) if analyzer else None for analyzer in analyzers))

    @classmethod
    def of_model(cls, model: HookedModel, analyzers: Sequence[Analyzer | None], *, step: int = 0) -> Self:
        """Of one model, evaluated now and stored nowhere.

        Args:
            model: a hooked model.
            analyzers: one for each field; None where it is not defined.
            step: of the model, for the results.
        """
        return cls(*(analyzer.evaluate(step, model) if analyzer else None for analyzer in analyzers))

    @property
    def each(self) -> dict[str, Result]:
        """Those that are defined."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def steps(self) -> tuple[int, ...]:
        """The checkpoints that were evaluated."""
        return tuple(next(iter(self.each.values())).dataset["checkpoint"].values.tolist())

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

    def at(self, steps: Iterable[int]) -> Self:
        """The results at some checkpoints only.

        Args:
            steps: of checkpoints that were evaluated.
        """
        kept = list(steps)
        chosen = {name: type(result)(result.dataset.sel(checkpoint=kept)) for name, result in self.each.items()}
        return type(self)(**{field.name: chosen.get(field.name) for field in fields(self)})
