"""Files that are whole or not there, and notice a changed byte."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grok_interp.files import DamagedFileError, write_atomically, write_text
from grok_interp.runs.checkpoint_files import (
    load_state,
    load_weights,
    save_state,
    save_weights,
)

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(5, dtype=torch.bfloat16)}


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0b0100
    path.write_bytes(bytes(content))


def test_weights_come_back_as_they_were(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", WEIGHTS, {"step": "7"})
    weights, metadata = load_weights(tmp_path / "w.safetensors")
    assert metadata == {"step": "7"}
    assert all(
        torch.equal(weights[name], WEIGHTS[name]) and weights[name].dtype == WEIGHTS[name].dtype for name in WEIGHTS
    )


@given(share=st.floats(0, 1, exclude_max=True))
def test_one_flipped_bit_anywhere_in_the_weights_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    path = tmp_path_factory.mktemp("flip") / "w.safetensors"
    save_weights(path, WEIGHTS, {"step": "7"})
    flip(path, int(share * path.stat().st_size))
    with pytest.raises(DamagedFileError, match="damaged.*delete it to go on without"):
        load_weights(path)


@pytest.mark.parametrize("kept", [0, 1, 20, 200, -1])
def test_weights_cut_short_are_noticed(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, WEIGHTS, {})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DamagedFileError, match=r"w\.safetensors is"):
        load_weights(path)


@given(share=st.floats(0, 1, exclude_max=True))
def test_one_flipped_bit_in_a_training_state_is_noticed(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    path = tmp_path_factory.mktemp("flip") / "s.state"
    save_state(path, {"step": 3, "moments": [torch.rand(4)]})
    flip(path, int(share * path.stat().st_size))
    with pytest.raises(DamagedFileError, match="SHA-256"):
        load_state(path, torch.device("cpu"))


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    save_state(tmp_path / "s.state", {"step": 3, "moments": {"m": torch.arange(4.0)}})
    state = load_state(tmp_path / "s.state", torch.device("cpu"))
    assert state["step"] == 3
    assert state["moments"]["m"].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "notes", "old")

    def fail_halfway(scratch: Path) -> None:
        scratch.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "notes", fail_halfway)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"notes": "old"}


def test_others_may_read_what_they_may_read_of_any_new_file(tmp_path: Path) -> None:
    save_weights(tmp_path / "weights.safetensors", {"w": torch.ones(3)}, {})
    (tmp_path / "plain.txt").write_text("")
    assert (tmp_path / "weights.safetensors").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode
