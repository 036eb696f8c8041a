"""What config.json says of a series of checkpoints from elsewhere: where it is, its steps, the sizes of its models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

MOST_CHECKPOINTS = 100_000
LONGEST = 4_096  # characters
LARGEST_SIZE = 10**9


@dataclass(frozen=True, kw_only=True)
class ModelSizes:
    """Of the models of a series; all of its checkpoints agree in them."""

    architecture: str
    n_layers: int
    n_heads: int
    d_model: int
    d_vocab: int
    n_ctx: int
    n_params: int


@dataclass(frozen=True, kw_only=True)
class SeriesRecord:
    """The reference of a run's folder to a series.

    Args:
        source: as it was named: `hub:EleutherAI/pythia-70m`, a folder, a pattern of files.
        options: the further words of the command that named it, `("--every", "10")`.
        checksums: step -> name of the weights, in the order of steps.
        model: its sizes.
        tokens_per_step: training tokens for each update; None where they are not known.
        findings: of an audit of what is beside the weights, each (kind, steps, message).
        configs: step -> name of the config that its model is computed with; none of a series that was noted before.
    """

    source: str
    options: tuple[str, ...]
    checksums: Mapping[int, str]
    model: ModelSizes
    tokens_per_step: int | None = None
    findings: tuple[tuple[str, tuple[int, ...], str], ...] = ()
    configs: Mapping[int, str] = field(default_factory=dict)

    @property
    def result_names(self) -> dict[int, str]:
        """Step -> what its results are stored under: the weights and the config that they were computed with."""
        return result_names(self.checksums, self.configs)

    @classmethod
    def from_dict(cls, values: Any) -> SeriesRecord:
        """Raises ValueError for what is no such record, with the reasons."""
        if reasons := list(_reasons(values)):
            raise ValueError("; ".join(reasons))
        checksums = {int(step): checksum for step, checksum in values["checksums"].items()}
        return cls(
            source=values["source"],
            options=tuple(values["options"]),
            checksums={step: checksums[step] for step in sorted(checksums)},
            model=ModelSizes(**values["model"]),
            tokens_per_step=values["tokens_per_step"],
            findings=tuple((kind, tuple(steps), said) for kind, steps, said in values.get("findings", ())),
            configs={int(step): config for step, config in values.get("configs", {}).items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `from_dict` takes them from JSON."""
        by_step = {"checksums": self.checksums, "configs": self.configs}
        return asdict(self) | {name: {str(step): each for step, each in of.items()} for name, of in by_step.items()}


def result_names(checksums: Mapping[int, str], configs: Mapping[int, str]) -> dict[int, str]:
    """Step -> what its results are stored under.

    Args:
        checksums: step -> name of the weights.
        configs: step -> name of the config; empty, or without the step, where weights are bound to it.
    """
    return {step: "-".join(filter(None, (each, configs.get(step)))) for step, each in checksums.items()}


def _reasons(values: Any) -> Iterator[str]:
    names = [each.name for each in fields(SeriesRecord)]
    if not isinstance(values, dict) or values.keys() | {"findings", "configs"} != set(names):
        yield f"series must have the fields {', '.join(names)}"
        return
    if not _is_text(values["source"]):
        yield "series.source must be a text"
    if not isinstance(values["options"], list) or not all(map(_is_text, values["options"])):
        yield "series.options must be a list of texts"
    checksums, configs = values["checksums"], values.get("configs", {})
    if not isinstance(checksums, dict) or not 0 < len(checksums) <= MOST_CHECKPOINTS:
        yield f"series.checksums must have 1 to {MOST_CHECKPOINTS:,} steps"
    elif not _is_by_step(checksums):
        yield "series.checksums must have a text for each step"
    if not isinstance(configs, dict) or len(configs) > MOST_CHECKPOINTS or not _is_by_step(configs):
        yield f"series.configs must have a text for each of at most {MOST_CHECKPOINTS:,} steps"
    per_step = values["tokens_per_step"]
    if per_step is not None and not _is_size(per_step):
        yield f"series.tokens_per_step must be within 1..{LARGEST_SIZE:,}, or null"
    found = values.get("findings", [])
    if not isinstance(found, list) or not all(map(_is_finding, found)):
        yield "series.findings must be a list of [kind, steps, message]"
    yield from _reasons_of_model(values["model"])


def _reasons_of_model(values: Any) -> Iterator[str]:
    names = [each.name for each in fields(ModelSizes)]
    if not isinstance(values, dict) or values.keys() != set(names):
        yield f"series.model must have the fields {', '.join(names)}"
        return
    if not _is_text(values["architecture"]):
        yield "series.model.architecture must be a text"
    for name in names[1:]:
        most = 10**13 if name == "n_params" else LARGEST_SIZE
        if type(values[name]) is not int or not 1 <= values[name] <= most:
            yield f"series.model.{name} must be within 1..{most:,}, got {values[name]!r}"


def _is_by_step(values: dict[str, Any]) -> bool:
    return all(step.isdecimal() and len(step) < 19 and _is_text(each) for step, each in values.items())


def _is_finding(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    kind, steps, said = value
    return isinstance(steps, list) and all(type(step) is int for step in steps) and _is_text(kind) and _is_text(said)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST


def _is_size(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LARGEST_SIZE
