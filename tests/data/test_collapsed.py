"""Collapsed text: one space for each run of whitespace, and every token at its place in the original text."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.data.collapsed import CollapsedText, collapsed_bytes, collapsed_tokens
from grok_interp.data.vocabulary import BPEVocabulary, ByteVocabulary, Vocabulary

BYTES = ByteVocabulary()
CODE = b"def boat(stream):\n    return stream.row()\n\n\nfor boat in boats:\n\tboat( stream )\n"
words = st.lists(st.sampled_from(["boat", "row", "é", " ", "\n", "    ", "\n\n\t", "(", "x"]), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def bpe() -> BPEVocabulary:
    return BPEVocabulary.train([CODE, "Straße, café\n".encode() * 3], 290)


def collapsed(text: bytes, vocabulary: Vocabulary = BYTES) -> CollapsedText:
    return CollapsedText.of(text, vocabulary.encode(text), vocabulary)


@settings(deadline=None)
@given(st.text(" \t\n\r\f\vab\xa0", max_size=40))
def test_runs_of_ascii_whitespace_become_one_space(text: str) -> None:
    found, first = collapsed_bytes(text.encode())
    assert found.tobytes() == re.sub(rb"[ \t\n\r\f\v]+", b" ", text.encode())
    assert first.tolist() == [match.start() for match in re.finditer(rb"[ \t\n\r\f\v]+|[^ \t\n\r\f\v]", text.encode())]


def test_places_read_by_eye() -> None:
    found = collapsed(b"a \n\tb")
    assert found.tokens.tobytes() == b"a b"
    assert found.latest_start.tolist() == [0, 3, 4], "the last character of the run is enough of it"
    assert found.earliest_stop.tolist() == [1, 2, 5], "and so is the first"


def test_a_cut_within_whitespace_gives_both_parts_a_space() -> None:
    found = collapsed(b"a \n\tb")
    assert found.before(2).tokens.tobytes() == b"a "
    assert found.after(2).tokens.tobytes() == b" b"
    assert found.after(2).latest_start.tolist() == [1, 2]
    assert found.after(2).earliest_stop.tolist() == [0, 3]
    assert (found.before(0).tokens.size, found.after(5).tokens.size) == (0, 0)


@settings(deadline=None)
@given(words=words)
def test_windows_that_contain_a_token_by_its_place_contain_its_text(bpe: BPEVocabulary, words: list[str]) -> None:
    text = "".join(words).encode()
    for vocabulary in (BYTES, bpe):
        original, found = vocabulary.encode(text), collapsed(text, vocabulary)
        assert found.tokens.tolist() == collapsed_tokens(text, vocabulary).tolist()
        for token, start, stop in zip(found.tokens, found.latest_start, found.earliest_stop, strict=True):
            window = original[min(start, stop - 1) : max(start + 1, stop)]
            assert spelled(token, vocabulary).strip() in "".join(spelled(each, vocabulary) for each in window)


def spelled(token: int, vocabulary: Vocabulary) -> str:
    """One character for each byte that a token stands for, spaces apart."""
    if isinstance(vocabulary, BPEVocabulary):
        return vocabulary.tokenizer.id_to_token(int(token)).replace("Ġ", " ")
    return chr(token)


def test_bytes_that_are_not_utf_8_keep_the_places_of_the_others(bpe: BPEVocabulary) -> None:
    text = b"\xff\xfe boat"
    found, original = collapsed(text, bpe), bpe.encode(text)
    assert found.tokens.tolist() == original.tolist()
    assert found.latest_start.tolist() == list(range(len(original)))
    assert found.earliest_stop.tolist() == list(range(1, len(original) + 1))
