"""Series of checkpoints that other training loops made: models in memory, files, folders of Hugging Face's Trainer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from grok_interp.arguments import checked
from grok_interp.arguments.objects import is_listing, shown
from grok_interp.models.hooked import hooked, sizes_of
from grok_interp.models.unreadable import require_values
from grok_interp.runs.checkpoint_files import weights_digest
from grok_interp.runs.config_hashes import config_hash
from grok_interp.runs.given_load import require_loaded, with_named_errors
from grok_interp.runs.refused import RefusedCheckpointError, require_same_sizes
from grok_interp.runs.series import CheckpointSeries
from grok_interp.runs.state_dicts import loaded_copy, read_state_dict, require_fit
from grok_interp.runs.step_patterns import files_by_step

IN_MEMORY = ("eval", "named_parameters")
SHELL = ("state_dict", "load_state_dict")


@dataclass(frozen=True)
class ModelsInMemory(CheckpointSeries):
    """Models that are in memory already; see `CheckpointSeries.from_models`."""

    models: Mapping[int, Any]

    @property
    def steps(self) -> tuple[int, ...]:
        return tuple(self.models)

    @checked
    def load(self, step: int) -> Any:
        require_step(step, self.steps, "the models given")
        return self.models[step].eval()

    def checksum(self, step: int) -> str:
        return weights_digest({name: weight.cpu() for name, weight in self.weights(step).items()}, {})

    def config_hash(self, step: int) -> str:
        require_step(step, self.steps, "the models given")
        return config_hash(self.models[step])


def models_in_memory(pairs: Iterable[tuple[int, Any]]) -> ModelsInMemory:
    """See `CheckpointSeries.from_models`."""
    models: dict[int, Any] = {}
    if not is_listing(pairs):
        raise ValueError(f"pairs must be a list of (step, model), got {shown(pairs)}")
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"pairs must be a list of (step, model), got one with {shown(pair)}")
        step, model = pair
        if isinstance(step, bool) or not hasattr(step, "__index__") or index(step) < 0:
            raise ValueError(f"a step must be an integer of 0 or more, got {step!r}")
        if step in models:
            raise ValueError(f"step {step} was given twice: give each checkpoint once")
        models[index(step)] = model
    if not models:
        raise ValueError("no models were given: give one (step, model) or more")
    for step, model in models.items():
        if not _is_model(model, IN_MEMORY):
            raise ValueError(
                f"pairs must be a list of (step, model), got {shown(model)} as the model at step {step}: give a "
                "Transformer, a HookedTransformer, a TransformerBridge or a TorchAdapter"
            )
        require_values(model)
    return ModelsInMemory({step: models[step] for step in sorted(models)})


def _is_model(model: Any, names: Sequence[str]) -> bool:
    return not isinstance(model, type) and all(hasattr(model, name) for name in names)


@dataclass(frozen=True)
class FileSeries(CheckpointSeries):
    """One file, or one folder, per step.

    Args:
        paths: step -> path, sorted.
        read: path -> a hooked model, a Hugging Face model, or a state dict.
        shell: the model that state dicts are loaded into; not changed.
        there: all steps of the source, if `paths` are some of them.
    """

    paths: Mapping[int, Path]
    read: Callable[[Path], Any]
    shell: Any = None
    there: tuple[int, ...] | None = None
    _sizes: dict[int, dict[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _checksums: dict[Any, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def steps(self) -> tuple[int, ...]:
        return tuple(self.paths)

    @property
    def source_steps(self) -> tuple[int, ...]:
        return self.steps if self.there is None else self.there

    def path(self, step: int) -> Path:
        require_step(step, self.steps, type(self).__name__)
        return self.paths[step]

    @checked
    def load(self, step: int) -> Any:
        """A model of its own, in eval mode. Raises ValueError for what is no checkpoint or of another architecture."""
        path = self.path(step)
        found = self._read(path)
        if isinstance(found, Mapping):
            if self.shell is None:
                raise ValueError(
                    f"{path} holds a state dict: give model=, the model that it is loaded into (--model on the command "
                    "line), or load=, a function that returns a model"
                )
            found = loaded_copy(self.shell, found, path)
        model = hooked(found)
        self._require_same_architecture(model, step)
        return model

    @checked
    def at(self, steps: Iterable[int], *, device: str = "cpu") -> Iterator[tuple[int, Any]]:
        """As `CheckpointSeries.at`, but a model that came from a state dict or a folder is valid only until the next
        pair is requested: its weights are then released, so that one model is in memory beside the shell."""
        model = None
        for step in steps:
            if model is not None and self._owns_models:
                nn.Module.to(model, "meta")
            model = nn.Module.to(self.load(step), device)
            yield step, model

    @property
    def _owns_models(self) -> bool:
        """What a function of the user returned is not ours to release: it may be the same object every time."""
        return self.shell is not None

    def weights(self, step: int) -> dict[str, Tensor]:
        """Name -> weight; where there is a shell, without its buffers and second names of tied weights."""
        path = self.path(step)
        found = self._read(path)
        if self.shell is not None and isinstance(found, Mapping):
            require_fit(self.shell, found, path)
            own = self.shell.state_dict(keep_vars=True)
            first = {id(weight): name for name, weight in reversed(own.items()) if isinstance(weight, nn.Parameter)}
            found = {name: weight for name, weight in found.items() if name not in own.keys() - first.values()}
        return dict(found if isinstance(found, Mapping) else found.named_parameters())

    def checksum(self, step: int) -> str:
        """SHA-256 of the file's bytes, or of the weights' files in a folder; read again when a file has changed."""
        files = checkpoint_files(self.path(step))
        key = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
        if key not in self._checksums:
            self._checksums[key] = _hash_of(files)
        return self._checksums[key]

    def config_hash(self, step: int) -> str:  # noqa: ARG002 (one model for all)
        """Of the model that state dicts are loaded into; where there is none, of the first checkpoint's."""
        if "config" not in self._checksums:
            model = self.load(self.steps[0]) if self.shell is None else self.shell
            self._checksums["config"] = config_hash(model)
        return self._checksums["config"]

    def _read(self, path: Path) -> Any:
        found = self.read(path)
        require_loaded(found, path)
        return found

    def _require_same_architecture(self, model: Any, step: int) -> None:
        sizes = sizes_of(model)
        first, expected = next(iter(self._sizes.items()), (step, sizes))
        require_same_sizes(f"step {step}, {self.paths[step]},", sizes, expected, first)
        self._sizes[first] = expected


