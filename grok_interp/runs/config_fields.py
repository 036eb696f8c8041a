"""What a config.json of Hugging Face says of the computation; no model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from grok_interp.models.hooked import SIZES
from grok_interp.runs.refused import RefusedCheckpointError

NOT_EXECUTED = "architectures with code of their own are not executed"
THEIRS = dict(
    zip(SIZES, ("num_hidden_layers", "num_attention_heads", "hidden_size", "head_dim", "vocab_size"), strict=True)
)
NOT_COMPUTED_WITH = (  # patterns of names
    *("transformers_version", "architectures", "*name_or_path", "*dtype", "auto_map", "tokenizer_class", "prefix"),
    *("use_cache", "output_*", "return_dict*", "chunk_size_feed_forward", "gradient_checkpointing", "torchscript"),
    *("*attn_implementation*", "pretraining_tp", "use_bfloat16", "id2label", "label2id", "problem_type"),
    *("*_token_id", "finetuning_task", "task_specific_params"),
    *("initializer_range", "*dropout", "*_pdrop", "*_loss_coef", "summary_*"),  # of training, and of other heads
    *("device", "n_devices", "seed", "init_mode", "init_weights", "model_name", "n_params"),  # of TransformerLens
    *("original_architecture", "tokenizer_*", "default_p*", "checkpoint_*", "from_checkpoint", "trust_remote_code"),
)


def config_fields(file: Path) -> dict[str, Any]:
    """Name -> value of the fields that change the computation: sizes by our names, others by those of transformers.

    Fields that a file leaves out have the defaults of its architecture; those that the architecture does not know are
    left out. A field within a field is `rope_parameters.rope_theta`.

    Args:
        file: config.json.

    Raises:
        RefusedCheckpointError: for a file that is no config of a known architecture.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(file, trust_remote_code=False, local_files_only=True).get_text_config()
        known = type(config)().to_dict()
    except Exception as error:  # JSON and each config's own checks
        raise RefusedCheckpointError(
            file,
            f"cannot be read as a config ({first_line(error)}; {NOT_EXECUTED})",
            "copy it again",
        ) from error
    sizes = {name: getattr(config, theirs, None) for name, theirs in THEIRS.items()}
    named = {config.attribute_map.get(theirs, theirs) for theirs in THEIRS.values()}
    others = {name: value for name, value in config.to_dict().items() if name in known and name not in named}
    return sizes | dict(computed_with(others))


def computed_with(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name, value) of the fields that change the computation; one within another as `rope_parameters.rope_theta`.

    Args:
        values: of a config, of transformers or of TransformerLens.
    """
    yield from _flat({name: value for name, value in values.items() if not _is_left_out(name)})


def first_line(error: Exception) -> str:
    """Of what an error says, or its name."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _is_left_out(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in NOT_COMPUTED_WITH)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
