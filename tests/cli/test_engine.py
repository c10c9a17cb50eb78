"""--engine ray: what is refused in one line, before anything is loaded."""

from __future__ import annotations

import importlib.util

import pytest

import conjure
from conjure.cli.main import main


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """The line on stderr of a command that is refused; no process is loaded."""
    monkeypatch.setattr(conjure, "load", None, raising=False)
    (tmp_path / "pairs.csv").write_text("text1,text2\na,b\n")
    monkeypatch.chdir(tmp_path)

    def refuse(*arguments: str) -> str:
        assert main(arguments) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.csv"]
        return line

    return refuse


SCORE = ("score", "pairs.csv", "--out", "out.csv")
CASES = [
    ((*SCORE, "--workers", "2"), "--workers goes with --engine ray"),
    ((*SCORE, "--gpus-per-worker", "1"), "--gpus-per-worker goes with --engine ray"),
    ((*SCORE, "--address", "auto"), "--address goes with --engine ray"),
    ((*SCORE, "--engine", "dask"), "'dask' is not one of 'local', 'ray'"),
    ((*SCORE, "--engine", "ray", "--workers", "0"), "0 is not in the range"),
    ((*SCORE, "--engine", "ray", "--gpus-per-worker", "2"), "2.0 is not in the range"),
    ((*SCORE, "--engine", "ray", "--shard", "1/2"), "--shard cannot go with --engine ray"),
    ((*SCORE, "--engine", "ray", "--resume", "verify"), "leave --engine ray out"),
    ((*SCORE, "--engine", "ray", "--baseline", "bert-mean"), "--baseline is computed here"),
    ((*SCORE, "--engine", "ray", "--device", "cuda:1"), "write --device cuda"),
    ((*SCORE, "--engine", "ray", "--address", "ray://head:10001"), "Ray Client"),
    (("score", "pairs.csv", "--out", "-", "--engine", "ray"), "give --run DIR"),
    (("distance", "a", "--to", "pairs.csv", "--engine", "ray"), "give --out FILE"),
    (("distance", "a", "b", "--engine", "ray"), "give --to FILE and --out FILE"),
    (("evaluate", "pairs.csv", "--engine", "ray"), "give --run DIR"),
]


@pytest.mark.parametrize(("arguments", "why"), CASES, ids=lambda value: str(value)[-40:])
def test_what_cannot_be_is_refused(refused, arguments, why):
    assert why in refused(*arguments)


def test_without_ray_the_line_says_how_to_get_it(refused, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = refused(*SCORE, "--engine", "ray")
    assert line == "conjure: --engine ray needs Ray: pip install 'conjure[ray]'"


def test_a_cluster_that_does_not_answer_is_one_line(refused):
    line = refused(*SCORE, "--engine", "ray", "--address", "127.0.0.1:1")
    assert "no cluster of Ray answers at '127.0.0.1:1'" in line
