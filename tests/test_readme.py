"""What the README shows is what works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CARD = (ROOT / "src/conjure/processes/emoji/README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(((?!https?:)[^)#]+)(?:#[^)]*)?\)")


def test_the_lines_of_python_run(capsys) -> None:
    [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"[\d.]+ ± [\d.]+, 95 % in -?[\d.]+ to [\d.]+", lines[0])
    assert re.fullmatch(r"torch\.Size\(\[4, \d+\]\)", lines[1])
    assert lines[2].startswith("process:emoji|")
    near, far = (float(line.rsplit(" ", 1)[1]) for line in lines[3:])
    assert near < far


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert len(targets) > 10 or page.name != "README.md"
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_algorithm_1_is_the_first_link() -> None:
    assert LINK.findall(README)[0] == "src/conjure/core/reference.py"


def test_the_agreement_shown_is_that_of_the_model_card() -> None:
    [table] = re.findall(r"<!-- table -->\n(.*?)<!-- end of table -->", README, re.DOTALL)
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert len(rows) == 4
    for name, pairs, mean in rows:
        assert f"| {name} | {pairs} | {mean} |" in CARD


def test_the_extras_named_are_those_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = set(re.findall(r"`conjure\[(\w+)\]`", README))
    assert named == project["optional-dependencies"].keys() - {"test", "dev", "rivals", "parquet"}


def test_the_version_cited_is_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"version = {{{project['version']}}}" in README


def test_the_pins_lie_within_the_ranges() -> None:
    from packaging.requirements import Requirement

    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = sum(project["optional-dependencies"].values(), [])
    for line in [*project["dependencies"], *extras]:
        wanted = Requirement(line)
        if wanted.name != "conjure":
            assert wanted.specifier.contains(pins[wanted.name]), line
