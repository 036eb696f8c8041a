"""Tokens from elsewhere: streams that are used where they are, and tokenizers that others trained."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grok_interp import Run, is_run, run_training
from grok_interp.cli import main
from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.data.corpus import Corpus, open_corpus
from grok_interp.data.vocabulary import BPEVocabulary
from grok_interp.data.windows import validation_windows

TOKENS = np.random.default_rng(0).integers(0, 300, 4_000)


def stream(file: Path, tokens: np.ndarray) -> TextConfig:
    tokens.astype(np.uint16).tofile(file) if file.suffix == ".bin" else np.save(file, tokens)
    return TextConfig(source=str(file), validation_fraction=0.25)


def opened(config: TextConfig, cache: Path, d_vocab: int = 300) -> Corpus:
    return open_corpus(config, d_vocab, cache=cache)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Path:
    """As GPT-2's: byte-level, with its end of a document last."""
    vocabulary = BPEVocabulary.train([text_file.read_bytes()], 399)
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    vocabulary.save(file)
    facts = json.loads(file.read_text())
    own = facts["added_tokens"][0]
    facts["added_tokens"] = [{**own, "id": 398, "content": "<|endoftext|>"}]
    facts["model"]["vocab"] = {
        name if id_ else "<|endoftext|>": id_ - 1 if id_ else 398 for name, id_ in facts["model"]["vocab"].items()
    }
    file.write_text(json.dumps(facts))
    return file


@pytest.mark.parametrize("suffix", [".bin", ".npy"])
def test_the_last_part_of_a_stream_is_the_validation_part(tmp_path: Path, suffix: str) -> None:
    corpus = opened(stream(tmp_path / f"tokens{suffix}", TOKENS), tmp_path)
    assert np.array_equal(corpus.training, TOKENS[:3_000])
    assert np.array_equal(corpus.validation, TOKENS[3_000:])
    assert str(corpus).startswith(f"{tmp_path}/tokens{suffix}: 1 documents, 3,000 training and 1,000 validation")


@pytest.mark.parametrize("suffix", [".bin", ".npy"])
def test_val_beside_train_is_the_validation_part(tmp_path: Path, suffix: str) -> None:
    stream(tmp_path / f"val{suffix}", TOKENS[:500])
    corpus = opened(stream(tmp_path / f"train{suffix}", TOKENS[500:]), tmp_path)
    assert np.array_equal(corpus.validation, TOKENS[:500])
    assert np.array_equal(corpus.training, TOKENS[500:])


def test_validation_windows_that_are_in_the_training_tokens_are_dropped(tmp_path: Path) -> None:
    tokens = TOKENS.copy()
    tokens[3_200:3_260] = tokens[100:160]
    corpus = opened(stream(tmp_path / "tokens.bin", tokens), tmp_path)
    found = validation_windows(corpus.validation, corpus.leaks, n_ctx=100, n_windows=99)
    assert (found.n_dropped, found.n_examined) == (1, 9)
    assert corpus.held_out(found).startswith("1 of 9 validation windows were dropped")


def test_a_stream_is_named_by_its_content_and_not_copied(tmp_path: Path) -> None:
    config = stream(tmp_path / "a.npy", TOKENS)
    first = opened(config, tmp_path / "cache")
    (tmp_path / "a.npy").rename(tmp_path / "b.npy")
    moved = replace(config, source=str(tmp_path / "b.npy"))
    assert opened(moved, tmp_path / "cache").hash != first.hash  # the name of the file is part of it
    (tmp_path / "b.npy").rename(tmp_path / "a.npy")
    assert opened(config, tmp_path / "cache").hash == first.hash
    np.save(tmp_path / "a.npy", TOKENS[::-1])
    assert opened(config, tmp_path / "cache").hash != first.hash
    assert {file.name for file in first.directory.iterdir()} == {"leaks.bin", "manifest.json"}


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda file: file.with_suffix(".bin").write_bytes(b"abc"), "has 3 bytes, tokens of 16 bits have an even num"),
        (lambda file: file.with_suffix(".bin").write_bytes(b""), "is empty: it needs tokens"),
        (lambda file: None, "no tokens at .*: give a .bin of uint16 or a .npy of integers"),
        (lambda file: file.with_suffix(".npy").write_bytes(b"abcd"), "is no .npy file of numbers"),
        (
            lambda file: np.save(file, np.zeros((3, 2), int)),
            r"must be one axis of integers, got int64 of shape \(3, 2\)",
        ),
        (lambda file: np.save(file, np.zeros(3)), "must be one axis of integers, got float64"),
        (lambda file: np.save(file, TOKENS - 1), "has token -1 at position .*, the model's vocabulary has 300"),
        (lambda file: np.save(file, TOKENS + 1), "has token 300 at position .*: raise d_vocab, or check that"),
    ],
)
def test_a_file_that_is_no_stream_is_refused(tmp_path: Path, write, message: str) -> None:
    write(tmp_path / "tokens.npy")
    suffix = ".bin" if (tmp_path / "tokens.bin").exists() else ".npy"
    with pytest.raises(ValueError, match=message):
        opened(TextConfig(source=str(tmp_path / f"tokens{suffix}")), tmp_path)


