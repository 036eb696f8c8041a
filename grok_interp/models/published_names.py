"""Names of the published checkpoint files of "Learning to grok": what a file's name says and its tensors do not.

    noembdFalse_paraleTrue_pltask384_rope_decoder_p29_base29_row32_ntask384_nvar2_dsplitTrue_dfrac80.0_relu_n512_h4_d4_
    lctx512_I1_dI0_adamw_bs1536_t200000_T200000_Tw10000_lr1.50e-04_wd2.00e+00.pth

The activation is between `dfrac` and the width, `_t` is the step of the checkpoint and `_T` the steps of the training.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from grok_interp.arguments import checked
from grok_interp.configs import ModularConfig
from grok_interp.models.published import ACTIVATIONS

FIELDS = {  # part of the name -> what stands there
    "p": r"_p(\d+)_",
    "n_point_per_row": r"_row(\d+)_",
    "n_tasks_pl": r"_pltask(\d+)_",
    "n_tasks": r"_ntask(\d+)_",
    "data_pct": r"_dfrac(\d+(?:\.\d+)?)_",
    "act_name": rf"_(?:act_name_)?({'|'.join(ACTIVATIONS)})_",
    "n_embd": r"_n(\d+)_",
    "n_head": r"_h(\d+)_",
    "n_layer": r"_d(\d+)_",
    "seed": r"_I(\d+)_",
    "data_seed": r"_dI(\d+)_",
    "steps": r"_T(\d+)_",
}
STEP = r"_t(\d+)_"  # absent where only the last checkpoint was kept
ONE_AFTER_ANOTHER = 3  # tokens of an example: x, y, z


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """What the name of a published checkpoint says, in this package's words.

    Attributes:
        step: updates made; that of the whole training where the name has no step.
        n_steps: updates of the whole training.
        act_name: "relu", "gelu" or "swiglu", as `from_published` takes it.
        n_layers, n_heads, d_model: sizes of the model.
        n_ctx: tokens of a training sequence.
        p, n_id, alpha: modulus, tasks trained on, fraction of the inputs trained on.
        task_seed, input_seed: what its tasks and inputs were drawn with.
        by_the_rule: False where some tasks were drawn on their own (`n_tasks_rd`, no parallelogram).
    """

    step: int
    n_steps: int
    act_name: str
    n_layers: int
    n_heads: int
    d_model: int
    n_ctx: int
    p: int
    n_id: int
    alpha: float
    task_seed: int
    input_seed: int
    by_the_rule: bool

    @property
    def tasks(self) -> ModularConfig:
        """The tasks and inputs that the model was trained on, for `ModularTasks.draw`.

        Raises:
            ValueError: if the tasks were not drawn by the published rule alone.
        """
        if not self.by_the_rule:
            raise ValueError(
                "tasks can be drawn again for files with paraleTrue and pltask equal to ntask: this model was also "
                "trained on tasks drawn on their own, which its name does not determine"
            )
        return ModularConfig(
            p=self.p,
            n_id=self.n_id,
            alpha=self.alpha,
            rule="published",
            task_seed=self.task_seed,
            input_seed=self.input_seed,
        )


@checked
def published_file(path: str | Path) -> PublishedFile:
    """Read the name of a published checkpoint; the file itself is not opened.

    Args:
        path: a file name of the official code, with or without folders.

    Returns:
        A `PublishedFile`.

    Raises:
        ValueError: if the name lacks any of the parts, which it names.

    Example:
        >>> file = published_file(
        ...     "noembdFalse_paraleTrue_pltask384_rope_decoder_p29_base29_row32_ntask384_nvar2_dsplitTrue_dfrac80.0"
        ...     "_gelu_n512_h4_d4_lctx512_I1_dI0_adamw_bs1536_t100000_T200000_Tw10000_lr1.50e-04_wd2.00e+00.pth"
        ... )
        >>> file.step, file.act_name, file.tasks.n_id, file.tasks.alpha
        (100000, 'gelu', 384, 0.8)
    """
    name = Path(path).name
    found = {field: re.search(pattern, name) for field, pattern in FIELDS.items()}
    if missing := [field for field, match in found.items() if match is None]:
        raise ValueError(f"{name!r} is not the name of a published checkpoint: no {', '.join(missing)} in it")
    said = {field: match[1] for field, match in found.items() if match is not None}
    step = re.search(STEP, name)
    return PublishedFile(
        step=int(step[1] if step else said["steps"]),
        n_steps=int(said["steps"]),
        act_name=said["act_name"],
        n_layers=int(said["n_layer"]),
        n_heads=int(said["n_head"]),
        d_model=int(said["n_embd"]),
        n_ctx=ONE_AFTER_ANOTHER * int(said["n_point_per_row"]),
        p=int(said["p"]),
        n_id=int(said["n_tasks"]),
        alpha=float(said["data_pct"]) / 100,
        task_seed=int(said["seed"]),
        input_seed=int(said["data_seed"]),
        by_the_rule="_paraleTrue_" in name and said["n_tasks_pl"] == said["n_tasks"],
    )
