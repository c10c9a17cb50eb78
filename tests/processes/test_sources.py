"""Processes by name: entry points of installed packages, and what ``load`` refuses about them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from folder_tools import refusal

import conjure
from conjure.cli.main import main
from conjure.core.checks import checked_process
from conjure.core.errors import InputError
from conjure.core.gaussian import GaussianProcess
from conjure.processes import load, sources

EXAMPLES = Path(__file__).parents[2] / "examples"
MODULE = """
import torch
from conjure.core.gaussian import GaussianProcess

NAMED = {"a": (torch.zeros(2), torch.eye(2)), "b": (torch.ones(2), torch.eye(2))}
calls = []

def thing(steps: int = 3, batch_size: int = 7):
    calls.append(steps)
    return GaussianProcess(NAMED, steps=steps, batch_size=batch_size)

def anything(**settings):
    calls.append(settings)
    return GaussianProcess(NAMED)

ready = GaussianProcess(NAMED, steps=4)
number = 3

def nothing():
    return None

def broken():
    raise KeyError("weights")
"""


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Installs a package with processes, as pip would: its module, and metadata on the path."""

    def install(package, module=MODULE, **entries):
        place = tmp_path / package
        info = place / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (place / f"{package}_code.py").write_text(module)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {package}_code:{value}" for name, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{sources.GROUP}]", *lines]))
        monkeypatch.syspath_prepend(place)
        monkeypatch.delitem(sys.modules, f"{package}_code", raising=False)

    return install


def calls(package="mypkg"):
    return sys.modules[f"{package}_code"].calls


@pytest.mark.parametrize("source", ["thing", "mypkg:thing", "mypkg_code:thing"])
def test_an_installed_process_has_three_names(install, source):
    install("mypkg", thing="thing")
    process = load(source, steps=5)
    assert isinstance(process, GaussianProcess)
    assert (len(process.schedule), process.batch_size) == (5, 7)
    assert conjure.distance("a", "b", process=process).value > 0


def test_a_process_that_is_ready_is_taken_as_it_is(install):
    install("mypkg", ready="ready")
    process = load("mypkg:ready")
    assert process is load("ready")
    assert len(process.schedule) == 4
    assert refusal("mypkg:ready", steps=5) == (
        "mypkg:ready does not take steps: it takes no settings"
    )


def test_only_what_was_chosen_is_passed_on(install):
    install("mypkg", anything="anything")
    load("anything")
    load("anything", guidance=2, device="cpu", allow_code=True)
    assert calls() == [{}, {"guidance": 2, "device": "cpu"}]


def test_a_setting_that_it_does_not_take_is_refused(install):
    install("mypkg", thing="thing")
    line = refusal("thing", guidance=3, steps=2)
    assert line == "thing does not take guidance: it takes steps, batch_size"
    assert calls() == []
    assert "steps must be a whole number" in refusal("thing", steps=0)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("number", "number is 3: it should be a process, or a callable that returns one"),
        ("nothing", "process None has no name, revision"),
        ("broken", "broken cannot be loaded: KeyError: 'weights'"),
        ("missing", "missing cannot be loaded: AttributeError: "),
    ],
)
def test_what_is_no_process_is_one_line(install, name, says):
    install("mypkg", **{name: name})
    assert refusal(name).startswith(says)


def test_a_module_that_cannot_be_imported_is_one_line(install):
    install("mypkg", module="import not_there_at_all", thing="thing")
    assert refusal("thing") == (
        "thing cannot be loaded: ModuleNotFoundError: No module named 'not_there_at_all'"
    )


def test_unknown_names_list_the_known_ones(install):
    install("mypkg", thing="thing")
    line = refusal("mypkg:thong")
    assert "no installed package registers mypkg:thong" in line
    assert "emoji" in line
    assert "thing" in line
    assert "conjure.processes" in line
    assert "conjure knows emoji" in refusal("nothing:./a-folder")


def test_an_unknown_bare_name_lists_them_too(install, monkeypatch):
    from conjure.processes import hub

    install("mypkg", thing="thing")
    monkeypatch.setattr(hub, "reachable", lambda settings: False)
    assert "(processes that have a name: emoji, " in refusal("thong")
    assert "thing" in refusal("thong")
    assert "have a name" not in refusal("someone/thong")


def test_two_packages_with_one_name_are_told_apart(install):
    install("one", thing="thing")
    install("two", thing="ready")
    assert refusal("thing") == (
        "two packages have a process thing: write one_code:thing or two_code:ready"
    )
    assert len(load("one:thing").schedule) == 3
    assert len(load("two:thing").schedule) == 4
    assert len(load("two_code:ready").schedule) == 4


