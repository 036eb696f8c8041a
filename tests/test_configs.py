"""Configurations: what they refuse and in which words, what they count, and the way to JSON and back."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.configs import ModelConfig, TextConfig, TrainConfig, llama_copier, modular_gpt

LLAMA = llama_copier(n_layers=3, n_heads=2, d_model=20, d_mlp=28, d_vocab=256, n_ctx=70)
MODULAR = modular_gpt(n_layers=3, n_heads=2, d_model=28, d_vocab=37, n_ctx=17)
RUN = TrainConfig(
    model=LLAMA, data=TextConfig(), n_steps=50, batch_size=6, learning_rate=1e-3, checkpoint_steps=(0, 7, 31)
)


@pytest.mark.parametrize("name", ["n_layers", "n_heads", "d_model", "d_head", "d_mlp", "d_vocab", "n_ctx"])
def test_a_model_size_below_one_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"^ModelConfig: {name} must be at least 1, got 0$"):
        replace(LLAMA, **{name: 0})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"d_head": 5}, "d_head must be even for rotary positions, got 5"),
        ({"act_fn": "tanh"}, "act_fn must be silu, relu, gelu or gelu_new, got 'tanh'"),
        ({"normalization_type": "BN"}, "normalization_type must be RMS or LN, got 'BN'"),
        ({"attn_dropout": 1.0}, r"attn_dropout must be in \[0, 1\), got 1.0"),
        ({"attn_dropout": -0.25}, r"attn_dropout must be in \[0, 1\), got -0.25"),
        ({"rotary_base": 1.0}, "rotary_base must be above 1 and finite, got 1.0"),
        ({"eps": 0.0}, "eps must be positive and finite, got 0.0"),
        ({"eps": math.nan}, "eps must be positive and finite, got nan"),
        ({"initializer_range": -0.5}, "initializer_range must be positive and finite, got -0.5"),
    ],
)
def test_a_model_is_refused_with_the_number_that_is_wrong(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^ModelConfig: {reason}$"):
        replace(LLAMA, **change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": ""}, "source is empty: give stdlib, a file, a folder or hub:NAME"),
        ({"vocabulary": "words"}, "vocabulary must be bytes or bpe, got 'words'"),
        ({"validation_fraction": 0.0}, r"validation_fraction must be in \(0, 0.5\], got 0.0"),
        ({"validation_fraction": 0.75}, r"validation_fraction must be in \(0, 0.5\], got 0.75"),
        ({"copy_fraction": 1.5}, r"copy_fraction must be in \[0, 1\], got 1.5"),
        ({"random_fraction": -0.5}, r"random_fraction must be in \[0, 1\], got -0.5"),
        ({"segment_copy_probability": 2}, r"segment_copy_probability must be in \[0, 1\], got 2"),
        ({"segment_lengths": (9, 4)}, r"segment_lengths must be .* got \(9, 4\)"),
        ({"segment_lengths": (0, 4)}, r"segment_lengths must be .* got \(0, 4\)"),
        ({"span_sources": "near"}, "span_sources must be balanced or uniform, got 'near'"),
        ({"test_alphabet": "digits"}, "test_alphabet must be printable or hexadecimal, got 'digits'"),
    ],
)
def test_a_text_is_refused_with_the_number_that_is_wrong(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^TextConfig: {reason}$"):
        TextConfig(**change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"n_steps": 0}, "n_steps must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"learning_rate": math.inf}, "learning_rate must be positive and finite, got inf"),
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite, got 0.0"),
        ({"warmup_steps": 51}, "warmup_steps must be within 0..n_steps = 50, got 51"),
        ({"warmup_start_factor": 1.5}, r"warmup_start_factor must be in \[0, 1\], got 1.5"),
        ({"final_factor": -0.5}, r"final_factor must be in \[0, 1\], got -0.5"),
        ({"betas": (0.5, 1.0)}, r"betas must be in \[0, 1\), got \(0.5, 1.0\)"),
        ({"weight_decay": -0.5}, "weight_decay must be finite and not negative, got -0.5"),
        ({"max_grad_norm": 0.0}, "max_grad_norm must be positive, or None for no clipping, got 0.0"),
        ({"micro_batch_size": 4}, "micro_batch_size must divide batch_size 6, got 4"),
        ({"micro_batch_size": 0}, "micro_batch_size must divide batch_size 6, got 0"),
        ({"model": replace(LLAMA, d_vocab=41)}, "the byte vocabulary has 256 tokens, got d_vocab 41"),
        ({"checkpoint_steps": (7, 3)}, r"checkpoint_steps must be sorted, .* got \(7, 3\)"),
        ({"checkpoint_steps": (3, 3)}, r"checkpoint_steps must be .*distinct .* got \(3, 3\)"),
        ({"checkpoint_steps": (-1, 3)}, r"checkpoint_steps must be .*not negative, got \(-1, 3\)"),
        ({"precision": "float8"}, "precision must be auto, float32, bfloat16 or float16, got 'float8'"),
    ],
)
def test_a_run_is_refused_with_the_number_that_is_wrong(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^TrainConfig: {reason}$"):
        replace(RUN, **change)


def test_a_refusal_gives_all_reasons_at_once() -> None:
    with pytest.raises(ValueError) as refusal:
        replace(RUN, n_steps=0, batch_size=0, learning_rate=-1.0, precision="int8", warmup_steps=0)
    for reason in ("n_steps", "batch_size", "learning_rate", "precision"):
        assert f"{reason} must be" in str(refusal.value)
    assert str(refusal.value).count("; ") == 3, "one sentence for each reason, and no other"


def test_a_long_schedule_is_refused_in_brief() -> None:
    steps = (*range(5_000), 0)
    with pytest.raises(ValueError, match=r"got \(0, 1, 2, 3\) \.\.\. \(4997, 4998, 4999, 0\)$"):
        replace(RUN, checkpoint_steps=steps)


def test_segments_must_leave_room_for_a_copy_in_the_context_but_only_when_there_are_copies() -> None:
    plain = RUN.with_model(n_ctx=11)
    with pytest.raises(ValueError, match="segments of at least 6 tokens leave no room for a copy in a context of 11"):
        plain.with_data(copy_fraction=0.5)
    assert RUN.with_model(n_ctx=12).with_data(copy_fraction=0.5).data.segment_lengths == (6, 24)


@pytest.mark.parametrize("family", [llama_copier, modular_gpt])
def test_a_width_that_the_heads_cannot_share_is_refused(family: Callable[..., ModelConfig]) -> None:
    sizes = dict(n_layers=1, d_mlp=4, d_vocab=5, n_ctx=6) if family is llama_copier else dict(n_layers=1)
    with pytest.raises(ValueError, match="divisible by n_heads, got d_model 32 and n_heads 5"):
        family(d_model=32, n_heads=5, **sizes)
    with pytest.raises(ValueError, match="got d_model 32 and n_heads 0"):
        family(d_model=32, n_heads=0, **sizes)


def test_the_number_of_parameters_counted_by_hand() -> None:
    embedding, attention, mlp, norms = 256 * 20, 4 * 20 * 20, 3 * 20 * 28, 2 * 20
    assert LLAMA.n_params == 2 * embedding + 3 * (attention + mlp + norms) + 20
    embedding, attention, mlp, norms = 37 * 28, 4 * 28 * 28, 2 * 28 * (4 * 28), 4 * 28
    assert MODULAR.n_params == embedding + 3 * (attention + mlp + norms) + 2 * 28


@pytest.mark.parametrize("config", [LLAMA, MODULAR], ids=["llama", "modular"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_built_model_has_as_many_parameters_as_its_config_says(config: ModelConfig, tied: bool) -> None:
    from grok_interp.models.transformer import Transformer

    config = replace(config, tie_word_embeddings=tied, d_head=6)  # heads narrower than d_model / n_heads
    model = Transformer(config, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == config.n_params


@settings(deadline=None)
@given(
    n_steps=st.integers(1, 200),
    steps=st.sets(st.integers(0, 300)).map(lambda steps: tuple(sorted(steps))),
    learning_rate=st.floats(1e-9, 10.0),
    max_grad_norm=st.none() | st.floats(0.1, 5.0),
    dropout=st.floats(0, 0.9),
    lags=st.tuples(st.integers(1, 9), st.integers(9, 60)),
)
def test_a_run_survives_json(
    n_steps: int,
    steps: tuple[int, ...],
    learning_rate: float,
    max_grad_norm: float | None,
    dropout: float,
    lags: tuple[int, int],
) -> None:
    run = replace(RUN.with_model(attn_dropout=dropout).with_data(segment_lengths=lags), n_steps=n_steps)
    run = replace(run, checkpoint_steps=steps, learning_rate=learning_rate, max_grad_norm=max_grad_norm)
    again = TrainConfig.from_dict(json.loads(json.dumps(run.to_dict())))
    assert again == run
    assert hash(again) == hash(run), "tuples come back as tuples"


def test_unknown_and_missing_fields_are_refused_together() -> None:
    values = RUN.to_dict() | {"speed": 3, "color": "red"}
    del values["n_steps"]
    with pytest.raises(ValueError, match=r"TrainConfig: unknown fields \['color', 'speed'\], missing .*\['n_steps'\]"):
        TrainConfig.from_dict(values)


@pytest.mark.parametrize(("part", "owner"), [("model", "ModelConfig"), ("data", "TextConfig")])
def test_an_unknown_field_of_a_part_is_refused_in_the_name_of_the_part(part: str, owner: str) -> None:
    values = RUN.to_dict()
    values[part] = values[part] | {"speed": 3}
    with pytest.raises(ValueError, match=rf"^{owner}: unknown fields \['speed'\], missing fields \[\]"):
        TrainConfig.from_dict(values)


def test_fields_with_a_default_may_be_missing() -> None:
    values = RUN.to_dict()
    del values["betas"]
    assert TrainConfig.from_dict(values) == RUN


def test_nonsense_from_a_file_is_refused_like_any_other() -> None:
    with pytest.raises(ValueError, match="n_steps must be at least 1, got -5"):
        TrainConfig.from_dict(RUN.to_dict() | {"n_steps": -5, "warmup_steps": -5})


def test_differences_are_named_with_dots_mine_first() -> None:
    other = replace(RUN.with_model(n_layers=5).with_data(copy_fraction=0.5), n_steps=60)
    assert RUN.differences(other) == {
        "model.n_layers": (3, 5),
        "data.copy_fraction": (0.0, 0.5),
        "n_steps": (50, 60),
    }
    assert RUN.differences(RUN) == {}


def test_flattened_has_every_field_once() -> None:
    flat = RUN.flattened()
    assert flat["model.d_model"] == 20
    assert flat["data.segment_lengths"] == (6, 24)
    assert flat["init_seed"] == 0
    assert not {"model", "data"} & flat.keys()


@pytest.mark.parametrize(
    ("wished", "kept"),
    [
        ((), (50,)),
        ((0, 7, 31), (0, 7, 31, 50)),
        ((0, 50), (0, 50)),
        ((49, 50, 51, 900), (49, 50)),
        ((51, 900), (50,)),
    ],
)
def test_kept_are_the_wished_steps_that_are_reached_and_always_the_last(
    wished: tuple[int, ...], kept: tuple[int, ...]
) -> None:
    assert replace(RUN, checkpoint_steps=wished).kept_steps == kept


def test_a_step_reads_one_context_for_each_sequence() -> None:
    assert RUN.tokens_per_step == 6 * 70


def test_a_changed_part_is_checked_and_leaves_the_original_alone() -> None:
    assert RUN.with_model(n_ctx=96).model.n_ctx == 96
    assert RUN.with_data(segment_lengths=(2, 3)).data.segment_lengths == (2, 3)
    assert (RUN.model.n_ctx, RUN.data.segment_lengths) == (70, (6, 24))
    with pytest.raises(ValueError, match="the byte vocabulary has 256 tokens, got d_vocab 300"):
        RUN.with_model(d_vocab=300)


@pytest.mark.parametrize(("config", "name"), [(RUN, "n_steps"), (LLAMA, "n_layers"), (RUN.data, "source")])
def test_configurations_are_frozen(config: object, name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(config, name, getattr(config, name))


@pytest.mark.parametrize("module", ["grok_interp.configs", "grok_interp.presets"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    heavy = {"torch", "transformer_lens", "numpy", "pandas", "matplotlib"}
    program = f"import sys, {module}; print(sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
