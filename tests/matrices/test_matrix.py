"""``conjure.matrix``: the library's distances, kept as they finish, saved and read again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import conjure
from conjure.core.errors import InputError
from conjure.core.spec import Spec
from conjure.matrices.measure import measure_matrix
from conjure.matrices.record import Matrix
from conjure.runs.terms import TermStore

TEXTS = ["c", "a", "h", "b"]
CLASSES = ["one", "one", "two", "two"]


@pytest.fixture(scope="module")
def process():
    from conftest import CountingGaussians

    return CountingGaussians(guidance=2.0)


@pytest.fixture(scope="module")
def directed(process) -> Matrix:
    return conjure.matrix(TEXTS, process=process, samples=3, estimand="kl", classes=CLASSES)


@pytest.mark.parametrize("estimand", ["jeffreys", "kl", "initial", "coupled"])
def test_each_entry_is_the_librarys_distance(process, estimand) -> None:
    found = conjure.matrix(TEXTS, process=process, samples=3, seed=5, estimand=estimand)
    for i, j in itertools.product(range(4), repeat=2):
        alone = conjure.distance(
            TEXTS[i], TEXTS[j], process=process, samples=3, seed=5, estimand=estimand
        )
        assert found.values[i, j] == pytest.approx(alone.value, rel=1e-9)
        assert found.standard_errors is not None
        assert found.standard_errors[i, j] == pytest.approx(alone.standard_error, rel=1e-9)
    assert found.is_symmetric == (estimand != "kl")
    assert found.signature == alone.signature
    assert found.samples == 3


def test_one_sample_has_no_errors(process) -> None:
    assert conjure.matrix(["a", "b"], process=process).standard_errors is None


def test_progress_counts_pairs(process) -> None:
    seen: list[tuple[int, int]] = []
    conjure.matrix(TEXTS, process=process, progress=lambda *one: seen.append(one))
    assert seen == [(n, 6) for n in range(1, 7)]


def test_a_directed_matrix_is_read_in_both_ways(directed) -> None:
    mean = (directed.values + directed.values.T) / 2
    assert not directed.is_symmetric
    assert np.array_equal(directed.symmetric_values, mean)
    near = directed.nearest(2)["h"]
    row = directed.values[2]
    assert [one.value for one in near] == sorted(value for value in row if value)[:2]
    assert near[0].place == int(np.argsort(row)[1])


def test_the_squared_differences_at_noise_are_distances_of_points(process) -> None:
    found = conjure.matrix(TEXTS, process=process, estimand="initial")
    assert found.mds(3).stress == pytest.approx(0, abs=1e-6)
    assert found.mds().negative == pytest.approx(0, abs=1e-9)


def test_the_test_reads_the_classes(directed) -> None:
    assert directed.between_within().divisions == 3
    swapped = directed.between_within(classes=["x", "y", "x", "y"])
    assert {swapped.within, swapped.between} != {directed.between_within().within}
    with pytest.raises(InputError, match="no classes"):
        Matrix.between_within(conjure.matrix(TEXTS, process=_fresh()))
    with pytest.raises(InputError, match="3 classes for 4 texts"):
        directed.between_within(classes=["x", "y", "x"])


def _fresh():
    from conftest import CountingGaussians

    return CountingGaussians(guidance=2.0)


@pytest.mark.parametrize("end", ["csv", "tsv", "jsonl", "parquet", "npz"])
@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("estimand", ["jeffreys", "kl"])
def test_what_is_saved_is_read_to_the_last_bit(process, tmp_path, end, samples, estimand) -> None:
    found = conjure.matrix(
        ["c", "a", "h"], process=process, samples=samples, estimand=estimand, classes=list("xxy")
    )
    path = tmp_path / f"words.{end}"
    found.save(path)
    again = Matrix.load(path)
    assert (again.texts, again.classes) == (found.texts, found.classes)
    assert np.array_equal(again.values, found.values)
    if samples == 1:
        assert again.standard_errors is found.standard_errors is None
    else:
        assert np.array_equal(again.standard_errors, found.standard_errors)
    assert (again.signature, str(again.signature)) == (found.signature, str(found.signature))
    with pytest.raises(InputError, match="exists already"):
        found.save(path)
    found.save(path, overwrite=True)


def test_a_table_that_lost_a_row_is_refused(directed, tmp_path) -> None:
    path = tmp_path / "words.csv"
    directed.save(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(InputError, match="damaged"):
        Matrix.load(path)
    path.write_text("\n".join([*lines[:-1], lines[1]]) + "\n")  # one row twice
    with pytest.raises(InputError, match="damaged"):
        Matrix.load(path)
    path.write_text("\n".join([*lines[:-1], f"z{lines[-1][1:]}"]))
    with pytest.raises(InputError, match="damaged"):
        Matrix.load(path)


def test_foreign_files_are_refused(tmp_path) -> None:
    for name, content in (("a.npz", b"PK nothing"), ("b.csv", b"x,y\n1,2\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"damaged|no such file"):
            Matrix.load(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        Matrix.load(tmp_path / "c.npz")
    with pytest.raises(InputError, match="unknown format"):
        Matrix.load(tmp_path / "c.txt")


def test_a_stopped_matrix_goes_on(tmp_path) -> None:
    process, spec = _fresh(), Spec(2)
    whole = measure_matrix(TEXTS, process, spec)
    rows, process.rows = process.rows, 0

    class Stopped(Exception):
        pass

    def stop(done: int, _: int) -> None:
        if done == 3:
            raise Stopped

    with TermStore(tmp_path / "run", process) as kept, pytest.raises(Stopped):
        measure_matrix(TEXTS, process, spec, progress=stop, kept=kept)
    process.rows = 0
    with TermStore(tmp_path / "run", process) as kept:
        missing = kept.missing(list(itertools.combinations(TEXTS, 2)), [0, 1], spec)
        assert 0 < sum(map(len, missing.values())) < len(TEXTS) * (len(TEXTS) - 1) // 2
        found = measure_matrix(TEXTS, process, spec, kept=kept)
    assert 0 < process.rows < rows
    assert found.values == pytest.approx(whole.values, rel=1e-12)
    process.rows = 0
    with TermStore(tmp_path / "run", process) as kept:  # in another order, for another estimand
        again = measure_matrix(TEXTS[::-1], process, spec, kept=kept)
        measure_matrix(TEXTS, process, Spec(1, estimand="kl"), kept=kept)
    assert process.rows == 0
    assert np.array_equal(again.values, found.values[::-1, ::-1])


@pytest.mark.parametrize(
    ("texts", "settings", "says"),
    [
        ("abc", {}, "must be a list of texts"),
        (["a"], {}, "give two or more"),
        (["a", "b", "a"], {}, "text 3 is text 1 again"),
        (["a", " "], {}, "text 2 is empty"),
        (["a", "b"], {"classes": ["x"]}, "1 classes for 2 texts"),
        (["a", "b"], {"classes": ["x", ""]}, "class of text 2"),
        (["a", "b"], {"samples": 0}, "samples must be"),
        (["a", "b"], {"estimand": "nothing"}, "unknown estimand"),
    ],
)
def test_refusals(process, texts, settings, says) -> None:
    with pytest.raises(InputError, match=says):
        conjure.matrix(texts, process=process, **settings)


def test_a_tolerance_is_refused(process) -> None:
    with pytest.raises(InputError, match="tolerance"):
        measure_matrix(TEXTS, process, Spec(2, tolerance=0.1))


def test_as_pandas(directed) -> None:
    frame = directed.to_pandas()
    assert frame.loc["c", "h"] == directed.values[0, 2]
    assert [*frame.columns] == TEXTS
