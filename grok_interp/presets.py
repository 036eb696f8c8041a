"""Named configurations: `preset("copier-mini")` is a model, `training_preset("copier-mini")` a whole run of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from grok_interp.arguments.strings import text
from grok_interp.configs import (
    BYTE_VOCABULARY_SIZE,
    DataConfig,
    ModelConfig,
    ModularConfig,
    TextConfig,
    TrainConfig,
    llama_copier,
    modular_gpt,
)
from grok_interp.configs.data import plugin_sources
from grok_interp.configs.schedules import dense_steps, join_steps, linear_steps, logarithmic_steps

Config = TypeVar("Config", ModelConfig, TrainConfig)
Part = TypeVar("Part")


def modular_paper(*, n_layers: int, n_id: int, alpha: float) -> TrainConfig:
    """The modular paper's setting (B.2) at p = 29; checkpoints dense early and at every 2,500 steps."""
    return TrainConfig(
        model=modular_gpt(n_layers=n_layers),
        data=ModularConfig(p=29, n_id=n_id, alpha=alpha),
        n_steps=200_000,
        batch_size=1024,
        learning_rate=1.5e-4,
        warmup_steps=10_000,
        warmup_start_factor=0.01,
        betas=(0.9, 0.98),
        weight_decay=2.0,
        max_grad_norm=None,
        precision="bfloat16",
        checkpoint_steps=join_steps(logarithmic_steps(2_500, per_decade=4), linear_steps(200_000, every=2_500)),
    )


def copier_with_copies(model: ModelConfig, *, n_steps: int, checkpoint_steps: tuple[int, ...]) -> TrainConfig:
    """The laptop recipe: copied spans and random windows in the training text, Muon on the hidden matrices."""
    return TrainConfig(
        model=model,
        data=TextConfig(copy_fraction=0.8, random_fraction=0.4),
        n_steps=n_steps,
        batch_size=16,
        optimizer="muon",
        muon_learning_rate=0.02,
        learning_rate=6e-3,
        warmup_steps=100,
        betas=(0.9, 0.99),
        weight_decay=0.1,
        precision="auto",
        checkpoint_steps=checkpoint_steps,
    )


DESCRIBED: dict[str, tuple[str, TrainConfig]] = {  # each for who chooses one
    # The paper gives no schedule after warm-up and no weight decay: cosine to 0.1 and none are our reading. Its subset
    # of RedPajama is not published: choose the text with --data.source.
    "copier-paper": (
        "12 layers, 162M parameters: the copying paper's model. Needs a GPU and --data.source.",
        TrainConfig(
            model=llama_copier(n_layers=12, n_heads=12, d_model=768, d_mlp=3072, d_vocab=32_000, n_ctx=1024),
            data=TextConfig(vocabulary="bpe"),
            n_steps=76_294,
            batch_size=512,
            micro_batch_size=64,
            learning_rate=2e-4,
            warmup_steps=2_000,
            precision="bfloat16",
            checkpoint_steps=join_steps(logarithmic_steps(76_294, per_decade=4), linear_steps(76_294, every=1_000)),
        ),
    ),
    # The smallest found in which copying emerges on a laptop (dev/LOG.md): 5 of the test's strings fit the context.
    # Heads of 32 features tell strings apart better than heads of 16 = d_model / n_heads.
    "copier-mini": (
        "3 layers, 233k parameters: copying on a laptop in minutes. The demo.",
        copier_with_copies(
            llama_copier(
                n_layers=3, n_heads=4, d_head=32, d_model=64, d_mlp=176, d_vocab=BYTE_VOCABULARY_SIZE, n_ctx=128
            ),
            n_steps=4_000,
            checkpoint_steps=join_steps(
                logarithmic_steps(100, per_decade=3), linear_steps(1_000, every=50), linear_steps(4_000, every=100)
            ),
        ),
    ),
    # More layers and heads, so that induction heads form in several layers; dense checkpoints where they do.
    "copier-deep": (
        "6 layers, 8 heads, 728k parameters: in which order induction heads form.",
        copier_with_copies(
            llama_copier(n_layers=6, n_heads=8, d_model=96, d_mlp=264, d_vocab=BYTE_VOCABULARY_SIZE, n_ctx=128),
            n_steps=2_000,
            checkpoint_steps=join_steps(linear_steps(2_000, every=100), dense_steps(center=750, width=450, every=10)),
        ),
    ),
    "copier-tiny": (
        "2 layers, 13k parameters, 20 updates: a check that everything runs.",
        TrainConfig(
            model=llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=BYTE_VOCABULARY_SIZE, n_ctx=64),
            data=TextConfig(copy_fraction=0.5),
            n_steps=20,
            batch_size=4,
            learning_rate=3e-3,
            warmup_steps=5,
            checkpoint_steps=linear_steps(20, every=5),
        ),
    ),
    # 6.32, 12.62 and 18.91 million parameters (B.2)
    "modular-paper-d2": (
        "2 layers, 6.3M parameters: modular arithmetic at p = 29, as in the paper. Needs a GPU.",
        modular_paper(n_layers=2, n_id=512, alpha=0.6),
    ),
    "modular-paper-d4": (
        "4 layers, 12.6M parameters: the same. Needs a GPU.",
        modular_paper(n_layers=4, n_id=512, alpha=0.8),
    ),
    "modular-paper-d6": (
        "6 layers, 18.9M parameters: the same. Needs a GPU.",
        modular_paper(n_layers=6, n_id=256, alpha=0.6),
    ),
    # A curriculum of contexts, then uniform contexts; many tasks, so that they are hard to memorize (dev/LOG.md).
    # Weights start about sqrt(512 / 64) times as large as the paper's.
    "modular-p11": (
        "4 layers, 198k parameters: modular arithmetic at p = 11, Ratio Matching then Modular Regression.",
        TrainConfig(
            model=modular_gpt(n_layers=4, d_model=64, d_vocab=11, n_ctx=36, initializer_range=0.06),
            data=ModularConfig(
                p=11,
                n_id=104,
                alpha=0.8,
                rule="random",
                repeat_probability=0.25,
                line_probability=0.6,
                curriculum_steps=(3_500, 6_000),
            ),
            n_steps=26_000,
            batch_size=416,
            optimizer="muon",
            muon_learning_rate=0.02,
            learning_rate=2e-3,
            warmup_steps=100,
            betas=(0.9, 0.98),
            weight_decay=0.04,
            max_grad_norm=None,
            precision="auto",
            checkpoint_steps=join_steps(logarithmic_steps(500, per_decade=3), linear_steps(26_000, every=500)),
        ),
    ),
    "modular-tiny": (
        "2 layers, 6k parameters, 20 updates: a check that everything runs.",
        TrainConfig(
            model=modular_gpt(n_layers=2, d_model=16, n_heads=2, d_vocab=5, n_ctx=24),
            data=ModularConfig(p=5, n_id=8, alpha=0.6, rule="random"),
            n_steps=20,
            batch_size=16,
            learning_rate=2e-3,
            warmup_steps=5,
            checkpoint_steps=linear_steps(20, every=5),
        ),
    ),
}


