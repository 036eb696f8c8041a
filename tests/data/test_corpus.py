"""Corpora on disk: nothing lost, nothing twice, named by their content, built once and never by halves."""

import errno
import json
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.configs import TextConfig
from grok_interp.data import corpus as corpus_module
from grok_interp.data.corpus import Corpus, open_corpus
from grok_interp.data.vocabulary import BPEVocabulary, ByteVocabulary
from grok_interp.data.windows import validation_windows

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30).map(str.encode)
folders = st.lists(texts, min_size=2, max_size=9).map(lambda found: {f"{i}.txt": text for i, text in enumerate(found)})


def write(root: Path, files: dict[str, bytes]) -> TextConfig:
    root.mkdir(exist_ok=True)
    for name, text in files.items():
        (root / name).write_bytes(text)
    return TextConfig(source=str(root))


@pytest.fixture
def folder(tmp_path: Path) -> TextConfig:
    return write(
        tmp_path / "text", {f"{i}.txt": f"{i:02} boats row down stream {i:02}\n".encode() * 9 for i in range(40)}
    )


def split_up(tokens: np.ndarray) -> list[bytes]:
    """The documents of a part: each of them, the last too, ends with NUL."""
    *found, rest = tokens.tobytes().split(b"\0")
    assert rest == b""
    return found


def state(directory: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in [directory, *sorted(directory.rglob("*"))]}


