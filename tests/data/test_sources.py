"""Sources: which documents are found, under which names, in which order, and which are refused."""

import json
from pathlib import Path

import pytest

from grok_interp.data.sources import documents


def write(root: Path, files: dict[str, str | bytes]) -> str:
    """The files of a folder; gives the folder as a source."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(root)


def test_a_file_is_one_document_of_its_own_name(tmp_path: Path) -> None:
    write(tmp_path, {"poem.txt": "ein Mövchen\r\n", "other.txt": "not asked for"})
    assert list(documents(str(tmp_path / "poem.txt"))) == [("poem.txt", "ein Mövchen\r\n".encode())]


def test_a_file_asked_for_by_name_may_have_any_suffix(tmp_path: Path) -> None:
    write(tmp_path, {"notes.xyz": "text"})
    assert list(documents(str(tmp_path / "notes.xyz"))) == [("notes.xyz", b"text")]


def test_a_folder_gives_its_text_files_in_sorted_order_with_their_paths(tmp_path: Path) -> None:
    source = write(tmp_path, {"b.txt": "2", "a/z.py": "1", "c/d/e.md": "3", "B.rst": "0"})
    assert list(documents(source)) == [("B.rst", b"0"), ("a/z.py", b"1"), ("b.txt", b"2"), ("c/d/e.md", b"3")]


def test_hidden_files_other_suffixes_and_empty_files_are_left_out(tmp_path: Path) -> None:
    hidden = {".secret.txt": "s", ".git/config.txt": "g", "deep/.cache/a.txt": "c"}
    other = {"image.png": "p", "weights.bin": "w", "README": "r", "empty.txt": ""}
    source = write(tmp_path, {"kept.txt": "k"} | hidden | other)
    assert [name for name, _ in documents(source)] == ["kept.txt"]


def test_a_hidden_folder_may_itself_be_the_source(tmp_path: Path) -> None:
    source = write(tmp_path / ".corpus", {"a.txt": "text"})
    assert list(documents(source)) == [("a.txt", b"text")]


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"books/a.txt": "text"})
    monkeypatch.setenv("HOME", str(tmp_path))
    assert list(documents("~/books")) == [("a.txt", b"text")]


def test_a_missing_source_is_refused_with_what_could_be_given() -> None:
    with pytest.raises(ValueError, match="no corpus at 'no/such/place': give stdlib, .* or hub:NAME"):
        list(documents("no/such/place"))


def test_a_folder_without_text_files_is_refused_with_the_suffixes_looked_for(tmp_path: Path) -> None:
    source = write(tmp_path, {"image.png": "p", ".hidden.txt": "h"})
    with pytest.raises(ValueError, match=r"no text files in .*: looked for .*\.md.*\.txt"):
        list(documents(source))


def test_a_nul_byte_is_refused_with_the_file_that_has_it(tmp_path: Path) -> None:
    source = write(tmp_path, {"a.txt": "fine", "b.txt": b"not\0fine"})
    with pytest.raises(ValueError, match=r"b\.txt is not text: it has a NUL byte; take it out of"):
        list(documents(source))


def test_the_standard_library_comes_without_its_tests_and_without_installed_packages() -> None:
    names = [name for name, _ in documents("stdlib")]
    assert {"argparse.py", "json/decoder.py", "asyncio/base_events.py"} <= set(names)
    assert names == sorted(set(names), key=Path)
    folders = {part for name in names for part in name.split("/")[:-1]}
    assert folders.isdisjoint({"test", "tests", "idlelib", "site-packages"})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local folder for data sets in the hub's layout; what the library caches stays beside it."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    return tmp_path / "hub"


def write_rows(folder: Path, rows: list[dict[str, str]]) -> str:
    return "hub:" + write(folder, {"train.jsonl": "\n".join(map(json.dumps, rows))})


def test_a_data_set_of_the_hub_gives_one_numbered_document_a_row(hub: Path) -> None:
    source = write_rows(hub, [{"text": "één", "url": "a"}, {"text": "two\n", "url": "b"}])
    assert list(documents(source)) == [(f"{hub}/0", "één".encode()), (f"{hub}/1", b"two\n")]


def test_empty_rows_of_a_data_set_are_left_out_and_the_others_keep_their_numbers(hub: Path) -> None:
    source = write_rows(hub, [{"text": "a"}, {"text": ""}, {"text": "b"}])
    assert list(documents(source)) == [(f"{hub}/0", b"a"), (f"{hub}/2", b"b")]


def test_a_row_with_a_nul_character_is_refused_by_its_number(hub: Path) -> None:
    source = write_rows(hub, [{"text": "fine"}, {"text": "not\0fine"}])
    with pytest.raises(ValueError, match=r"row 1 of .* is not text: it has a NUL"):
        list(documents(source))


def test_a_data_set_without_text_is_refused_with_the_columns_it_has(hub: Path) -> None:
    source = write_rows(hub, [{"question": "why", "answer": "because"}])
    with pytest.raises(ValueError, match=r"no column 'text', it has \['question', 'answer'\]"):
        list(documents(source))


def test_a_data_set_out_of_reach_is_refused_with_what_to_check() -> None:
    """The tests run with $HF_HUB_OFFLINE set, as on a machine without a network."""
    pytest.importorskip("datasets")
    with pytest.raises(
        ValueError, match=r"'no/such' cannot be read \(.*\): check its name and the network, or give local"
    ):
        list(documents("hub:no/such"))
