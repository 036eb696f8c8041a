"""The results of a run on disk: one file per analyzer and evaluation inputs, each checkpoint evaluated once.

    results/induction-3f2a91c0d1e4.nc.gz    the name ends in a hash of the analyzer's name, version and inputs

A file is a netCDF dataset (`xarray.open_dataset(file, engine="scipy")` reads it), compressed, so that gzip's checksum
is verified on every read. Its coordinate `checksum` names the weights of each checkpoint: other weights under the same
step are evaluated anew. Files are a cache: a damaged one is computed again. Writers take turns and add to what the
others wrote, so several processes may evaluate the same run.
"""

from __future__ import annotations

import errno
import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grok_interp.arguments.functions import FailedForwardError
from grok_interp.files import remove_abandoned, write_atomically
from grok_interp.results.analyzer import SUFFIX, Analyzer, Found
from grok_interp.results.checkpoint_map import Checkpoints, map_checkpoints

if TYPE_CHECKING:
    import xarray as xr

    from grok_interp.models.activations import HookedModel
    from grok_interp.results.result import Result

SAVE_EVERY = 8  # checkpoints evaluated between two saves: what a kill can cost
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class ResultStore:
    """The results in one folder.

    Args:
        folder: is made when the first result is stored.
    """

    folder: Path

    @property
    def is_empty(self) -> bool:
        """Has nothing been evaluated yet?"""
        return next(self.folder.glob(f"*{SUFFIX}"), None) is None

    def has(self, name: str) -> bool:
        """Is there a result of that analyzer, whatever its inputs?

        Args:
            name: of an analyzer.
        """
        return next(self.folder.glob(f"{name}-*{SUFFIX}"), None) is not None

    def path(self, analyzer: Analyzer) -> Path:
        """Where an analyzer's results are kept, whether there are any or not.

        Args:
            analyzer: one of a study.
        """
        return self.folder / analyzer.file_name

    def missing(self, analyzer: Analyzer, checkpoints: Checkpoints, steps: Sequence[int]) -> list[int]:
        """Those of the steps whose weights this analyzer has not evaluated.

        Args:
            analyzer: whose results are looked for.
            checkpoints: give the checksum of each step.
            steps: of checkpoints.
        """
        return _missing(self._stored(analyzer), {step: checkpoints.checksum(step) for step in steps})

    def evaluate(
        self,
        analyzers: Sequence[Analyzer[Found]],
        checkpoints: Checkpoints,
        *,
        steps: Sequence[int],
        device: str = "cpu",
        at_once: int = 1,
        on_checkpoint: Callable[[int, int], None] | None = None,
    ) -> list[Found]:
        """The result of each analyzer at these steps; only what is not stored is evaluated, and stored.

        Args:
            analyzers: each checkpoint is loaded once for all of them.
            checkpoints: the series.
            steps: of the series, one or more; one if a result has no dimension `checkpoint`.
            device: where models run, a torch device.
            at_once: checkpoints in memory, each evaluated on a thread of its own.
            on_checkpoint: called with (checkpoints done, checkpoints to do).

        Raises:
            ValueError: for a damaged checkpoint; what was evaluated before it is stored.
        """
        checksums = {step: checkpoints.checksum(step) for step in steps}
        stored = [self._stored(analyzer) for analyzer in analyzers]
        missing = [set(_missing(each, checksums)) for each in stored]
        fresh: list[list[xr.Dataset]] = [[] for _ in analyzers]
        to_do = sorted(set().union(*missing))

        def save() -> None:
            for number, analyzer in enumerate(analyzers):
                if fresh[number]:
                    stored[number] = self._add(analyzer, stored[number], fresh[number])
                    fresh[number] = []

        def evaluated(step: int, model: HookedModel) -> list[xr.Dataset | None]:
            try:
                return [
                    _labeled(analyzer.evaluate(step, model), step, checksums[step]) if step in lacking else None
                    for analyzer, lacking in zip(analyzers, missing, strict=True)
                ]
            except FailedForwardError as error:
                raise FailedForwardError(f"step {step}: {error}") from error

        each = map_checkpoints(evaluated, checkpoints, to_do, device=device, at_once=at_once)
        try:
            for done, found in enumerate(each, start=1):
                for new, dataset in zip(fresh, found, strict=True):
                    new += [dataset] if dataset is not None else []
                if done % SAVE_EVERY == 0:
                    save()
                if on_checkpoint:
                    on_checkpoint(done, len(to_do))
        finally:  # Ctrl-C and a damaged checkpoint lose nothing that was evaluated
            save()
        return [_result(analyzer, each, steps) for analyzer, each in zip(analyzers, stored, strict=True)]

    def _stored(self, analyzer: Analyzer) -> xr.Dataset | None:
        """None where nothing is stored, or the file is damaged or has other measures: then it is computed again."""
        from grok_interp.results.netcdf import dataset_of_netcdf

        try:
            _, dataset = dataset_of_netcdf(gzip.decompress(self.path(analyzer).read_bytes()))
        except (FileNotFoundError, gzip.BadGzipFile, EOFError, zlib.error, ValueError):
            return None
        complete = set(analyzer.kind.measures) <= set(dataset.data_vars) and "checksum" in dataset.coords
        return dataset if complete else None

    def _add(self, analyzer: Analyzer, stored: xr.Dataset | None, fresh: Sequence[xr.Dataset]) -> xr.Dataset:
        """What is stored by now, with these checkpoints added or replaced. A folder that may not be written (an
        installed package) keeps nothing: then they are added to `stored` alone."""
        import filelock

        from grok_interp.results.netcdf import netcdf_of_dataset

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.folder / ".lock"):
                remove_abandoned(self.folder)
                dataset = _with_fresh(self._stored(analyzer), fresh, self.path(analyzer))
                described = dataset.assign_attrs(analyzer=analyzer.description)
                content = gzip.compress(netcdf_of_dataset(described, analyzer.kind.name), mtime=0)
                write_atomically(self.path(analyzer), lambda scratch: scratch.write_bytes(content))
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            return _with_fresh(stored, fresh, self.path(analyzer))
        return dataset


