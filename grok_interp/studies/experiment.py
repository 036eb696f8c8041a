"""An experiment: what of a baseline is varied, and the baseline at each size. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grok_interp.configs import TrainConfig

if TYPE_CHECKING:
    from grok_interp.studies.sweep import Sweep


@dataclass(frozen=True, eq=False)
class Experiment:
    """Runs that differ in one thing.

    Args:
        varied: dotted fields of the configuration ("batch_size", "data.alpha"); none for the baseline alone.
        conditions: the configurations that it makes of a baseline, itself among them.
        baselines: size ("paper", "mini", "tiny") -> the run that is varied.
    """

    varied: tuple[str, ...]
    conditions: Callable[[TrainConfig], list[TrainConfig]]
    baselines: Mapping[str, TrainConfig]

    @classmethod
    def alone(cls, baselines: Mapping[str, TrainConfig]) -> Experiment:
        """The baseline and nothing else.

        Args:
            baselines: size -> configuration.
        """
        return cls((), lambda baseline: [baseline], baselines)

    def sweep(self, baseline: TrainConfig, folder: Path, *, n_seeds: int) -> Sweep:
        """Its runs in a folder. Those of the baseline are in FOLDER/baseline, whichever experiment uses them.

        Args:
            baseline: the run that is varied.
            folder: of the runs.
            n_seeds: how many of each condition.
        """
        from grok_interp.analysis.comparison import condition_of
        from grok_interp.studies.sweep import Sweep

        conditions = {
            "baseline" if config == baseline else condition_of(config, self.varied).replace(" ", ","): config
            for config in self.conditions(baseline)
        }
        return Sweep(Path(folder), conditions, n_seeds)