@checked
def file_series(pattern: str | Path, model: Any, load: Callable[[Path], Any] | None) -> FileSeries:
    """See `CheckpointSeries.from_files`."""
    paths = files_by_step(pattern)
    if model is not None and not _is_model(model, SHELL):
        raise ValueError(
            f"model must be what state dicts are loaded into, got {shown(model)}: give a Transformer, a "
            "HookedTransformer, a Hugging Face model or a TorchAdapter, of the trained sizes"
        )
    require_values(model)
    if load is None or load is read_state_dict:
        return FileSeries(paths, read_state_dict, model)
    return FileSeries(paths, with_named_errors(load), model)


WEIGHTS = ("*.safetensors", "*.bin")


def checkpoint_files(path: Path) -> list[Path]:
    """The file itself, or the files of weights in a folder: safetensors where there are any."""
    if not path.is_dir():
        return [path]
    found = [sorted(path.glob(pattern)) for pattern in WEIGHTS]
    files = next((each for each in found if each), [])
    if not files:
        raise RefusedCheckpointError(
            path,
            "has no model.safetensors and no pytorch_model.bin",
            "is it a checkpoint of Trainer? Delete the folder, or save the model there (model.save_pretrained)",
        )
    return files


def require_step(step: int, steps: Sequence[int], where: str) -> None:
    """Raises ValueError for a step that a series does not have."""
    if step not in steps:
        raise ValueError(f"no step {step} in {where}; its steps are {tuple(steps)}")


def _hash_of(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