@settings(deadline=None, max_examples=30)
@given(files=folders, fraction=st.floats(0.01, 0.5))
def test_the_two_parts_hold_whole_documents_or_heads_and_tails_and_nothing_is_lost(
    files: dict[str, bytes], fraction: float
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        config = replace(write(Path(scratch) / "text", files), validation_fraction=fraction)
        corpus = open_corpus(config, 256, cache=Path(scratch))
        training, validation = split_up(corpus.training), split_up(corpus.validation)
    distinct = set(files.values())
    whole = len(training) + len(validation) == len(distinct)
    found = training + validation if whole else [a + b for a, b in zip(training, validation, strict=True)]
    assert training and validation
    assert sorted(found) == sorted(distinct)


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_documents_of_one_size_are_set_aside_in_their_share(
    folder: TextConfig, tmp_path: Path, fraction: float
) -> None:
    corpus = open_corpus(replace(folder, validation_fraction=fraction), 256, cache=tmp_path)
    share = len(corpus.validation) / (len(corpus.validation) + len(corpus.training))
    assert fraction - 1.1 / 40 < share <= fraction, "at most one document off"


def test_a_single_document_gives_its_tail(tmp_path: Path) -> None:
    text = bytes(range(1, 200))
    config = replace(write(tmp_path / "text", {"only.txt": text}), validation_fraction=0.25)
    corpus = open_corpus(config, 256, cache=tmp_path)
    assert corpus.training.tobytes() == text[:150] + b"\0"
    assert corpus.validation.tobytes() == text[150:] + b"\0"


def test_a_large_document_is_not_set_aside_for_a_small_share(tmp_path: Path) -> None:
    files = {f"{name}.txt": name.encode() * size for name, size in (("a", 5000), ("b", 5000), ("c", 100), ("d", 100))}
    corpus = open_corpus(write(tmp_path / "text", files), 256, cache=tmp_path)
    assert sorted(split_up(corpus.validation)) == [b"c" * 100, b"d" * 100]


def test_where_no_document_is_small_enough_each_gives_its_tail(tmp_path: Path) -> None:
    config = replace(write(tmp_path / "text", {"a.txt": b"a" * 99, "b.txt": b"b" * 199}), validation_fraction=0.1)
    corpus = open_corpus(config, 256, cache=tmp_path)
    assert split_up(corpus.training) == [b"a" * 90, b"b" * 180]
    assert split_up(corpus.validation) == [b"a" * 9, b"b" * 19]


def test_documents_follow_in_the_order_of_their_names_with_one_nul_between(tmp_path: Path) -> None:
    files = {"c.txt": b"three", "a.txt": b"one", "b.txt": b"two"}
    corpus = open_corpus(replace(write(tmp_path / "text", files), validation_fraction=0.3), 256, cache=tmp_path)
    (held_out,) = split_up(corpus.validation)
    assert split_up(corpus.training) == [text for text in (b"one", b"two", b"three") if text != held_out]


def test_bytes_take_one_byte_each_and_the_manifest_counts_them(folder: TextConfig, tmp_path: Path) -> None:
    corpus = open_corpus(folder, 256, cache=tmp_path)
    assert corpus.training.dtype == corpus.validation.dtype == np.uint8
    assert (corpus.directory / "training.bin").stat().st_size == corpus.manifest["n_training_tokens"]
    assert corpus.manifest["n_validation_tokens"] == len(corpus.validation)
    assert isinstance(corpus.vocabulary, ByteVocabulary)


def test_bpe_takes_two_bytes_each_and_keeps_its_tokenizer(folder: TextConfig, tmp_path: Path) -> None:
    corpus = open_corpus(replace(folder, vocabulary="bpe"), 271, cache=tmp_path)
    assert corpus.training.dtype == np.uint16
    assert isinstance(corpus.vocabulary, BPEVocabulary)
    assert corpus.vocabulary.size == 271
    first = corpus.vocabulary.tokenizer.decode(corpus.training[: np.argmin(corpus.training)].tolist())
    assert first.encode() in {file.read_bytes() for file in Path(folder.source).iterdir()}


def test_a_corpus_describes_itself_in_one_line(folder: TextConfig, tmp_path: Path) -> None:
    corpus = open_corpus(folder, 256, cache=tmp_path)
    n_training, n_validation = len(corpus.training), len(corpus.validation)
    counts = f"40 documents, {n_training:,} training and {n_validation:,} validation tokens"
    assert str(corpus) == f"{folder.source}: {counts}, {corpus.hash[:12]}"


def test_a_corpus_is_built_once(folder: TextConfig, tmp_path: Path) -> None:
    first = open_corpus(folder, 256, cache=tmp_path)
    before = state(tmp_path / "corpora")
    second = open_corpus(folder, 256, cache=tmp_path)
    assert second == first
    assert state(tmp_path / "corpora") == before


def test_repeats_belong_to_training_and_share_one_corpus(folder: TextConfig, tmp_path: Path) -> None:
    plain = open_corpus(folder, 256, cache=tmp_path)
    assert open_corpus(replace(folder, copy_fraction=0.5), 256, cache=tmp_path).hash == plain.hash


def test_the_same_text_elsewhere_is_the_same_corpus(tmp_path: Path) -> None:
    here, there = (write(tmp_path / name, {"a.txt": b"text", "b.txt": b"more"}) for name in ("here", "there"))
    assert open_corpus(here, 256, cache=tmp_path).hash == open_corpus(there, 256, cache=tmp_path).hash


def edited(config: TextConfig) -> TextConfig:
    (Path(config.source) / "7.txt").write_bytes(b"another boat")
    return config


def renamed(config: TextConfig) -> TextConfig:
    (Path(config.source) / "7.txt").rename(Path(config.source) / "77.txt")
    return config


CHANGES: dict[str, tuple[Callable[[TextConfig], TextConfig], int]] = {
    "text": (edited, 256),
    "name": (renamed, 256),
    "size": (lambda config: config, 255),
    "vocabulary": (lambda config: replace(config, vocabulary="bpe"), 258),
    "fraction": (lambda config: replace(config, validation_fraction=0.25), 256),
}


@pytest.mark.parametrize(("change", "d_vocab"), CHANGES.values(), ids=CHANGES.keys())
def test_whatever_changes_the_tokens_changes_the_hash(
    folder: TextConfig, tmp_path: Path, change: Callable[[TextConfig], TextConfig], d_vocab: int
) -> None:
    before = open_corpus(folder, 256, cache=tmp_path)
    after = open_corpus(change(folder), d_vocab, cache=tmp_path)
    assert after.hash != before.hash
    assert after.directory != before.directory
    assert before.training.size, "the first is still there"


@pytest.mark.parametrize(
    ("files", "reason"),
    [({"a.txt": b"", "b.md": b""}, "is empty: it needs at least one document"), ({}, "no text files in")],
)
def test_a_source_without_text_is_refused_and_leaves_nothing(
    tmp_path: Path, files: dict[str, bytes], reason: str
) -> None:
    config = write(tmp_path / "text", files)
    with pytest.raises(ValueError, match=reason):
        open_corpus(config, 256, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_an_empty_file_is_refused_by_name_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"empty\.txt' is empty"):
        open_corpus(TextConfig(source=str(tmp_path / "empty.txt")), 256, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_vocabulary_too_large_for_the_text_leaves_no_half_corpus(folder: TextConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="BPE tokens, not 9000"):
        open_corpus(replace(folder, vocabulary="bpe"), 9_000, cache=tmp_path)
    assert list((tmp_path / "corpora").iterdir()) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), OSError(errno.ENOSPC, "no space left")], ids=repr)