def test_a_folder_of_the_same_name_is_not_guessed(install, tmp_path, monkeypatch):
    install("mypkg", thing="thing")
    monkeypatch.chdir(tmp_path)
    Path("thing").mkdir()
    assert "both an installed process and a folder" in refusal("thing")
    assert len(load("mypkg:thing").schedule) == 3
    assert "no model_index.json" in refusal("./thing")


def test_the_bundled_process_keeps_its_name(install):
    install("mypkg", emoji="thing")
    assert load("emoji", steps=2).name == "emoji"
    assert isinstance(load("mypkg:emoji"), GaussianProcess)


def test_code_that_nobody_registered_runs_only_where_it_is_allowed(install):
    install("mypkg", other="ready")
    line = refusal("mypkg_code:thing")
    assert "allow_code=True (--allow-code)" in line
    assert "mypkg_code" not in sys.modules
    assert len(load("mypkg_code:thing", allow_code=True).schedule) == 3
    assert "allow_code must be True or False" in refusal("mypkg_code:thing", allow_code="yes")


def test_a_folder_with_a_colon_in_its_name_is_a_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder.rename("a:b")
    assert load("a:b", steps=2).name == "a:b"


def test_our_own_schemes_get_the_rest_and_the_settings(monkeypatch, install):
    install("mypkg", other="ready")
    taken = {"made:REST": "elsewhere:made", "single": "elsewhere:single"}
    monkeypatch.setattr(sources, "SOURCES", taken)
    named = {"a": (torch.zeros(2), torch.eye(2))}

    def made(rest, steps=2):
        assert rest == "some/where:else"
        return GaussianProcess(named, steps=steps)

    functions = {"elsewhere:made": made, "elsewhere:single": lambda: GaussianProcess(named)}
    monkeypatch.setattr(sources, "_ours", functions.__getitem__)
    assert len(load("made:some/where:else").schedule) == 2
    assert len(load("made:some/where:else", steps=6).schedule) == 6
    assert refusal("made:some/where:else", guidance=2).endswith("guidance: it takes steps")
    assert refusal("made:") == "made: is incomplete: write made:REST"
    assert len(load("single").schedule) == 10
    assert sources.known_sources()[:3] == ["emoji", "made:REST", "single"]


def test_the_command_line_measures_in_it(install, capsys):
    install("mypkg", thing="thing")
    assert main(["distance", "a", "b", "--process", "mypkg:thing", "--steps", "2"]) == 0
    assert "gaussian" in capsys.readouterr().out
    assert main(["distance", "a", "b", "--process", "mypkg:other"]) == 2
    assert "registers mypkg:other" in capsys.readouterr().err
    assert main(["show", "a", "--process", "thing", "--out", "x.png"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["score", "x.csv", "--baseline", "paragon", "--process", "thing"]) == 2


# ------------------------------------------------------------------ the example


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched, torch.random.fork_rng():
        patched.syspath_prepend(EXAMPLES)
        return load("points:Points", steps=12, allow_code=True)


def test_the_example_keeps_the_contract(points):
    assert checked_process(points) is points
    lines = (EXAMPLES / "points.py").read_text().splitlines()
    prose = ('"""', "import ", "from ", "#")
    assert sum(bool(s.strip()) and not s.strip().startswith(prose) for s in lines) < 40
    with pytest.raises(InputError, match="'up' is no place"):
        conjure.distance("north", "up", process=points)


def test_the_example_learns_its_divergences(points):
    """Each word is a Gaussian, so they are known: those of the exact process on the same steps."""
    places = sys.modules["points"].PLACES
    exact = GaussianProcess(
        {word: (torch.tensor(mean), 0.25 * torch.eye(2)) for word, mean in places.items()},
        steps=12,
    )
    exact.schedule = points.schedule
    exact._sigmas = points.sigmas.double()
    for other in ("east", "west", "south"):
        own, known = (
            conjure.distance("north", other, process=process, samples=8).value
            for process in (points, exact)
        )
        assert own == pytest.approx(known, rel=0.15)
    assert conjure.distance("north", "north", process=points).value == 0


def test_the_example_runs_as_a_program():
    source = (EXAMPLES / "points.py").read_text().replace("range(2000)", "range(20)")
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.split()[2] for line in done.stdout.splitlines()] == [
        *("north", "east", "south", "west")
    ]
