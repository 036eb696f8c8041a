"""Names of published files: those of the official repository, read by eye."""

import pytest
import torch

from grok_interp import ModularConfig, ModularTasks
from grok_interp.models.published_names import published_file

OFFICIAL = [
    "noembdFalse_paraleTrue_pltask384_rope_decoder_p29_base29_row32_ntask384_nvar2_dsplitTrue_dfrac80.0_relu_n512_h4_d4"
    "_lctx512_I1_dI0_adamw_bs1536_t200000_T200000_Tw10000_lr1.50e-04_wd2.00e+00.pth",
    "noembdFalse_paraleTrue_pltask512_rope_decoder_p29_base29_row32_ntask512_nvar2_dsplitTrue_dfrac60.0_relu_n512_h4_d2"
    "_lctx512_I2_dI0_adamw_bs1024_t200000_T200000_Tw10000_lr1.50e-04_wd2.00e+00.pth",
]


def test_the_official_names_read_by_eye() -> None:
    first, second = (published_file(name) for name in OFFICIAL)
    assert (first.p, first.n_id, first.alpha, first.task_seed, first.input_seed) == (29, 384, 0.8, 1, 0)
    assert (first.n_layers, first.n_heads, first.d_model, first.n_ctx, first.act_name) == (4, 4, 512, 96, "relu")
    assert (second.n_id, second.alpha, second.task_seed, second.n_layers) == (512, 0.6, 2, 2)
    assert first.step == first.n_steps == 200_000


@pytest.mark.parametrize("act_name", ["relu", "gelu", "swiglu"])
@pytest.mark.parametrize("prefix", ["", "act_name_"])
def test_step_and_activation_are_read(prefix: str, act_name: str) -> None:
    name = OFFICIAL[0].replace("_relu_", f"_{prefix}{act_name}_").replace("_t200000_", "_t37_")
    file = published_file(f"some/folder/{name}")
    assert (file.act_name, file.step, file.n_steps) == (act_name, 37, 200_000)
    assert published_file(name.replace("_t37_", "_")).step == 200_000


def test_the_tasks_are_those_of_the_published_rule() -> None:
    name = OFFICIAL[0].replace("_p29_", "_p11_").replace("task384", "task64")
    tasks = ModularTasks.draw(published_file(name).tasks)
    expected = ModularTasks.draw(ModularConfig(p=11, n_id=64, alpha=0.8, rule="published", task_seed=1, input_seed=0))
    assert torch.equal(tasks.id_tasks, expected.id_tasks) and torch.equal(tasks.train_inputs, expected.train_inputs)


@pytest.mark.parametrize("change", [("paraleTrue", "paraleFalse"), ("pltask384", "pltask256")])
def test_tasks_that_the_name_does_not_determine_are_refused(change: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="files with paraleTrue and pltask equal to ntask"):
        _ = published_file(OFFICIAL[0].replace(*change)).tasks


def test_another_name_is_refused_with_what_is_missing() -> None:
    with pytest.raises(ValueError, match="'model.pth' is not the name of a published checkpoint: no p, n_po"):
        published_file("runs/model.pth")
    with pytest.raises(ValueError, match="no act_name in it"):
        published_file(OFFICIAL[0].replace("_relu_", "_tanh_"))