def _missing(stored: xr.Dataset | None, checksums: Mapping[int, str]) -> list[int]:
    known: dict[int, str] = {}
    if stored is not None:
        known = dict(zip(stored["checkpoint"].values.tolist(), stored["checksum"].values.tolist(), strict=True))
    return [step for step, checksum in checksums.items() if known.get(step) != checksum]


def _labeled(result: Result, step: int, checksum: str) -> xr.Dataset:
    """Along `checkpoint`, with the checksum of its weights."""
    dataset = result.dataset
    if "checkpoint" not in dataset.dims:
        dataset = dataset.drop_vars("checkpoint", errors="ignore").expand_dims(checkpoint=[step])
    attributes = json.loads(json.dumps(dataset.attrs))  # as they come back from a file: lists, no tuples
    return dataset.assign_coords(checksum=("checkpoint", [checksum])).drop_attrs(deep=False).assign_attrs(attributes)


def _with_fresh(stored: xr.Dataset | None, fresh: Sequence[xr.Dataset], path: Path) -> xr.Dataset:
    from grok_interp.results.order import joined

    steps = [int(each["checkpoint"][0]) for each in fresh]
    kept = []
    if stored is not None:
        stored.attrs.pop("analyzer", None)
        kept = [stored.sel(checkpoint=~stored["checkpoint"].isin(steps))]
    datasets = [each for each in (*kept, *fresh) if each.sizes["checkpoint"]]
    if any(each.attrs != datasets[0].attrs for each in datasets):
        raise ValueError(f"{path} has results of another definition than now: delete it and evaluate again")
    if other := _other_axes(datasets):
        raise ValueError(
            f"{path} has results of a model of another architecture than now (another {', '.join(other)} axis): "
            "evaluate into another folder (--run), or delete this one first"
        )
    return joined(datasets)


def _other_axes(datasets: Sequence[xr.Dataset]) -> list[str]:
    """Names of the axes, but for that of checkpoints, along which not all have the same size."""
    sizes = [{str(name): size for name, size in each.sizes.items() if name != "checkpoint"} for each in datasets]
    names = sorted({name for each in sizes for name in each})
    return [name for name in names if any(each.get(name) != sizes[0].get(name) for each in sizes)]


def _result(analyzer: Analyzer[Found], stored: xr.Dataset | None, steps: Sequence[int]) -> Found:
    assert stored is not None, "every step has been evaluated"
    dataset = stored.sel(checkpoint=list(steps)).drop_vars("checksum")
    dataset.attrs = {name: value for name, value in dataset.attrs.items() if name != "analyzer"}
    if "checkpoint" not in analyzer.kind.dims:
        dataset = dataset.squeeze("checkpoint", drop=True)
    return analyzer.kind(dataset)
