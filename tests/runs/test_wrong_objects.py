"""What is no model, optimizer or function where one is needed: refused when it is given, or when it is returned."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
import xarray as xr
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR

from grok_interp import (
    CheckpointSeries,
    OwnOptimizer,
    TorchAdapter,
    Transformer,
    attention_view,
    audit,
    load_reference,
    modular_gpt,
    on_paper,
    plots,
    preset,
    run_training,
)
from grok_interp.configs import TrainConfig
from grok_interp.engines.local import LocalEngine
from grok_interp.plots.drawing import Drawing
from grok_interp.plots.pictures.head_map import head_map
from grok_interp.runs.refused import RefusedCheckpointError
from grok_interp.studies.sweep import Sweep

SIZES: dict[str, Any] = dict(n_layers=1, n_heads=1, d_model=2, d_vocab=3, n_ctx=4)


@pytest.fixture(autouse=True)
def without_type_checker() -> Iterator[None]:
    """Callers have none: the package itself must refuse."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def built_as(found: Any) -> OwnOptimizer:
    return OwnOptimizer(lambda model: found)


def scheduled_as(found: Any) -> OwnOptimizer:
    return OwnOptimizer(lambda model: SGD(model.parameters(), lr=0.1), lambda optimizer: found)


def scheduled_by(schedule: Any) -> OwnOptimizer:
    return OwnOptimizer(lambda model: SGD(model.parameters(), lr=0.1), schedule)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"own": SGD}, "own must be OwnOptimizer, got the class SGD: use OwnOptimizer(lambda model: torch.optim.SGD("),
        ({"own": 5}, "own must be OwnOptimizer, got int: use OwnOptimizer("),
        ({"own": built_as(5)}, "build must return a torch optimizer, got 5 (int), which has no step, state_dict"),
        ({"own": built_as(SGD)}, "(type), which has no param_groups: return one of torch.optim"),
        ({"own": scheduled_as(None)}, "schedule must return a torch scheduler, got None (NoneType), which has no step"),
        ({"evaluate": 5}, "evaluate must be a function, got 5 (int): give the function itself, not its result"),
        ({"evaluate": lambda step, model: 5}, "evaluate must return names with numbers, "),
        ({"evaluate": lambda step, model: 0}, "or None, got 0 (int) at step 0: put the number under a name"),
        ({"evaluate": lambda step, model: {5: 1.0}}, "got [5] among {5: 1.0} (dict) at step 0: names are strings"),
        ({"evaluate": lambda step, model: {"a": torch.ones(2)}}, "got ['a'] among {'a': tensor([1., 1.])} (dict)"),
        ({"evaluate": lambda step, model: {"a": 1j}}, "got ['a'] among {'a': 1j} (dict) at step 0"),
        ({"evaluate": lambda step, model: {"a": 10**400}}, "got ['a'] among "),
        ({"evaluate": lambda step: {}}, "evaluate must be a function that is called with 2 arguments, got one that"),
        ({"on_update": {}}, "on_update must be a function, got {} (dict)"),
        (
            {"on_update": lambda: 0},
            "on_update must be a function that is called with 1 argument, got one that",
        ),
        (
            {"on_start": lambda a, b: 0},
            "on_start must be a function that is called with 1 argument, got one that",
        ),
        ({"compiled": "x"}, "compiled must be True or False, got 'x'"),
        ({"sharded": 5}, "sharded must be True or False, got 5 (int)"),
        ({"device": 5}, 'device must be a torch device such as "cpu" or "cuda", got 5'),
        ({"device": "gpu"}, 'device must be a torch device such as "cpu" or "cuda", got \'gpu\''),
        (
            {"track": "tensorboard"},
            "track must be a list of tensorboard, trackio, got 'tensorboard' (str): give track",
        ),
        ({"track": ("wandb",)}, "track must be a list of tensorboard, trackio, got ('wandb',) (tuple)"),
        ({"track": 5}, "track must be a list of tensorboard, trackio, got 5 (int)"),
        ({"resume_seconds": "20"}, "resume_seconds must be a finite number, got '20' (str)"),
        (
            {"own": OwnOptimizer(SGD)},
            "build raised TypeError ('Transformer' object is not iterable): it is called with",
        ),
        ({"own": scheduled_by(StepLR)}, "schedule raised TypeError (StepLR.__init__() missing 1 required positional"),
    ],
)
def test_training_refuses_what_it_cannot_use(
    tiny: TrainConfig, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        run_training(tmp_path / "run", tiny, **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"build": 5}, "build must be a function, got 5 (int)"),
        ({"build": SGD, "schedule": 5}, "schedule must be a function, got 5 (int)"),
        ({"build": SGD, "name": 5}, "name must be a string such as 'sgd', got 5 (int)"),
    ],
)
def test_an_own_optimizer_is_made_of_functions(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        OwnOptimizer(**given)


@pytest.mark.parametrize("wrong", [5, None, "model.pt", {"w": torch.ones(2)}, Transformer])
def test_what_is_no_model_is_refused_in_memory_and_for_files(wrong: Any, tmp_path: Path) -> None:
    model = Transformer(preset("copier-tiny"), seed=0)
    with pytest.raises(ValueError, match=r"pairs must be .* got .* as the model at step 7: give a Transformer"):
        CheckpointSeries.from_models([(0, model), (7, wrong)])
    (tmp_path / "model_0.pt").touch()
    if wrong is not None:
        with pytest.raises(
            ValueError, match=r"model must be what state dicts are loaded into, got .*: give a Transformer"
        ):
            CheckpointSeries.from_files(tmp_path / "model_{step}.pt", model=wrong)


def test_what_is_no_function_cannot_load_files(tmp_path: Path) -> None:
    (tmp_path / "model_0.pt").touch()
    wrongs: tuple[Any, ...] = (5, 0)
    for wrong in wrongs:
        with pytest.raises(ValueError, match=rf"load must be a function, got {wrong} \(int\)"):
            CheckpointSeries.from_files(tmp_path / "model_{step}.pt", load=wrong)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, "a model or a state dict, got None (NoneType): return a hooked model, a Hugging Face model, or a dict"),
        ("model", "a model or a state dict, got 'model' (str): return a hooked model"),
        ([torch.ones(2)], "a model or a state dict, got [tensor([1., 1.])] (list): return a hooked model"),
        (
            {"model": {"w": torch.ones(2)}, "step": 5},
            "a state dict, got one in a dict: return what is under 'model'",
        ),
    ],
)
def test_what_load_returns_is_refused_where_it_is_read(returned: Any, expected: str, tmp_path: Path) -> None:
    (tmp_path / "model_0.pt").touch()
    series = CheckpointSeries.from_files(tmp_path / "model_{step}.pt", load=lambda path: returned)
    message = re.escape(f"model_0.pt cannot be read: load must return {expected}")
    for read in (series.load, series.weights):
        with pytest.raises(RefusedCheckpointError, match=message):
            read(0)
    assert [each.kind for each in audit(series).findings] == ["unreadable"]


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({"a": 1}, "1 (int) under 'a'"),
        ({"a": [1]}, "[1] (list) under 'a'"),
        ({"weight": None, "bias": None}, "None (NoneType) under 'weight'"),
        ({}, "nothing"),
    ],
)
def test_what_load_returns_under_the_names_must_be_tensors(state: dict, found: str, tmp_path: Path) -> None:
    for step in (0, 1):
        (tmp_path / f"model_{step}.pt").write_text(str(step))
    weights = {"weight": torch.ones(1, 1), "bias": torch.ones(1)}
    expected = f"model_0.pt must hold a state dict, which maps names of weights to dense tensors, got {found}: return"
    for model in (None, torch.nn.Linear(1, 1)):
        series = CheckpointSeries.from_files(
            tmp_path / "model_{step}.pt", model=model, load=lambda path: state if path.stem[-1] == "0" else weights
        )
        for read in (series.load, series.weights):
            with pytest.raises(RefusedCheckpointError, match=re.escape(expected)):
                read(0)
        assert [(each.kind, each.steps) for each in audit(series).findings] == [("unreadable", (0,))]