def test_a_run_on_a_stream_resumes_and_is_reported(tiny: TrainConfig, tmp_path: Path) -> None:
    """Without a tokenizer tokens are numbers; the run says so, and its report has no hexadecimal strings."""
    stream(tmp_path / "val.bin", TOKENS[:2_000] % 61)
    stream(tmp_path / "train.bin", TOKENS[2_000:] % 61)
    config = tiny.with_data(source=str(tmp_path / "train.bin")).with_model(d_vocab=61)
    config = replace(config, checkpoint_steps=(0, 10))
    for stop in (7, None):

        def on_update(update, stop=stop) -> None:
            if update.step == stop:
                raise KeyboardInterrupt

        try:
            run_training(tmp_path / "run", config, on_update=on_update, resume_seconds=0)
        except KeyboardInterrupt:
            assert stop
    whole = run_training(tmp_path / "whole", config)
    assert Run.open(tmp_path / "run").checkpoints.checksum(20) == whole.checkpoints.checksum(20)
    assert main(["report", str(tmp_path / "run"), "--quiet"]) == 0


# Tokenizers


def test_text_is_encoded_by_the_tokenizer_that_is_named(tmp_path: Path, text_file: Path, tokenizer: Path) -> None:
    from tokenizers import Tokenizer

    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_bytes(text_file.read_bytes()[:9_000])
    (tmp_path / "text" / "b.txt").write_text("the special token <|endoftext|> is text here\n")
    config = TextConfig(source=str(tmp_path / "text"), tokenizer=str(tokenizer), validation_fraction=0.1)
    corpus = open_corpus(config, 500, cache=tmp_path)
    library = Tokenizer.from_file(str(tokenizer))
    library.encode_special_tokens = True
    parts = (corpus.training.tolist(), corpus.validation.tolist())
    assert [part[-1] for part in parts] == [398, 398]
    assert parts[0][:-1] == library.encode((tmp_path / "text" / "a.txt").read_text()).ids
    assert library.decode(parts[1][:-1]) == "the special token <|endoftext|> is text here\n"
    assert corpus.vocabulary.common == range(398)


def test_another_tokenizer_is_another_corpus(tmp_path: Path, text_file: Path, tokenizer: Path) -> None:
    config = TextConfig(source=str(text_file), tokenizer=str(tokenizer))
    first = open_corpus(config, 500, cache=tmp_path).hash
    tokenizer_2 = tmp_path / "tokenizer.json"
    tokenizer_2.write_text(tokenizer.read_text() + "\n")
    assert open_corpus(replace(config, tokenizer=str(tmp_path)), 500, cache=tmp_path).hash != first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/such.json", "no tokenizer at 'no/such.json': give a tokenizer.json, a folder that holds one, or hub:"),
        ("hub:no/such", "the tokenizer of no/such cannot be read .*: check its name and the network, or give a tok"),
    ],
)
def test_a_tokenizer_that_is_not_there(tmp_path: Path, text_file: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_corpus(TextConfig(source=str(text_file), tokenizer=name), 500, cache=tmp_path)


def test_tokenizers_that_cannot_be_used(tmp_path: Path, text_file: Path, tokenizer: Path) -> None:
    config = TextConfig(source=str(text_file), tokenizer=str(tokenizer))
    with pytest.raises(ValueError, match="the tokenizer has 399 tokens, the model's vocabulary 398: raise d_vocab"):
        open_corpus(config, 398, cache=tmp_path)
    facts = json.loads(tokenizer.read_text())
    facts["pre_tokenizer"]["add_prefix_space"] = True
    (tmp_path / "spaced.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="puts a space before every text"):
        open_corpus(replace(config, tokenizer=str(tmp_path / "spaced.json")), 500, cache=tmp_path)
    facts["model"] = {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}
    (tmp_path / "words.json").write_text(json.dumps({**facts, "added_tokens": []}))
    with pytest.raises(ValueError, match="not a byte-level BPE, it has no token for 254 of the 256 bytes"):
        open_corpus(replace(config, tokenizer=str(tmp_path / "words.json")), 500, cache=tmp_path)
    (tmp_path / "text.json").write_text("no JSON")
    with pytest.raises(ValueError, match="text.json|tokenizer.json is no tokenizer.json of the tokenizers library"):
        open_corpus(replace(config, tokenizer=str(tmp_path / "text.json")), 500, cache=tmp_path)


def test_a_run_of_somebody_else_reads_no_tokenizer_that_was_not_named(
    tiny: TrainConfig, tmp_path: Path, tokenizer: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    text = tmp_path / "run" / "text.txt"  # inside the run, which may be read
    text.write_bytes(text_file.read_bytes())
    config = tiny.with_data(source=str(text), tokenizer=str(tokenizer)).with_model(d_vocab=500)
    monkeypatch.setenv("GROK_INTERP_CACHE", str(tmp_path / "theirs"))
    Run.create(tmp_path / "run", config)
    monkeypatch.setenv("GROK_INTERP_CACHE", str(tmp_path / "mine"))
    assert is_run(tmp_path / "run")
    with pytest.raises(ValueError, match="reads text outside the run's folder that you have not named before: .*token"):
        Run.open(tmp_path / "run").data.batch(0, "cpu")
    assert Run.open(tmp_path / "run", trust_source=True).data.hash
