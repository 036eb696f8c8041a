"""Fields by dotted names, and their values from text."""

import pytest

from grok_interp.configs.fields import fields_of, read_values, with_fields
from grok_interp.presets import training_preset

COPIER, MODULAR = training_preset("copier-tiny"), training_preset("modular-tiny")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("learning_rate=0.003,6e-3", ("learning_rate", (0.003, 0.006))),
        ("batch-size=2, 4", ("batch_size", (2, 4))),
        ("micro_batch_size=none,2", ("micro_batch_size", (None, 2))),
        ("model.tie_word_embeddings=true,no", ("model.tie_word_embeddings", (True, False))),
        ("model.act_fn=relu,gelu", ("model.act_fn", ("relu", "gelu"))),
        ("betas=[0.9,0.95],[0.9, 0.999]", ("betas", ((0.9, 0.95), (0.9, 0.999)))),
        ("intervene=[],[L1H0 zero from 5]", ("intervene", ((), ("L1H0 zero from 5",)))),
        ("data.source=stdlib,my/text.txt", ("data.source", ("stdlib", "my/text.txt"))),
    ],
)
def test_values_have_the_type_of_their_field(text: str, found: tuple) -> None:
    name, values = read_values(COPIER, text)
    assert (name, values) == found
    assert [type(value) for value in values] == [type(value) for value in found[1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate", "needs FIELD=VALUE,VALUE, got 'learning_rate'"),
        ("learning_rate=", "learning_rate= has no value"),
        ("lerning_rate=1", "no such field; close to it: learning_rate, muon_learning_rate"),
        ("n_layers=2", "no such field; close to it: model.n_layers"),
        ("qqq=2", "no such field; there are n_steps, batch_size"),
        ("data.n_id=4", "no such field"),
        ("init_seed=1,2", "give --seeds N"),
        ("batch_size=2.5", "batch_size: it must be an integer .*, got '2.5'"),
        ("optimizer=sgd", r"optimizer: it must be a string \(adamw, muon\), got 'sgd'"),
        ("betas=0.9,0.95", "betas: it must be a list of a number"),
        ("batch_size=2,4,2", "batch_size: 2 is given twice"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_values(COPIER, text)


def test_every_field_but_the_seeds_can_be_varied() -> None:
    for config in (COPIER, MODULAR):
        known = set(config.flattened()) - {"data.kind", "init_seed", "data_seed"}
        assert set(fields_of(config)) == known


def test_fields_that_depend_on_each_other_change_at_once() -> None:
    changed = with_fields(COPIER, {"optimizer": "muon", "muon_learning_rate": 0.02, "model.n_layers": 3})
    differing = set(changed.differences(COPIER))
    assert {"optimizer", "muon_learning_rate", "model.n_layers"} >= differing >= {"model.n_layers"}
    assert (changed.muon_learning_rate, changed.model.n_layers) == (0.02, 3)
