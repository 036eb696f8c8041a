"""Checksums in files: what fits, what does not, and what is taken without one."""

import hashlib
import json
import zlib
from pathlib import Path

import pytest

from grok_interp.checksums import (
    UNSEALED,
    file_sha256,
    is_sealed,
    is_unaltered,
    is_unaltered_row,
    sealed,
    with_crc32,
    with_sha256,
)

RECORD = {"b": [1, 2.5, None], "a": {"text": "\u00e9"}}
ROW = {"step": 3, "loss": 0.1}


def test_the_checksums_of_a_record_and_of_a_line() -> None:
    text = '{"a": {"text": "\\u00e9"}, "b": [1, 2.5, null]}'
    assert with_sha256(RECORD) == {**RECORD, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    assert with_crc32(ROW) == {**ROW, "crc32": zlib.crc32(b'{"loss": 0.1, "step": 3}')}
    assert list(with_crc32(ROW)) == ["step", "loss", "crc32"]


def test_another_layout_fits_and_another_value_does_not() -> None:
    record = with_sha256(RECORD)
    assert is_unaltered(json.loads(json.dumps(record, indent=3, sort_keys=True)))
    assert with_sha256(record) == record
    assert not is_unaltered({**record, "b": [1, 2.5, 0]}) and not is_unaltered({**record, "c": 1})
    assert not is_unaltered_row({**with_crc32(ROW), "loss": 0.2})
    assert is_unaltered(RECORD) and is_unaltered_row(ROW), "written without a checksum"


def test_every_flip_of_a_sealed_file_is_seen() -> None:
    content = sealed(b"head " + UNSEALED.encode() + b" tail")
    assert is_sealed(content) and content.index(b"sha256 ") == 5 and len(content) == 10 + len(UNSEALED)
    for at in range(len(content)):
        altered = bytearray(content)
        altered[at] ^= 1
        assert not is_sealed(bytes(altered)), at
    assert not is_sealed(content[:-1]) and not is_sealed(b"head tail")
    with pytest.raises(AssertionError, match="one place"):
        sealed(b"no place")


def test_the_checksum_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
