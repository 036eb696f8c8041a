"""Examples of the copying test on the hand-built circuit, whose answers are known."""

import pytest
import torch
from ground_truth import distinct_copy_samples, induction_circuit

from grok_interp.analysis.copying import CopyingAccuracy, copying_accuracy
from grok_interp.data.copying import CopySamples, CopyTask
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views
from grok_interp.plots.page import Section
from grok_interp.studies.copying.example_section import TIE, example_section, prompt
from grok_interp.studies.copying.examples import CopyExample, copy_example, copy_examples, first_string, within

RARE = 5  # the token that a circuit says with difficulty, or not at all


def circuit(*, scale: float = 1.0) -> Transformer:
    """The induction circuit, the logit of `RARE` scaled."""
    model = induction_circuit()
    canonical_views(model)["unembed.W_U"][:, RARE] *= scale
    return model


def measured(model: Transformer, samples: CopySamples) -> CopyingAccuracy:
    return copying_accuracy([(0, model)], samples)


def show(tokens) -> list[str]:
    """Tokens as letters."""
    return [chr(ord("a") + token) for token in tokens]


def test_the_first_copied_string_and_the_first_that_is_not() -> None:
    model, samples = circuit(scale=0.0), distinct_copy_samples()
    suffixes = samples.strings[:, :, samples.task.n_prefix :]
    holds = [tuple(place) for place in (suffixes == RARE).any(dim=-1).nonzero().tolist()]
    lacks = [tuple(place) for place in (suffixes != RARE).all(dim=-1).nonzero().tolist()]
    copied, other = copy_examples(model, samples, measured(model, samples))
    assert (copied.sample, copied.sequence) == lacks[0] and copied.copied
    assert (other.sample, other.sequence) == holds[0] and not other.copied


def test_an_example_says_what_was_asked_and_answered() -> None:
    model, samples = circuit(), distinct_copy_samples()
    found = copy_example(model, samples, 3, 1)
    string = tuple(samples.strings[3, 1].tolist())
    assert (found.sample, found.sequence) == (3, 1)
    assert found.prefix == string[:7]
    assert found.expected == found.predicted == found.written == string[7:]
    assert min(found.probabilities) > 0.99


def test_what_greedy_decoding_writes_follows_the_first_error() -> None:
    """The answer after a wrong token continues from there, while under teacher forcing the next one is right again."""
    model, samples = circuit(scale=0.0), distinct_copy_samples()
    _, other = copy_examples(model, samples, measured(model, samples))
    wrong = other.expected.index(RARE)
    assert [a == b for a, b in zip(other.predicted, other.expected, strict=True)] == [i != wrong for i in range(4)]
    assert other.written[:wrong] == other.expected[:wrong] and other.written[wrong] != RARE
    assert other.probabilities[wrong] < 0.1 < 0.99 < min(p for i, p in enumerate(other.probabilities) if i != wrong)


def test_where_all_are_copied_the_least_probable_is_shown() -> None:
    model, samples = circuit(scale=0.2), distinct_copy_samples()
    accuracy = measured(model, samples)
    copied, least = copy_examples(model, samples, accuracy)
    assert accuracy.exact_match() == 1 and (copied.sample, copied.sequence) == (0, 0)
    everything = [
        copy_example(model, samples, sample, sequence) for sample in range(5) for sequence in samples.task.queries
    ]

    def probability(example: CopyExample) -> float:
        return float(torch.tensor(example.probabilities).prod())

    assert RARE in least.expected and least.copied
    assert probability(least) == pytest.approx(min(map(probability, everything)))


def test_where_none_is_copied_the_first_is_shown() -> None:
    model, samples = induction_circuit(copy=-1.0), distinct_copy_samples()
    (shown,) = copy_examples(model, samples, measured(model, samples))
    assert (shown.sample, shown.sequence) == (0, 0) and not shown.copied


def test_the_index_of_a_string_is_that_of_the_sample_and_not_of_the_queries() -> None:
    values = torch.zeros(1, 2, 2, 1)
    values[0, 1, 1] = 1
    coords = {"checkpoint": [0], "sequence": [0, 5]}
    accuracy = CopyingAccuracy.of_arrays({"correct": values}, coords)
    assert first_string(accuracy, copied=True) == (1, 5)
    assert first_string(accuracy, copied=False) == (0, 0)


def section_of(model: Transformer, samples: CopySamples) -> Section:
    accuracy = measured(model, samples)
    return example_section(copy_examples(model, samples, accuracy), accuracy, show)


def test_a_section_shows_both_answers_and_their_rule() -> None:
    model, samples = circuit(scale=0.0), distinct_copy_samples()
    section = section_of(model, samples)
    copied, other = copy_examples(model, samples, measured(model, samples))
    table = section.table
    assert table is not None and list(table) == ["", "copied", "not copied"]
    rows = table.set_index("")
    assert rows.loc["most probable tokens", "copied"] == rows.loc["expected suffix", "copied"]
    assert rows.loc["prefix", "not copied"] == "".join(show(other.prefix))
    assert rows.loc["greedy decoding", "not copied"] == "".join(show(other.written))
    assert rows.loc["sample, string", "copied"] == f"{copied.sample}, {copied.sequence}"
    assert "whose suffix it does not copy" in section.text


def test_a_tie_is_shown_as_one() -> None:
    model, samples = induction_circuit(), distinct_copy_samples()
    canonical_views(model)["unembed.W_U"].zero_()
    table = section_of(model, samples).table
    assert table is not None and list(table) == ["", "not copied"]
    assert table.set_index("").loc["most probable tokens", "not copied"] == " | ".join([TIE] * 4)


def test_logits_that_are_not_finite_give_no_example() -> None:
    model, samples = induction_circuit(), distinct_copy_samples()
    canonical_views(model)["unembed.W_U"].fill_(torch.nan)
    section = section_of(model, samples)
    assert "are not finite" in section.text and section.table is None


def test_the_prompt_of_the_attention_view_is_copied() -> None:
    """The first sample is not, so the first of all would be the wrong one."""
    model, samples = circuit(scale=0.0), distinct_copy_samples()
    samples = CopySamples(samples.task, samples.strings.flip(0))
    accuracy = measured(model, samples)
    place = first_string(accuracy, copied=True)
    tokens, text = prompt(model, samples, accuracy)
    assert place is not None and tokens[-11:].tolist() == samples.strings[place].tolist()
    assert len(tokens) == samples.task.n_tokens and "copies this suffix" in text


def test_a_long_test_is_shortened_to_whole_strings() -> None:
    samples = CopyTask(n_samples=5, separator=90).sample()
    shown = within(samples, 128, n_samples=3)
    assert shown.strings.tolist() == samples.strings[:3, :5].tolist()
    assert shown.task.n_tokens == 113 and list(shown.task.queries) == [0, 1, 2, 3, 4]
    assert (shown.task.separator, shown.task.alphabet) == (90, samples.task.alphabet)
    assert within(samples, 968, n_samples=3) is samples