class Presets(Mapping[str, Part]):
    """Name -> a part of each preset, the package's first; those of other packages are loaded when they are needed."""

    def __init__(self, part: Callable[[str, TrainConfig], Part]) -> None:
        self.part = part

    def __getitem__(self, name: str) -> Part:
        return self.part(*(DESCRIBED[name] if name in DESCRIBED else _of_plugins()[name]))

    def __iter__(self) -> Iterator[str]:
        yield from DESCRIBED
        yield from _of_plugins()

    def __len__(self) -> int:
        return len(list(iter(self)))


def own_presets(data: type[DataConfig]) -> dict[str, tuple[str, TrainConfig]]:
    """The package's presets on a kind of data: name -> (description, run)."""
    return {name: described for name, described in DESCRIBED.items() if isinstance(described[1].data, data)}


def _of_plugins() -> dict[str, tuple[str, TrainConfig]]:
    found: dict[str, tuple[str, TrainConfig]] = {}
    for source in plugin_sources():
        if taken := source.presets.keys() & (DESCRIBED.keys() | found.keys()):
            raise ValueError(
                f"the study {source.name} has presets whose names are taken: {', '.join(sorted(taken))}; rename them, "
                "or uninstall the package that brings it"
            )
        found |= source.presets
    return found


DESCRIPTIONS = Presets(lambda description, _: description)
TRAINING_PRESETS = Presets(lambda _, run: run)
PRESETS = Presets(lambda _, run: run.model)


def preset(name: str) -> ModelConfig:
    """The model configuration of that name.

    Args:
        name: of `PRESETS`; `grok-interp list presets` shows them.

    Returns:
        Its configuration.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.

    Example:
        >>> preset("copier-mini").n_layers
        3
    """
    return _known(PRESETS, name)


def training_preset(name: str) -> TrainConfig:
    """The training configuration of that name.

    Args:
        name: of `TRAINING_PRESETS`; `grok-interp list presets` shows them.

    Returns:
        Its configuration.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.

    Example:
        >>> training_preset("copier-mini").n_steps
        4000
    """
    return _known(TRAINING_PRESETS, name)


def _known(presets: Mapping[str, Config], name: str) -> Config:
    if text(name, "name", "copier-mini") not in presets:
        raise ValueError(f"no preset {name!r}: there are {', '.join(presets)}")
    return presets[name]
