"""Checkpoints in Hugging Face's layout: a folder with config.json and weights, of which nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.places import user_path
from grok_interp.runs.config_fields import NOT_EXECUTED, config_fields, first_line
from grok_interp.runs.config_hashes import hash_of_fields
from grok_interp.runs.foreign_series import FileSeries, checkpoint_files
from grok_interp.runs.refused import MisfittingConfigError, RefusedCheckpointError
from grok_interp.runs.step_patterns import files_by_step

TOKENIZER, CONFIG = "tokenizer.json", "config.json"
CONSTANTS = re.compile(r"(^|\.)((attn|attention)\.(bias|masked_bias)|rotary_emb\.inv_freq)$")  # that older files hold
COPY_CONFIG = "copy the config.json that the model was trained with into it"
SHOWN = 3  # names in a message


class HuggingFaceFolders(FileSeries):
    """One folder in Hugging Face's layout per step."""

    @property
    def _owns_models(self) -> bool:
        return True

    def config_fields(self, step: int) -> dict[str, Any]:
        """Those of its config.json that change the computation; no model is loaded.

        Raises RefusedCheckpointError for a file that is no config.
        """
        return config_fields(self.config_file(step))

    def config_hash(self, step: int) -> str:
        """Of its `config_fields`; where they cannot be read, loading the checkpoint says why."""
        try:
            return hash_of_fields(self.config_fields(step))
        except RefusedCheckpointError:
            return "unreadable"

    def config_file(self, step: int) -> Path:
        """config.json of a step.

        Args:
            step: of a checkpoint.
        """
        return self.path(step) / CONFIG

    def beside_weights(self, name: str, step: int) -> Path | None:
        """A further file of a step; None where there is none.

        Args:
            name: of the file.
            step: of a checkpoint.
        """
        file = self.path(step) / name
        return file if file.is_file() else None

    def tokenizer_file(self) -> Path | None:
        """tokenizer.json in the last folder, or beside the folders."""
        last = self.path(self.steps[-1])
        return next((each / TOKENIZER for each in (last, last.parent) if (each / TOKENIZER).is_file()), None)


@checked
def huggingface_folders(folder: str | Path, pattern: str = "checkpoint-{step}") -> HuggingFaceFolders:
    """See `CheckpointSeries.from_huggingface_folder`."""
    if not user_path(folder).is_dir():
        raise ValueError(f"no folder {folder}: give Trainer's output_dir, which holds checkpoint-500 and the like")
    return HuggingFaceFolders(files_by_step(Path(folder) / pattern), read_huggingface)


def read_huggingface(folder: Path) -> Any:
    """The causal language model in a folder, in float32 and with eager attention, so that patterns can be read.

    Args:
        folder: with config.json, and model.safetensors or pytorch_model.bin, in one file or several.

    Raises:
        RefusedCheckpointError: for a folder without a model, for an architecture with code of its own, and if weights
            are missing, do not fit the config, or are not in a model of the config.
    """
    import torch
    from transformers import AutoModelForCausalLM

    files = checkpoint_files(folder)
    if not (folder / CONFIG).is_file():
        raise RefusedCheckpointError(folder, "has weights and no config.json", "copy the config of the model into it")
    try:
        with _no_progress_bars():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation="eager",
                trust_remote_code=False,
                local_files_only=True,
                use_safetensors=files[0].suffix == ".safetensors",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
            )
    except Exception as error:  # safetensors, pickle and JSON each have their own
        raise RefusedCheckpointError(
            folder,
            f"cannot be read as a causal language model ({first_line(error)}; {NOT_EXECUTED})",
            "copy its files again; weights must fit config.json",
        ) from error
    model, info = loaded
    _require_shapes(folder, info["mismatched_keys"])
    _require_all_loaded(folder, info["missing_keys"], info["unexpected_keys"])
    return model


def _require_shapes(folder: Path, mismatched: Iterable[tuple[str, Sequence[int], Sequence[int]]]) -> None:
    """transformers would leave weights of another shape than the model's random."""
    for name, found, expected in sorted(mismatched):
        raise MisfittingConfigError(
            folder, f"has {name} of shape {tuple(found)} where its config.json says {tuple(expected)}", COPY_CONFIG
        )


def _require_all_loaded(folder: Path, missing: Iterable[str], unexpected: Iterable[str]) -> None:
    """transformers would leave missing weights random, and drop those of a layer that the config does not have."""
    if lacking := sorted(missing):
        raise MisfittingConfigError(
            folder,
            f"lacks {counted(len(lacking), 'weight')} of its config.json ({', '.join(lacking[:SHOWN])})",
            f"{COPY_CONFIG}, or copy its weights again",
        )
    if unknown := sorted(name for name in unexpected if not CONSTANTS.search(name)):
        raise MisfittingConfigError(
            folder,
            f"has {counted(len(unknown), 'weight')} that a model of its config.json does not have "
            f"({', '.join(unknown[:SHOWN])})",
            f"{COPY_CONFIG}, or save the model without them",
        )


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """transformers shows none of its bars inside: there would be one for each checkpoint of a series."""
    from transformers.utils.logging import set_tqdm_hook

    before = set_tqdm_hook(lambda make, args, kwargs: make(*args, **{**kwargs, "disable": True}))
    try:
        yield
    finally:
        set_tqdm_hook(before)