def test_an_interrupted_build_leaves_nothing_and_the_next_one_works(
    folder: TextConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    def write_some(scratch: Path, *rest: object) -> dict[str, int]:
        (scratch / "training.bin").write_bytes(b"half of the te")
        raise interruption

    with monkeypatch.context() as patch, pytest.raises(type(interruption)) as raised:
        patch.setattr(corpus_module, "_write_tokens", write_some)
        open_corpus(folder, 256, cache=tmp_path)
    assert raised.value is interruption
    assert list((tmp_path / "corpora").iterdir()) == []
    assert len(split_up(open_corpus(folder, 256, cache=tmp_path).training)) == 38


def test_a_build_overtaken_by_another_process_takes_what_that_one_built(
    folder: TextConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tokens, faster = corpus_module._write_tokens, list[Corpus]()

    def write_late(*arguments) -> dict[str, int]:
        monkeypatch.setattr(corpus_module, "_write_tokens", write_tokens)
        faster.append(open_corpus(folder, 256, cache=tmp_path))
        return write_tokens(*arguments)

    monkeypatch.setattr(corpus_module, "_write_tokens", write_late)
    assert open_corpus(folder, 256, cache=tmp_path) == faster[0]
    assert [path.name for path in (tmp_path / "corpora").iterdir()] == [faster[0].directory.name]


def test_the_environment_names_the_cache(folder: TextConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROK_INTERP_CACHE", str(tmp_path / "elsewhere"))
    assert open_corpus(folder, 256).directory.parent == tmp_path / "elsewhere" / "corpora"


def test_the_manifest_on_disk_lists_every_document_with_its_size(folder: TextConfig, tmp_path: Path) -> None:
    corpus = open_corpus(folder, 256, cache=tmp_path)
    listed = json.loads((corpus.directory / "manifest.json").read_text())["documents"]
    sizes = {file.name: file.stat().st_size for file in Path(folder.source).iterdir()}
    assert {name: size for name, size, _ in listed} == sizes


def random_text(seed: int, size: int = 2_000) -> bytes:
    return np.random.default_rng(seed).integers(97, 123, size, dtype=np.uint8).tobytes()


@pytest.fixture
def unrelated() -> dict[str, bytes]:
    return {f"{i}.txt": random_text(i) for i in range(40)}


def test_exact_duplicates_count_once(unrelated: dict[str, bytes], tmp_path: Path) -> None:
    """The manifest lists them all, because any change of the source is a change of the corpus."""
    files = {**unrelated, "7 again.txt": unrelated["7.txt"], "and again.txt": unrelated["7.txt"]}
    corpus = open_corpus(write(tmp_path / "text", files), 256, cache=tmp_path)
    assert sorted(split_up(corpus.training) + split_up(corpus.validation)) == sorted(unrelated.values())
    assert corpus.manifest["left_out"] == ["7.txt", "and again.txt"], "all but the first in order of names"
    assert corpus.manifest["n_documents"] == 42
    assert corpus.manifest["moved"] == []


@pytest.mark.parametrize("vocabulary", ["bytes", "bpe"])
def test_a_near_duplicate_of_a_held_out_file_is_on_its_side(
    unrelated: dict[str, bytes], tmp_path: Path, vocabulary: str
) -> None:
    """Copies of 3 of 4 thirds of a file, each with whitespace of its own, are too many to be held out together."""
    d_vocab = 256 if vocabulary == "bytes" else 300
    plain = replace(write(tmp_path / "text", unrelated), vocabulary=vocabulary)
    alone = open_corpus(plain, d_vocab, cache=tmp_path)
    (name, held_out), *_ = (item for item in unrelated.items() if is_held_out(alone, item[1]))
    copies = {f"copy {i}.txt": held_out[:1_500] + b" \n\t " * i + random_text(100 + i, 500) for i in range(5)}
    write(tmp_path / "text", copies)
    corpus = open_corpus(plain, d_vocab, cache=tmp_path)
    assert not any(is_held_out(corpus, text) for text in (held_out, *copies.values()))
    assert name in corpus.manifest["moved"]
    assert corpus.manifest["left_out"] == []


def is_held_out(corpus: Corpus, text: bytes) -> bool:
    tokens = corpus.vocabulary.encode(text).astype(corpus.validation.dtype)
    in_validation, in_training = (tokens.tobytes() in part.tobytes() for part in (corpus.validation, corpus.training))
    assert in_validation != in_training
    return in_validation


@pytest.mark.parametrize("vocabulary", ["bytes", "bpe"])
def test_a_span_copied_from_training_text_is_dropped_with_its_window(
    unrelated: dict[str, bytes], tmp_path: Path, vocabulary: str
) -> None:
    d_vocab = 256 if vocabulary == "bytes" else 300
    config = replace(write(tmp_path / "text", unrelated), vocabulary=vocabulary)
    before = open_corpus(config, d_vocab, cache=tmp_path)
    held_out, *_ = (name for name, text in unrelated.items() if is_held_out(before, text))
    trained, *_ = (name for name, text in unrelated.items() if not is_held_out(before, text))
    spaced, text = unrelated[trained].replace(b"e", b" "), unrelated[held_out]
    copied = spaced[300:420].replace(b" ", b"\n  ")
    write(tmp_path / "text", {trained: spaced, held_out: text[:900] + copied + text[900 + len(copied) :]})
    after = open_corpus(config, d_vocab, cache=tmp_path)
    windows = validation_windows(after.validation, after.leaks, n_ctx=128, n_windows=1_000)
    assert not before.leaks.any()
    assert after.manifest["n_leaks"] == np.count_nonzero(after.leaks) > 0
    assert 1 <= windows.n_dropped <= 2, "the copy is at most in two windows"
    assert len(windows.tokens) == windows.n_examined - windows.n_dropped
    counted = {"n_examined": windows.n_examined, "n_dropped": windows.n_dropped}
    assert after.manifest["validation_windows"]["128"] == counted
    assert after.held_out(windows) == (
        "0 duplicate files were left out, 0 near-duplicate files were moved to the side of the split that has the "
        f"others, and {windows.n_dropped} of {windows.n_examined} validation windows were dropped because they share a "
        "50-token span with the training text."
    )


def test_a_tail_that_repeats_its_document_leaks(tmp_path: Path) -> None:
    text = random_text(0, 1_000)
    config = replace(write(tmp_path / "text", {"only.txt": text + text[:500]}), validation_fraction=0.3)
    corpus = open_corpus(config, 256, cache=tmp_path)
    assert corpus.validation.tobytes() == (text + text[:500])[1_051:] + b"\0"
    assert np.count_nonzero(corpus.leaks) == 449 - 49
    with pytest.raises(ValueError, match="each of the 4 validation windows of 101 tokens shares a span of 50 tokens"):
        validation_windows(corpus.validation, corpus.leaks, n_ctx=100, n_windows=4)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return open_corpus(TextConfig(), 256, cache=tmp_path_factory.mktemp("cache"))


def substrings(text: bytes) -> set[bytes]:
    return {text[i : i + 50] for i in range(len(text) - 49)}


def collapsed_documents(tokens: np.ndarray) -> list[bytes]:
    return [re.sub(rb"[ \t\n\r\f\v]+", b" ", text) for text in split_up(tokens)]


def test_held_out_windows_of_the_standard_library_share_no_50_bytes_with_its_training_text(library: Corpus) -> None:
    """Counted by plain string search: exactly the windows that share a span are dropped."""
    text, n_ctx = library.validation.tobytes(), 128
    windows = [text[start : start + n_ctx + 1] for start in range(0, len(text) - n_ctx, n_ctx)]
    spans = [substrings(re.sub(rb"[ \t\n\r\f\v]+", b" ", window)) for window in windows]
    training = b"\0".join(collapsed_documents(library.training))
    wanted = set().union(*spans)
    seen = {span for i in range(len(training) - 49) if (span := training[i : i + 50]) in wanted}
    dirty = {window for window, found in zip(windows, spans, strict=True) if found & seen}
    n_dirty = sum(window in dirty for window in windows)
    clean = validation_windows(library.validation, library.leaks, n_ctx=n_ctx, n_windows=len(windows))
    assert 0 < n_dirty == clean.n_dropped
    assert not dirty & {bytes(window) for window in clean.tokens.tolist()}


def test_near_duplicates_in_the_standard_library_are_on_one_side(library: Corpus) -> None:
    held_out = [substrings(text) for text in collapsed_documents(library.validation)]
    where = defaultdict(list)
    for index, spans in enumerate(held_out):
        for span in spans:
            where[span].append(index)
    for text in collapsed_documents(library.training):
        spans = substrings(text)
        shared = Counter(index for span in spans if span in where for index in where[span])
        assert all(3 * n < len(spans) + len(held_out[index]) for index, n in shared.items())
    training, validation = split_up(library.training), split_up(library.validation)
    assert len(set(training)) + len(set(validation)) == len({*training, *validation}) == len(training + validation)
    assert library.manifest["left_out"] and library.manifest["moved"]
