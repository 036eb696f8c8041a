"""Documents that are rows: JSON lines, Parquet, and data sets that are streamed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from grok_interp.configs import TextConfig
from grok_interp.data.corpus import open_corpus
from grok_interp.data.sources import documents

TEXTS = ["een", "deux\n", "drei"]


def json_lines(file: Path, rows: list) -> Path:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def parquet(file: Path, rows: list[dict]) -> Path:
    import pyarrow
    from pyarrow import parquet as format_

    format_.write_table(pyarrow.Table.from_pylist(rows), file, row_group_size=2)
    return file


@pytest.mark.parametrize("write", [json_lines, parquet])
def test_a_row_is_a_document_named_by_its_number(tmp_path: Path, write) -> None:
    suffix = "jsonl" if write is json_lines else "parquet"
    file = write(tmp_path / f"rows.{suffix}", [{"body": text, "id": 7} for text in TEXTS])
    expected = [(f"rows.{suffix}/{number}", text.encode()) for number, text in enumerate(TEXTS, start=1)]
    assert list(documents(str(file), field="body")) == expected


@pytest.mark.parametrize("write", [json_lines, parquet])
def test_rows_without_text_are_left_out_and_the_others_keep_their_numbers(tmp_path: Path, write) -> None:
    file = write(
        tmp_path / f"r.{'jsonl' if write is json_lines else 'parquet'}", [{"text": t} for t in ("a", "", None, "b")]
    )
    assert [name.rpartition("/")[2] for name, _ in documents(str(file))] == ["1", "4"]


def test_rows_and_text_files_of_a_folder_are_read_together(tmp_path: Path) -> None:
    json_lines(tmp_path / "b.jsonl", [{"text": "row"}])
    (tmp_path / "a.txt").write_text("file")
    assert list(documents(str(tmp_path))) == [("a.txt", b"file"), ("b.jsonl/1", b"row")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}\n{"text": \n', r"rows.jsonl, line 2 is not JSON \(.*\): repair it"),
        (b'{"text": "a"}\n\n{"body": "b"}\n', r"line 3 has no field 'text', it has \['body'\]: give --data.field"),
        (b'["a"]\n', "line 1 has no field 'text', it has a list"),
        (b'{"text": 7}\n', "line 1: field 'text' must be text, got int: give --data.field"),
        (b'{"text": "a\\u0000"}\n', "line 1: the text has a NUL character: take the row out"),
        (b'{"text": "\xff"}\n', "line 1 is not JSON"),
    ],
)
def test_a_faulty_row_is_refused_with_its_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(documents(str(tmp_path / "rows.jsonl")))


def test_a_parquet_file_that_is_damaged_or_has_no_such_column(tmp_path: Path) -> None:
    file = parquet(tmp_path / "rows.parquet", [{"body": "a"}])
    with pytest.raises(ValueError, match=r"rows.parquet has no column 'text', it has \['body'\]: give --data.field"):
        list(documents(str(file)))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match="rows.parquet is no Parquet file, or damaged"):
        list(documents(str(file)))
    numbers = parquet(tmp_path / "numbers.parquet", [{"text": 1}])
    with pytest.raises(ValueError, match="numbers.parquet, row 1: field 'text' must be text, got int"):
        list(documents(str(numbers)))


def test_rows_are_split_as_documents_are(tmp_path: Path) -> None:
    """An exact copy is left out, and the same texts as files give the same tokens."""
    texts = [f"{number:02} boats row down the stream {number:02}\n" * 9 for number in range(20)]
    rows = json_lines(tmp_path / "rows.jsonl", [{"text": text} for text in (*texts, texts[3])])
    corpus = open_corpus(TextConfig(source=str(rows), validation_fraction=0.2), 256, cache=tmp_path)
    assert corpus.manifest["left_out"] == ["rows.jsonl/21"]
    tokens = corpus.training.tobytes() + corpus.validation.tobytes()
    assert sorted(tokens.split(b"\0")) == sorted([b"", *(text.encode() for text in texts)])


@pytest.fixture
def hub(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local folder in the layout of the hub, with nine rows."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "library")
    datasets.disable_progress_bars()
    (tmp_path / "hub").mkdir()
    json_lines(tmp_path / "hub" / "train.jsonl", [{"body": f"row {number}"} for number in range(9)])
    return tmp_path / "hub"


def test_the_first_rows_are_streamed_once_and_kept(hub: Path) -> None:
    options = {"field": "body", "n_documents": 4}
    first = list(documents(f"hub:{hub}", **options))
    assert first == [(f"{hub}/{number}", f"row {number}".encode()) for number in range(4)]
    (hub / "train.jsonl").unlink()  # what the run was begun with is read again without the data set
    assert list(documents(f"hub:{hub}", **options)) == first


def test_a_column_is_chosen_by_the_field(hub: Path) -> None:
    assert [text for _, text in documents(f"hub:{hub}", field="body")][:2] == [b"row 0", b"row 1"]
    with pytest.raises(ValueError, match=r"has no column 'title', it has \['body'\]"):
        list(documents(f"hub:{hub}", field="title", n_documents=3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_documents": 5}, "n_documents must be 2 or more, of a source hub:NAME, got 5 of 'stdlib'"),
        ({"n_documents": 1, "source": "hub:a/b"}, "n_documents must be 2 or more"),
        ({"tokenizer": ""}, "tokenizer is empty"),
        ({"tokenizer": "t.json", "vocabulary": "bpe"}, "tokenizer 't.json' takes the place of vocabulary 'bpe'"),
    ],
)
def test_configurations_that_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TextConfig(), **change)
