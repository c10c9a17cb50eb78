"""What the README shows is what works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_lines_of_python_run(capsys) -> None:
    [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"[\d.]+ ± [\d.]+, 95 % in -?[\d.]+ to [\d.]+", lines[0])
    assert re.fullmatch(r"torch\.Size\(\[4, \d+\]\)", lines[1])
    assert lines[2].startswith("process:emoji|")
    near, far = (float(line.rsplit(" ", 1)[1]) for line in lines[3:])
    assert near < far


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(((?!https?:)[^)#]+)\)", README)
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).exists()] == []


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
