"""Vocabularies: what is encoded comes back, and a trained one has exactly the size asked for."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.data.vocabulary import END_OF_DOCUMENT, BPEVocabulary, ByteVocabulary, printable_alphabet

SIZE = 311
RHYME = b"Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is but a dream.\n"
DOCUMENTS = [RHYME, "Straße, café, naïve, Ωmega\n".encode() * 3, b"def boat(stream):\n    return stream.row()\n"]
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def bpe() -> BPEVocabulary:
    return BPEVocabulary.train(DOCUMENTS, SIZE)


def decoded(vocabulary: BPEVocabulary, tokens: np.ndarray) -> str:
    return vocabulary.tokenizer.decode(tokens.tolist())


@given(st.binary())
def test_a_byte_is_its_own_token(text: bytes) -> None:
    tokens = ByteVocabulary().encode(text)
    assert tokens.tolist() == list(text)
    assert tokens.tobytes() == text


def test_byte_tokens_are_shown_as_characters_or_as_escapes() -> None:
    assert ByteVocabulary().show([97, 32, 10, 0, 127]) == ["a", " ", "\\n", "\\x00", "\\x7f"]


def test_common_byte_tokens_are_the_printable_characters() -> None:
    common = bytes(ByteVocabulary().common).decode()
    assert common.isprintable()
    assert (common[0], common[-1], len(common)) == (" ", "~", 95)


@settings(deadline=None)
@given(texts)
def test_what_bpe_encodes_it_gives_back(bpe: BPEVocabulary, text: str) -> None:
    tokens = bpe.encode(text.encode())
    assert decoded(bpe, tokens) == text
    assert all(token in bpe.common for token in tokens.tolist())


def test_text_that_bpe_was_trained_on_takes_fewer_tokens_than_bytes(bpe: BPEVocabulary) -> None:
    assert len(bpe.encode(RHYME)) < len(RHYME) / 2


def test_bytes_that_are_not_utf_8_become_the_replacement_character(bpe: BPEVocabulary) -> None:
    assert decoded(bpe, bpe.encode(b"a\xffb")) == "a\ufffdb"


def test_a_trained_vocabulary_has_exactly_the_size_asked_for(bpe: BPEVocabulary) -> None:
    assert bpe.size == SIZE
    assert max(bpe.common) == SIZE - 1
    assert len(set(bpe.show(range(1, 257)))) > 128, "single bytes are tokens, whatever the text was"


def test_the_end_of_a_document_is_one_token_and_not_a_common_one(bpe: BPEVocabulary) -> None:
    (end,) = bpe.encode(END_OF_DOCUMENT.encode()).tolist()
    assert end == 0
    assert end not in bpe.common
    assert bpe.show([end]) == [END_OF_DOCUMENT]
    assert ByteVocabulary().encode(END_OF_DOCUMENT.encode()).tolist() == [0]


def test_bpe_tokens_are_shown_as_the_text_they_stand_for(bpe: BPEVocabulary) -> None:
    tokens = bpe.encode(RHYME).tolist()
    assert "".join(bpe.show(tokens)) == RHYME.decode()
    assert " stream" in bpe.show(tokens)


def test_a_vocabulary_larger_than_the_text_can_give_is_refused_with_both_sizes() -> None:
    with pytest.raises(ValueError, match="the corpus gives 260 BPE tokens, not 5000: .* larger corpus"):
        BPEVocabulary.train([b"aaaaaaaa"], 5_000)


def test_training_twice_gives_the_same_vocabulary(bpe: BPEVocabulary) -> None:
    assert BPEVocabulary.train(DOCUMENTS, SIZE).tokenizer.to_str() == bpe.tokenizer.to_str()


def test_a_saved_vocabulary_comes_back_equal(bpe: BPEVocabulary, tmp_path: Path) -> None:
    bpe.save(tmp_path / "tokenizer.json")
    again = BPEVocabulary.load(tmp_path / "tokenizer.json")
    assert again.tokenizer.to_str() == bpe.tokenizer.to_str()
    assert again.encode(RHYME).tolist() == bpe.encode(RHYME).tolist()
    assert again.size == SIZE


@settings(deadline=None)
@given(st.binary())
def test_widths_add_up_to_the_bytes_that_were_read(bpe: BPEVocabulary, text: bytes) -> None:
    for vocabulary in (ByteVocabulary(), bpe):
        assert vocabulary.widths.shape == (vocabulary.size,)
        assert vocabulary.widths[vocabulary.encode(text)].sum() == len(vocabulary.read(text))


def test_printable_bytes_are_those_that_can_be_seen() -> None:
    found = printable_alphabet(ByteVocabulary())
    assert bytes(found).decode() == "".join(map(chr, range(33, 127)))


def test_printable_tokens_of_bpe_are_text_that_can_be_seen(bpe: BPEVocabulary) -> None:
    tokens = printable_alphabet(bpe)
    shown, common = set(bpe.show(tokens)), set(bpe.show(bpe.common))
    assert len(shown) == len(tokens) and set("abcdefghijklmnopqrstuvwxyz~") < shown
    assert any(len(text.strip()) > 1 for text in shown), "tokens of several characters too"
    assert {" ", "\n", "\t", "\x01", "\ufffd"} <= common - shown, "blank, control, part of a character"
