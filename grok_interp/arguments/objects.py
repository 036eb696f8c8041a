"""Objects that callers give, told by the names of their classes: this module imports none of them.

    CopyingAccuracy                     an object of that class
    Sequence[CopyingAccuracy]           a list of them; as Iterable also a generator, which is read one by one
    Sequence[tuple[A, B]]               a list of pairs
    Mapping[Path, TrainConfig]          a mapping to them
    Path | str                          a path
    Float[np.ndarray, " point"]         finite numbers along one axis, as an array; Integer: whole ones

Anything else is refused with the argument's name, what it must be, what came, and the call that makes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any

Rule = Callable[[Any, str], Any]  # (value, name of the argument) -> the value

MADE_BY = {
    "AlgorithmAgreement": "algorithm_agreement(...)",
    "AlignedCurves": "aligned_curves(...)",
    "AttentionMaps": "attention_maps(...)",
    "Batches": "open_batches(config)",
    "CirclePCA": "circle_pca(...)",
    "Circularity": "circularity(...)",
    "CopyingAccuracy": "copying_accuracy(...)",
    "CopyingDiagram": "copying_diagram(...)",
    "CopySamples": "CopyTask.fitting(n_ctx, n_samples=100).sample()",
    "CosineSimilarity": "cosine_similarity(...)",
    "DataArray": "result[name]",
    "Drawing": "draw(result)",
    "Edge": "Edge((0, 1), (1, 0))",
    "EnsembleState": "EnsembleState([TrainingState(config)])",
    "EdgeAblation": "edge_ablation(...)",
    "EmbeddingPCA": "embedding_pca(...)",
    "Estimate": "emergence(curve).onset",
    "FormationOrder": "formation_order(...)",
    "FourierLoss": "fourier_losses(...)",
    "FourierSpectrum": "fourier_spectrum(...)",
    "Generator": "np.random.default_rng(0)",
    "GridComparison": "grid_comparison(...)",
    "HeadAblation": "head_ablation(...)",
    "HeadScores": "head_scores(...)",
    "InductionScores": "induction_scores(...)",
    "Kaleidoscope": "kaleidoscope(...)",
    "LeadingIndicators": "leading_indicators(...)",
    "LogitAttribution": "direct_logit_attribution(...)",
    "MLPActivations": "mlp_activations(...)",
    "ModelConfig": "preset(name)",
    "ModularTasks": "ModularTasks.draw(config.data)",
    "Module": "the torch model itself",
    "NaturalCopying": "natural_copying(...)",
    "Noise": "Noise(rhos)",
    "OwnOptimizer": "OwnOptimizer(lambda model: torch.optim.SGD(model.parameters(), lr=0.1))",
    "PhaseDiagram": "phase_diagram(...)",
    "PhaseProbabilities": "phases(...)",
    "PositionLoss": "position_losses(...)",
    "Run": "Run.open(folder)",
    "ShotCurves": "shot_curve(...)",
    "SingleAblation": "single_ablation(...)",
    "Tensor": "torch.load(file, weights_only=True)",
    "TopFrequencyFraction": "top_frequency_fraction(...)",
    "TrainConfig": "training_preset(name)",
    "TrainingState": "TrainingState(config)",
    "TrainingCurves": "training_curves(...)",
    "Transformer": "Transformer(preset(name), seed=0)",
}
PROTOCOLS = {"Batches": ("batch", "loss", "hash")}  # what an object of no class of ours needs
ARRAY = re.compile(r"""(Float|Integer)\[np\.ndarray, ["']([\w ]+)["']\]""")
LISTING = re.compile(r"(Sequence|Iterable)\[(?:tuple\[)?(\w+(?:, \w+)*)\]+")
MAPPING = re.compile(r"Mapping\[\w+, (\w+)\]")
PATHS = ("Path", "Path | str", "str | Path")


def rule_of_objects(kind: str) -> Rule | None:
    """How an argument with this annotation is checked; None where this module has no rule.

    Args:
        kind: the annotation as it is written, without "| None".
    """
    kind = kind.replace("xr.", "").removeprefix("np.random.").removeprefix("nn.")
    if kind in PATHS:
        return path_of
    if kind in MADE_BY:
        return partial(made_by, kind=kind)
    if array := ARRAY.fullmatch(kind):
        return partial(array_of_numbers, n_axes=len(array[2].split()), whole=array[1] == "Integer")
    if (mapping := MAPPING.fullmatch(kind)) and mapping[1] in MADE_BY:
        return partial(mapped_to, kind=mapping[1])
    if (listing := LISTING.fullmatch(kind)) and all(each in MADE_BY for each in listing[2].split(", ")):
        return partial(listed, kinds=listing[2].split(", "), one_by_one=listing[1] == "Iterable")
    return None


def made_by(value: Any, name: str, kind: str) -> Any:
    """The object.

    Args:
        value: what was given.
        name: of the argument, for the message.
        kind: the name of its class, one of `MADE_BY`.

    Raises:
        ValueError: for an object of another class.
    """
    if not _is_a(value, kind):
        found = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise ValueError(f"{name} must be {kind}, got {found}: use {MADE_BY[kind]}")
    return value


def listed(values: Any, name: str, kinds: Sequence[str], *, one_by_one: bool = False) -> Iterable[Any]:
    """The objects as a list.

    Args:
        values: a list, a tuple or a generator.
        name: of the argument, for the message.
        kinds: the name of the class of each, or of several the names of the classes in a tuple.
        one_by_one: as a generator instead, which checks each when it is read.

    Raises:
        ValueError: for anything else.
    """
    if not is_listing(values):
        raise _no_listing(type(values).__name__, name, kinds)
    each = _each_of(values, name, kinds)
    return each if one_by_one else list(each)


def mapped_to(values: Any, name: str, kind: str) -> Mapping[Any, Any]:
    """The mapping.

    Args:
        values: what was given.
        name: of the argument, for the message.
        kind: the name of the class of its values, one of `MADE_BY`.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{name} must be a mapping to {kind}, got {type(values).__name__}: use {MADE_BY[kind]}")
    for key, value in values.items():
        if not isinstance(value, Mapping):  # a dict around weights is told by what reads them, with what it misses
            made_by(value, f"{name}[{key!r}]", kind)
    return values


def path_of(value: Any, name: str) -> Any:
    """The path.

    Args:
        value: what was given.
        name: of the argument, for the message.

    Raises:
        ValueError: for what is neither a path nor a string.
    """
    if not isinstance(value, str | PathLike):
        raise ValueError(f'{name} must be a path such as "runs/demo", got {shown(value)}')
    return value


def array_of_numbers(values: Any, name: str, n_axes: int, *, whole: bool = False) -> Any:
    """As an array of floats, or of integers.

    Args:
        values: a list, or an array of any library.
        name: of the argument, for the message.
        n_axes: that it has.
        whole: integers are needed; floats are refused.

    Raises:
        ValueError: for another number of axes, and for what is no finite number.
    """
    import numpy as np

    try:
        array = np.asarray(values)
    except ValueError:  # rows of several lengths
        array = np.array(None)
    kinds, noun = ("iu", "whole") if whole else ("iuf", "finite")
    if array.ndim != n_axes or array.dtype.kind not in kinds or not np.isfinite(array).all():
        axes = "one axis" if n_axes == 1 else f"{n_axes} axes"
        raise ValueError(f"{name} must be an array of {noun} numbers with {axes}, got {shown(values)}")
    return array if whole else array.astype(float)


def is_listing(values: Any) -> bool:
    """Something that can be read one after the other, and no text and no mapping; an array of no axis cannot.

    Args:
        values: what was given.
    """
    is_scalar = getattr(values, "ndim", 1) == 0
    return isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping) and not is_scalar


def require_some(values: Sequence[Any], name: str) -> None:
    """Refuses an empty list.

    Args:
        values: what was given.
        name: of the argument, for the message.

    Raises:
        ValueError: if there is nothing in it.
    """
    if not values:
        raise ValueError(f"{name} must be a list of one or more, got {shown(values)}")


def shown(value: Any) -> str:
    """What was given, for a message: its beginning and its type.

    Args:
        value: anything.
    """
    text = " ".join(repr(value).split())
    return (text if len(text) <= 80 else f"{text[:77]}...") + f" ({type(value).__name__})"


def _is_a(value: Any, kind: str) -> bool:
    is_instance = kind in (each.__name__ for each in type(value).__mro__)
    needed = PROTOCOLS.get(kind)
    return is_instance or bool(needed and not isinstance(value, type) and all(hasattr(value, each) for each in needed))


def _each_of(values: Iterable[Any], name: str, kinds: Sequence[str]) -> Iterator[Any]:
    for value in values:
        parts = [value] if len(kinds) == 1 else list(value) if is_listing(value) else []
        if len(parts) != len(kinds) or not all(map(_is_a, parts, kinds)):
            found = ", ".join(type(part).__name__ for part in parts) or type(value).__name__
            raise _no_listing(f"one with {found if len(kinds) == 1 else f'({found})'}", name, kinds)
        yield value


def _no_listing(found: str, name: str, kinds: Sequence[str]) -> ValueError:
    wanted, makers = ", ".join(kinds), ", ".join(MADE_BY[kind] for kind in kinds)
    if len(kinds) > 1:
        wanted, makers = f"({wanted})", f"({makers})"
    return ValueError(f"{name} must be a list of {wanted}, got {found}: use [{makers}]")
