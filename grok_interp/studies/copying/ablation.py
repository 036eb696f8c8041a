"""Do the heads that I(L, H) finds do the copying, and from which step on? Knock them out, beside controls.

The paper measures heads and copying side by side and takes none away. Results are kept in the run's `results` folder
(ablation_WAY.nc, single_heads_WAY.nc), each with what exactly was asked of which checkpoint files; what was asked
otherwise, or of other files, is measured anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from grok_interp.analysis.ablated_model import WAYS, Head
from grok_interp.analysis.ablation import HeadAblation, head_ablation
from grok_interp.analysis.single_ablation import SingleAblation, single_ablation
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.models.transformer import Transformer
from grok_interp.plots.drawing import Drawing
from grok_interp.plots.pictures import ablation as ablation_picture
from grok_interp.plots.pictures import single_heads as single_heads_picture
from grok_interp.results import LabelledResult
from grok_interp.schedules import spread_steps
from grok_interp.studies.copying.ablation_probes import AblationProbes, ablation_probes
from grok_interp.studies.copying.kept import checkpoint_files, is_stored, kept, known
from grok_interp.studies.copying.results import analyzed

N_CHECKPOINTS = 12  # four ways at so many take copier-mini about a minute on one slow core
SEED = 0
KINDS: dict[str, type[LabelledResult]] = {"ablation": HeadAblation, "single_heads": SingleAblation}


def ablation(directory: Path, *, heads: Sequence[Head] | None = None, device: str = "cpu") -> Drawing:
    """Copying and loss over training without the induction heads, or without `heads`, in every way."""
    return ablation_picture.ablation(ablations(directory, heads=heads, device=device))


def single_heads(directory: Path, *, device: str = "cpu") -> Drawing:
    """What the absence of each head alone costs at the last checkpoint, against its I(L, H), in every way."""
    return single_heads_picture.single_heads(single_ablations(directory, device=device), analyzed(directory).induction)


def ablations(
    directory: Path,
    *,
    heads: Sequence[Head] | None = None,
    ways: Sequence[str] = WAYS,
    n_checkpoints: int = N_CHECKPOINTS,
    device: str = "cpu",
    on_checkpoint: Callable[[int, int], None] | None = None,
) -> list[HeadAblation]:
    """One result for each way, at `n_checkpoints` spread over the run; the probes are those of `ablation_probes`.

    The k heads of largest score: `heads=analyzed(directory).induction.strongest(k)`. `on_checkpoint` is told
    (checkpoints done, checkpoints to do), each once for every way that is not known yet.
    """
    results, series = analyzed(directory, device=device), CheckpointSeries(directory)
    probes = ablation_probes(directory, results, heads=heads, device=device)
    steps = spread_steps(results.steps, n_checkpoints)
    asked = _by_way(ways, {**probes.description(), **checkpoint_files(series, steps)})
    missing = [how for how in ways if not known(directory, f"ablation_{how}", HeadAblation, asked[how])]
    done, to_do = count(1), len(missing) * len(steps)

    def models() -> Iterator[tuple[int, Transformer]]:
        for step in steps:
            yield step, series.load(step).to(device)
            if on_checkpoint:
                on_checkpoint(next(done), to_do)

    def measured(how: str) -> HeadAblation:
        return ablation_of(models(), probes, how)

    return [kept(directory, f"ablation_{how}", HeadAblation, asked[how], partial(measured, how)) for how in ways]


def ablation_of(checkpoints: Any, probes: AblationProbes, how: str) -> HeadAblation:
    """`head_ablation` of what the probes name."""
    return head_ablation(
        checkpoints,
        probes.samples,
        probes.windows,
        heads=probes.heads,
        spared=probes.spared,
        how=how,
        n_draws=probes.n_draws,
        seed=SEED,
        **probes.options(how),
    )


def single_ablations(
    directory: Path,
    *,
    ways: Sequence[str] = WAYS,
    device: str = "cpu",
    on_model: Callable[[int, int], None] | None = None,
) -> list[SingleAblation]:
    """Every head of the last checkpoint ablated alone, one result for each way.

    `on_model` is told (models done, models to do), each once for every way that is not known yet: the intact model, and
    one without each head.
    """
    results, series = analyzed(directory, device=device), CheckpointSeries(directory)
    probes, step = ablation_probes(directory, results, device=device), results.steps[-1]
    asked = _by_way(ways, {**probes.text(), **checkpoint_files(series, [step])})
    missing = [how for how in ways if not known(directory, f"single_heads_{how}", SingleAblation, asked[how])]
    done = count(1)

    def advance(_: int, n_models: int) -> None:
        if on_model:
            on_model(next(done), n_models * len(missing))

    def measured(how: str) -> SingleAblation:
        model, options = series.load(step).to(device), probes.options(how)
        return single_ablation(
            [(step, model)], probes.samples, probes.windows, how=how, seed=SEED, on_model=advance, **options
        )

    return [kept(directory, f"single_heads_{how}", SingleAblation, asked[how], partial(measured, how)) for how in ways]


def are_known(directory: Path, name: str) -> bool:
    """Is ablation, or single_heads, measured in every way, with the defaults, on the files that there are now?"""
    if not all(is_stored(directory, f"{name}_{how}") for how in WAYS):
        return False
    results, series = analyzed(directory), CheckpointSeries(directory)
    probes, kind = ablation_probes(directory, results), KINDS[name]
    if name == "ablation":
        asked = {**probes.description(), **checkpoint_files(series, spread_steps(results.steps, N_CHECKPOINTS))}
    else:
        asked = {**probes.text(), **checkpoint_files(series, results.steps[-1:])}
    return all(known(directory, f"{name}_{how}", kind, each) for how, each in _by_way(WAYS, asked).items())


def _by_way(ways: Sequence[str], asked: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is asked in each way; results from before donors were drawn for all rows at once are measured anew."""
    return {how: {**asked, "donors": "one draw per row"} if how == "resample" else asked for how in ways}
