"""What large studies cost in hours and bytes, computed from rates that were measured: the tables of docs/scaling.md.

    python benchmarks/scaling.py

Rates are of RESULTS.md and dev/LOG.md. A training step is taken to need 6 operations for each parameter and 12 for each
layer, feature and position of the context, per token (forward and backward pass, attention included).
"""

from dataclasses import dataclass

from grok_interp.configs import TrainConfig
from grok_interp.counted import size
from grok_interp.presets import training_preset

# Measured on one H100 (dev/LOG.md and RESULTS.md, 2026-11-26)
MATRIX_PRODUCT = 792e12  # operations a second, two 8192 x 8192 matrices in bfloat16
P29_STEP, P29_BATCH = 0.014, 512  # seconds an update, sequences an update, of modular-paper-d4
INDUCTION_SCORES = 1.24 / (4 * 1024)  # seconds a token, copier-paper
FORWARD_PASS = 0.0316 / (4 * 1024)  # seconds a token, copier-paper

DIAGRAM_RUNS = 7 * 9 * 3  # 8 to 512 tasks, alpha .1 to .9, three seeds
PYTHIA = {"14m": 14, "31m": 31, "70m": 70, "160m": 162, "410m": 405, "1b": 1012, "1.4b": 1415, "2.8b": 2775}
PYTHIA_REVISIONS, EVALUATED_TOKENS = 154, 128 * 1024
DOWNLOAD = 100e6  # bytes a second, assumed
HALF, SINGLE = 2, 4  # bytes a number


@dataclass(frozen=True)
class Cost:
    """Of one study on one H100.

    Args:
        name: of it.
        hours: of the GPU.
        n_bytes: of its checkpoints.
    """

    name: str
    hours: float
    n_bytes: float

    def row(self) -> str:
        days = f"{self.hours / 24:,.1f} days" if self.hours >= 48 else f"{self.hours:,.1f} hours"
        return f"| {self.name} | {days} | {size(self.n_bytes)} |"


def operations(config: TrainConfig) -> float:
    """Of a training step, per token."""
    model = config.model
    return 6 * model.n_params + 12 * model.n_layers * model.d_model * model.n_ctx


def efficiency() -> float:
    """The fraction of the rate of large matrix products that a training step reaches: measured at p = 29."""
    config = training_preset("modular-paper-d4")
    return operations(config) * P29_BATCH * config.model.n_ctx / P29_STEP / MATRIX_PRODUCT


def training_hours(config: TrainConfig) -> float:
    """Of the whole run on one H100, computed."""
    return operations(config) * config.tokens_per_step * config.n_steps / (efficiency() * MATRIX_PRODUCT) / 3600


def checkpoint_bytes(config: TrainConfig) -> float:
    return SINGLE * config.model.n_params * len(config.kept_steps)


def trainings() -> list[Cost]:
    """The studies of both papers at their size."""
    paper = training_preset("copier-paper")
    found = [Cost("copier-paper, 40B tokens", training_hours(paper), checkpoint_bytes(paper))]
    for depth in (2, 4, 6):
        config = training_preset(f"modular-paper-d{depth}")
        found.append(Cost(f"modular-paper-d{depth}, one run", training_hours(config), checkpoint_bytes(config)))
    depths = [training_preset(f"modular-paper-d{depth}") for depth in (2, 4, 6)]
    hours, n_bytes = (DIAGRAM_RUNS * sum(map(of, depths)) for of in (training_hours, checkpoint_bytes))
    return [*found, Cost(f"phase diagrams, three depths: {3 * DIAGRAM_RUNS} runs", hours, n_bytes)]


def pythia() -> list[Cost]:
    """Induction scores on all revisions of each Pythia up to 2.8B: time of scores and downloads, bytes downloaded."""
    paper = training_preset("copier-paper").model.n_params
    found = []
    for name, millions in PYTHIA.items():
        scores = INDUCTION_SCORES * EVALUATED_TOKENS * max(1.0, millions * 1e6 / paper)
        n_bytes = millions * 1e6 * HALF
        hours = PYTHIA_REVISIONS * (scores + n_bytes / DOWNLOAD) / 3600
        found.append(Cost(f"pythia-{name}", hours, PYTHIA_REVISIONS * n_bytes))
    total = Cost("all eight", sum(each.hours for each in found), sum(each.n_bytes for each in found))
    return [*found, total]


def table(costs: list[Cost], what: str) -> str:
    return "\n".join([f"| {what} | one H100 | bytes |", "| --- | --- | --- |", *(cost.row() for cost in costs)])


if __name__ == "__main__":
    print(f"efficiency of a training step: {efficiency():.0%}\n")
    print(table(trainings(), "training"), table(pythia(), "scores of 154 revisions"), sep="\n\n")
