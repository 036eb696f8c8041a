"""What is no model, optimizer or function where one is needed: refused when it is given, or when it is returned."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from torch.optim import SGD

from grok_interp import CheckpointSeries, OwnOptimizer, Transformer, preset, run_training
from grok_interp.configs import TrainConfig


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
        ({"on_update": {}}, "on_update must be a function, got {} (dict)"),
        ({"compiled": "x"}, "compiled must be True or False, got 'x'"),
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


def test_what_load_returns_is_refused_where_weights_are_read(tmp_path: Path) -> None:
    (tmp_path / "model_0.pt").touch()
    series = CheckpointSeries.from_files(tmp_path / "model_{step}.pt", load=lambda path: path.name)
    with pytest.raises(ValueError, match="load must return a model or a state dict, got str"):
        series.weights(0)


def test_a_state_dict_in_a_dict_is_not_what_load_returns(tmp_path: Path) -> None:
    (tmp_path / "model_0.pt").touch()
    found = {"model": {"w": torch.ones(2)}, "step": 5}
    series = CheckpointSeries.from_files(tmp_path / "model_{step}.pt", load=lambda path: found)
    with pytest.raises(ValueError, match=r"got one in a dict for .*model_0.pt: return what is under 'model'"):
        series.weights(0)
