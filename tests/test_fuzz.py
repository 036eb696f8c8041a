"""What `fuzz.py` would notice, and what the inputs do to files. `make fuzz` runs it."""

import json
from collections.abc import Sequence
from pathlib import Path

import fuzz
import pytest
from fuzz import Failed, Tally, check, signature
from fuzz_inputs import Change, Input, _edited, _places, inputs
from hypothesis import given, settings
from hypothesis import strategies as st

LIST = Input(("list",))


def main_that(monkeypatch: pytest.MonkeyPatch, act) -> None:
    monkeypatch.setattr("grok_interp.cli.main", act)


def test_a_traceback_is_noticed_and_named_by_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Sequence[str]) -> int:
        from grok_interp.counted import counted

        return len(counted(["no number"], "run"))  # type: ignore[arg-type]

    main_that(monkeypatch, broken)
    with pytest.raises(Failed, match="unsupported format string") as failed:
        check(LIST, Tally())
    assert signature(str(failed.value)).startswith('grok_interp/counted.py", line ')


@pytest.mark.parametrize(("code", "printed"), [(1, "wrong"), (2, ""), (3, " \n")])
def test_an_undocumented_exit_code_and_one_without_a_message_are_noticed(
    code: int, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    main_that(monkeypatch, lambda _: print(printed) or code)  # noqa: T201
    with pytest.raises(Failed, match=f"exit code {code}"):
        check(LIST, Tally())


def test_an_input_that_takes_too_much_cpu_time_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_: Sequence[str]) -> int:
        while True:
            pass

    main_that(monkeypatch, endless)
    monkeypatch.setattr(fuzz, "CPU_SECONDS", 0.2)
    with pytest.raises(Failed, match=r"more than 0.2 s of CPU time(.|\n)*in endless"):
        check(LIST, Tally())


def test_what_is_documented_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally()
    for code in fuzz.CODES:
        main_that(monkeypatch, lambda _, code=code: print("a message") or code)  # noqa: T201
        check(LIST, tally)
    assert tally.codes == dict.fromkeys(fuzz.CODES, 1)


def test_every_value_of_a_json_document_has_a_place() -> None:
    document = {"a": [1, {"b": 2}], "c": {}}
    for container, key in (places := _places(document)):
        assert container[key] is not None
    assert [key for _, key in places] == ["a", "c", 0, 1, "b"]


@settings(deadline=None, max_examples=30)
@given(_edited("config.json"))
def test_an_edit_changes_a_config_and_drops_its_checksum(change: Change) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps({"train": {"n": 5, "steps": [0, 2]}, "sha256": "00"}))
        change.act(file)
        assert "sha256" not in json.loads(file.read_text())


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_each_kind_of_input_names_a_command_and_files_that_exist(data: st.DataObject) -> None:
    template = Path(__file__).parent / "data"  # any folder; it stays as it is
    files = ("run/config.json", "run/results/a.nc.gz", "modular/metrics.jsonl", "text/a.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rglob", lambda *_: iter(template / file for file in files))
        patch.setattr(Path, "is_file", lambda _: True)
        kinds = inputs(template, {("train", "copier-tiny", "--run", "new"): ("--n-steps",)})
    assert set(kinds) == {"arguments", "run folders", "configs", "results", "bytes", "corpora"}
    drawn = data.draw(st.one_of(*kinds.values()))
    assert drawn.words[0] in {"train", "list", "audit", "analyze", "report", "reproduce"}
    assert all(change.file.split("/")[0] in {"run", "modular", "text"} for change in drawn.changes)