def test_a_model_without_values_is_refused_where_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "model_0.pt").touch()
    empty = Transformer(preset("copier-tiny"), seed=0).to("meta")
    with pytest.raises(ValueError, match="expected a model whose weights have values, got Transformer with 15 of 15"):
        CheckpointSeries.from_files(tmp_path / "model_{step}.pt", model=empty)
    series = CheckpointSeries.from_files(tmp_path / "model_{step}.pt", load=lambda path: empty)
    for read in (series.load, series.weights):
        with pytest.raises(RefusedCheckpointError, match="got a meta tensor under 'embed.weight': return such"):
            read(0)
    assert [each.kind for each in audit(series).findings] == ["unreadable"]


def test_an_error_of_load_names_the_file_and_whose_it_is(tmp_path: Path) -> None:
    (tmp_path / "model_0.pt").touch()

    def load(path: Path) -> Any:
        return {"weights": 1}["model"]

    series = CheckpointSeries.from_files(tmp_path / "model_{step}.pt", load=load)
    expected = r"model_0.pt cannot be read: load, the function that was given, raised KeyError\('model'\): correct that"
    for read in (series.load, series.weights):
        with pytest.raises(ValueError, match=expected) as refused:
            read(0)
        assert isinstance(refused.value.__cause__, KeyError)
    assert [each.kind for each in audit(series).findings] == ["unreadable"]
    with pytest.raises(ValueError, match=r"load must be a function that is called with 1 argument, got one that"):
        CheckpointSeries.from_files(tmp_path / "model_{step}.pt", load=lambda: None)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transformer(5), "cfg must be ModelConfig, got int: use preset(name)"),
        (lambda: Transformer(preset("copier-tiny"), seed="0"), "seed must be a whole number, got '0' (str)"),
        (lambda: TorchAdapter(5, **SIZES), "model must be Module, got int: use the torch model itself"),
        (
            lambda: TorchAdapter(torch.nn.Linear(2, 2), **SIZES, hooks="h"),
            "hooks must be a mapping from names to",
        ),
        (
            lambda: TorchAdapter(torch.nn.Linear(2, 2), **SIZES, weights={"W_E": 5}),
            "weights must be a mapping from names",
        ),
        (lambda: TorchAdapter(torch.nn.Linear(2, 2), **SIZES | {"n_heads": "2"}), "n_heads must be a whole number"),
        (lambda: TorchAdapter(torch.nn.Linear(2, 2), **SIZES, forward=5), "forward must be a function, got 5 (int)"),
        (lambda: two_models().load("0"), "step must be a whole number, got '0' (str)"),
        (lambda: two_models().at(5), "steps must be a list of whole numbers, got 5 (int)"),
        (lambda: two_models().at([0], device=5), "device must be a torch device"),
        (lambda: load_reference("copier-mini").load(None), "step must be a whole number, got None (NoneType)"),
        (lambda: load_reference("copier-mini").at("0"), "steps must be a list of whole numbers, got '0' (str)"),
        (
            lambda: audit(two_models(), on_checkpoint=lambda done: 0),
            "on_checkpoint must be a function that is called",
        ),
        (lambda: two_models().config_hash(99), "no step 99 in the models given; its steps are (0, 1)"),
        (
            lambda: CheckpointSeries.from_huggingface_folder(".", pattern=3),
            "pattern must be a string such as 'checkpoint-{step}', got 3 (int)",
        ),
        (
            lambda: CheckpointSeries.from_hub("me/toy", skip=3),
            "skip must be a list of whole numbers, got 3 (int)",
        ),
        (
            lambda: CheckpointSeries.from_hub("me/toy", skip="100"),
            "skip must be a list of whole numbers, got '100' (str)",
        ),
        (
            lambda: CheckpointSeries.from_hub("me/toy", revisions=5),
            "revisions must be a list of one name or more, or a pattern with {step}, got 5 (int)",
        ),
        (
            lambda: CheckpointSeries.from_hub("me/toy", revisions=[]),
            "revisions must be a list of one name or more, or a pattern with {step}, got [] (list)",
        ),
        (
            lambda: CheckpointSeries.from_hub("me/toy", revisions=[100]),
            "revisions must be a list of one name or more, or a pattern with {step}, got [100] (list)",
        ),
        (
            lambda: CheckpointSeries.from_hub("me/toy", cache=__file__),
            f"cache must be a folder, and {__file__} is a file: give cache=, a folder on another disk",
        ),
        (
            lambda: CheckpointSeries.from_hub("me/toy", cache=f"{__file__}/hub"),
            f"cache must be a folder, and {__file__} is a file: give cache=",
        ),
        (lambda: modular_gpt(n_layers=1, d_model="8"), "d_model must be a whole number, got '8' (str)"),
        (lambda: LocalEngine("2"), "n_jobs must be a whole number, got '2' (str)"),
        (lambda: Sweep(Path("sweep"), 5, 1), "conditions must be a mapping to TrainConfig, got int"),
        (lambda: Sweep(Path("sweep"), {}, "2"), "n_seeds must be a whole number, got '2' (str)"),
        (lambda: Sweep(5, {}, 2), "folder must be a path"),
        (lambda: plots.grids([]), "grids must be a list of one or more, got [] (list)"),
        (lambda: plots.formation(()), "runs must be a list of one or more, got [] (list)"),
        (lambda: on_paper(heads_drawn(), width=[]), "width is column or full, got []"),
        (
            lambda: attention_view(torch.ones(1, 1, 1), ["a"], steps=5),
            "steps must be a list of whole numbers, got 5 (int)",
        ),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_name(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def two_models() -> CheckpointSeries:
    return CheckpointSeries.from_models([(step, Transformer(preset("copier-tiny"), seed=step)) for step in (0, 1)])


def heads_drawn() -> Drawing:
    return head_map(xr.DataArray(np.zeros((1, 2, 2)), dims=("checkpoint", "layer", "head")), label="score")
