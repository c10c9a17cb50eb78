"""``conjure calibrate`` from the command line: what it writes, what results then say, refusals."""

from __future__ import annotations

import json

import pytest

import conjure
from conjure.cli.main import main
from conjure.runs.calibrating import calibration_pairs


@pytest.fixture(scope="module")
def process(tiny_pipeline) -> list[str]:
    return ["--process", str(tiny_pipeline), "--steps", "1", "--device", "cpu"]


@pytest.mark.filterwarnings("ignore::conjure.core.errors.PromptTruncatedWarning")
@pytest.mark.filterwarnings("ignore::conjure.core.errors.UnknownTokensWarning")
def test_results_then_say_where_they_lie(process, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    pair = [*calibration_pairs().paraphrases[0]]
    assert main(["distance", *pair, *process]) == 0
    assert "unrelated" not in capsys.readouterr().out
    assert main(["calibrate", *process]) == 0
    printed = capsys.readouterr()
    assert "320 pairs: " in printed.err
    assert "references written" in printed.err
    assert printed.out.splitlines()[0].split()[:2] == ["estimand", "unrelated"]
    assert main(["distance", *pair, *process]) == 0
    [line] = [one for one in capsys.readouterr().out.splitlines() if one.startswith("near ")]
    assert "of 160 unrelated pairs" in line
    assert main(["distance", *pair, *process, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    loaded = conjure.load(process[1], steps=1, device="cpu")
    unrelated = [
        one.value for one in conjure.distances(calibration_pairs().unrelated, process=loaded)
    ]
    farther = sum(value > found["value"] for value in unrelated) / 160
    assert found["similarity"] == pytest.approx(farther, abs=0.5 / 160 + 1e-9)
    assert found["reference"]["words"] in line
    assert main(["distance", *pair, *process[:2], "--steps", "2", "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert other["similarity"] is other["reference"] is None
    assert main(["calibrate", *process]) == 2
    assert "is calibrated in" in capsys.readouterr().err


def test_refusals(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    for flags, says in (
        (["--out", "-"], "not written to stdout"),
        (["--out", str(tmp_path / "file")], "is a file"),
        (["--samples", "0"], "samples must be"),
        (["--process", "lm=x"], "is a baseline"),
        (["--max-memory", "much"], "no amount of memory"),
    ):
        assert main(["calibrate", "--process", "nowhere/at-all", *flags]) == 2
        assert says in capsys.readouterr().err
