"""Checksums inside files: what was altered since it was written is not trusted.

A JSON record holds the SHA-256 of its other fields, a line of a log the CRC-32 of its other fields, and a binary file
the SHA-256 of itself with zeros in place of these digits. A record or a line without a checksum is taken as it is: it
was written without, or nothing but the name of the checksum was altered.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SHA256, CRC32 = "sha256", "crc32"
UNSEALED = f"{SHA256} {'0' * 64}"  # write this somewhere into a binary file, then seal it
SEAL = re.compile(rb"sha256 [0-9a-f]{64}")


def with_sha256(record: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON record with its checksum as the last field."""
    return {**record, SHA256: _sha256(record)}


def is_unaltered(record: Mapping[str, Any]) -> bool:
    """Does the checksum of a record fit, if it has one?"""
    return SHA256 not in record or record[SHA256] == _sha256(record)


def with_crc32(row: Mapping[str, float]) -> dict[str, float]:
    """A line of a log with its checksum as the last field; numbers only."""
    return {**row, CRC32: _crc32(row)}


def is_unaltered_row(row: Mapping[str, Any]) -> bool:
    """Does the checksum of a line fit, if it has one?"""
    return CRC32 not in row or row[CRC32] == _crc32(row)


def sealed(content: bytes) -> bytes:
    """The content of a file that has `UNSEALED` in it, with the checksum in its place."""
    place = UNSEALED.encode()
    assert content.count(place) == 1, "one place for the checksum"
    return content.replace(place, f"{SHA256} {hashlib.sha256(content).hexdigest()}".encode())


def is_sealed(content: bytes) -> bool:
    """Does the content of a file have a checksum that fits?"""
    found = SEAL.search(content)
    return found is not None and sealed(content.replace(found[0], UNSEALED.encode())) == content


def file_sha256(path: Path) -> str:
    """Of a file's content, which is not held in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(_without(SHA256, record)).hexdigest()


def _crc32(row: Mapping[str, Any]) -> int:
    return zlib.crc32(_without(CRC32, row))


def _without(name: str, record: Mapping[str, Any]) -> bytes:
    """Whatever the order of the fields and the white space are in the file."""
    return json.dumps({key: value for key, value in record.items() if key != name}, sort_keys=True).encode()
