"""`list` and `doctor`: presets, runs on disk, and what this installation can do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from grok_interp.cli.options import READABLE, OutputFlags
from grok_interp.cli.output import command
from grok_interp.presets import PRESETS, TRAINING_PRESETS
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import figures, studies

Row = dict[str, Any]
PACKAGES = ("torch", "transformer-lens", "circuitsvis", "safetensors", "xarray", "scikit-learn", "matplotlib", "plotly")
EXTRAS = {"datasets": "hub data sets: pip install 'grok-interp[hub]'"}


def list_(
    kind: Annotated[Literal["claims", "figures", "presets", "runs"], tyro.conf.Positional] = "runs",
    /,
    *,
    folder: Path = Path("runs"),
    output: OutputFlags = READABLE,
) -> None:
    """List the runs in a folder, the presets, the figures that `reproduce` draws, or the claims that `report` tests.

    Args:
        kind: what to list.
        folder: of the runs.
    """
    runs = partial(run_rows, folder, on_damage=output.warn)
    rows = {"claims": claim_rows, "figures": figure_rows, "presets": preset_rows, "runs": runs}[kind]()
    names = [row[kind.removesuffix("s")] for row in rows]
    if rows:
        output.show(rows)
    else:
        output.say(f"no runs in {folder}")
    then = {
        "claims": "grok-interp report FOLDER",
        "figures": "grok-interp reproduce FIGURE --run runs/NAME",
        "presets": "grok-interp train PRESET --run runs/NAME",
        "runs": command("grok-interp", "report", names[-1]) if rows else "grok-interp demo",
    }
    output.finish(rows, made=names, then=then[kind])


def doctor(*, output: OutputFlags = READABLE) -> None:
    """Print installed versions, the devices that torch sees, and what is missing."""
    rows = installation()
    output.show(rows)
    missing = [row["what"] for row in rows if row["found"] == "missing"]
    output.finish(rows, made=missing, then="grok-interp demo")


def figure_rows() -> list[Row]:
    """One row per figure."""
    return [
        {"figure": name, "runs": "one or more" if picture.of_many else "one", "shows": picture.description}
        for name, picture in figures().items()
    ]


def claim_rows() -> list[Row]:
    """One row per claim of each study."""
    return [
        {"study": name, "claim": claim.text, "source": claim.source, "varied": ", ".join(claim.experiment.varied)}
        for name, study in studies().items()
        for claim in study.claims
    ]


def preset_rows() -> list[Row]:
    """One row per preset; `trainable` when `grok-interp train` knows a run of it."""
    return [
        {
            "preset": name,
            "parameters": cfg.n_params,
            "n_layers": cfg.n_layers,
            "n_heads": cfg.n_heads,
            "d_model": cfg.d_model,
            "n_ctx": cfg.n_ctx,
            "trainable": name in TRAINING_PRESETS,
        }
        for name, cfg in PRESETS.items()
    ]


def run_rows(folder: Path, *, on_damage: Callable[[Path, str], object]) -> list[Row]:
    """One row for each run in a folder or below it; `on_damage` is called with those that cannot be opened.

    Raises ValueError for a folder that is not there.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}: runs are written by `grok-interp demo` and `grok-interp train`")
    return [run_row(run) for run in Run.below(folder, on_damage=on_damage)]


def run_row(run: Run) -> Row:
    """How far a run is."""
    steps = run.steps
    return {
        "run": str(run),
        "parameters": run.model.n_params,
        "checkpoints": len(steps),
        "last_step": steps[-1] if steps else None,
        "n_steps": run.trained.n_steps if run.trained else None,
        "finished": run.is_finished,
        "analyzed": not run.results.is_empty,
        "report": (run.directory / "report.html").exists(),
    }


def installation() -> list[Row]:
    """What is installed, which devices torch sees, what is missing."""
    import torch

    rows = [{"what": "python", "found": platform.python_version(), "note": platform.platform()}]
    rows += [{"what": name, "found": importlib.metadata.version(name), "note": ""} for name in PACKAGES]
    rows += [{"what": name, "found": _presence(name), "note": note} for name, note in EXTRAS.items()]
    rows.append({"what": "cpu", "found": f"{torch.get_num_threads()} threads", "note": ""})
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        rows.append({"what": f"cuda:{index}", "found": gpu.name, "note": f"{gpu.total_memory / 2**30:.0f} GiB"})
    if not torch.cuda.is_available():
        rows.append({"what": "cuda", "found": "none", "note": "training runs on the CPU"})
    return rows


def _presence(module: str) -> str:
    return "installed" if importlib.util.find_spec(module) else "missing"
