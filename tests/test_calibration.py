"""Calibration: the percentile's definition, what finds a reference, and the one that ships."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import conjure
from conjure.calibration.lookup import PAIRS, SHIPPED, find_reference, place_of
from conjure.calibration.reference import Reference, quantile, reference_key
from conjure.core.errors import InputError
from conjure.core.gaussian import GaussianProcess
from conjure.core.spec import Signature, Spec, sign
from conjure.runs.calibrating import (
    calibrate,
    calibrated_estimands,
    calibration_pairs,
    reference_files,
    save_references,
)

REBUILD = (
    "the reference that ships is not of the bundled process: run\n"
    "  rm -f src/conjure/calibration/references/*.json && conjure calibrate --samples 2 "
    "--out src/conjure/calibration/references"
)


def made(unrelated, paraphrases=None) -> Reference:
    near = sorted(paraphrases or [value / 2 for value in unrelated])
    return Reference(Signature({}), 1, 0, "x", tuple(sorted(unrelated)), tuple(near))


FORTY = [float(n) for n in range(1, 41)]


class TestSimilarity:
    def test_at_the_measured_distances_it_is_one_less_the_mid_rank(self) -> None:
        reference = made(FORTY)
        for n, value in enumerate(FORTY, start=1):
            assert reference.similarity(value) == pytest.approx(1 - (n - 0.5) / 40)

    def test_the_ends(self) -> None:
        reference = made(FORTY)
        assert reference.similarity(0) == 1
        assert reference.similarity(0.5) == pytest.approx((1 + 1 - 0.5 / 40) / 2)
        assert reference.similarity(80) == pytest.approx(0.5 / 40 / 2)
        assert 0 < reference.similarity(1e300) < 1e-290
        assert reference.similarity(20.5) == pytest.approx(0.5)  # the median

    def test_equal_distances_share_their_mean_rank(self) -> None:
        reference = made([1.0] * 10 + [2.0] * 20 + [3.0] * 10)
        assert reference.similarity(2.0) == pytest.approx(0.5)
        assert reference.similarity(1.0) == pytest.approx(1 - 5 / 40)
        assert made([2.0] * 30).similarity(2.0) == pytest.approx(0.5)

    @given(
        st.lists(st.floats(0.01, 1000), min_size=20, max_size=40),
        st.floats(0, 2000),
        st.floats(0, 2000),
    )
    def test_it_falls_strictly_within_0_and_1(self, unrelated, one, other) -> None:
        reference = made(unrelated)
        low, high = sorted((one, other))
        near, far = reference.similarity(low), reference.similarity(high)
        assert 0 < far <= near <= 1
        if high - low > 1e-6 * (1 + high):
            assert far < near

    def test_it_counts_the_unrelated_that_are_farther(self) -> None:
        draw = np.random.default_rng(0)
        unrelated = draw.lognormal(5, 0.5, size=200)
        reference = made(unrelated.tolist())
        for value in draw.lognormal(5, 0.5, size=50):
            farther = (unrelated > value).mean()
            assert abs(reference.similarity(float(value)) - farther) <= 0.5 / 200 + 1e-12

    def test_words(self) -> None:
        reference = made(FORTY, [float(n) for n in range(1, 21)])
        assert reference.words(0.5) == (
            "closer than all 40 unrelated pairs; none of 20 paraphrases are closer still"
        )
        assert reference.words(10.2).startswith("closer than 76 % of 40 unrelated pairs; 50 %")
        assert reference.words(50.0).startswith("farther than all 40 unrelated pairs; all of 20")
        assert "closer than 99 %" in reference.words(1.0)

    def test_how_far_apart_the_kinds_are(self) -> None:
        assert made(FORTY, FORTY).separation == pytest.approx(0.5)
        assert made(FORTY, [0.5] * 20).separation == 1
        near = [3.5, 7.0] * 10
        every = [(0.5 if a == b else float(a < b)) for a in near for b in FORTY]
        assert made(FORTY, near).separation == pytest.approx(np.mean(every))
        assert quantile(FORTY, 0.5) == pytest.approx(np.quantile(FORTY, 0.5))
        assert quantile(FORTY, 1) == 40

    @pytest.mark.parametrize(
        ("unrelated", "says"),
        [
            ([1.0] * 19, "20 unrelated"),
            ([0.0, *FORTY], "does not tell them apart"),
            ([math.inf, *FORTY], "finite"),
            ([-1.0, *FORTY], "at least 0"),
        ],
    )
    def test_what_is_no_reference_is_refused(self, unrelated, says) -> None:
        with pytest.raises(InputError, match=says):
            made(unrelated, FORTY)
        with pytest.raises(InputError, match="sorted"):
            Reference(Signature({}), 1, 0, "x", tuple(FORTY[::-1]), tuple(FORTY))


class Texts(GaussianProcess):
    """A Gaussian for each text of the list."""

    def __init__(self, **settings) -> None:
        import torch

        texts = {text for pair in calibration_pairs().all for text in pair} | {"a", "b", ""}
        draw = torch.Generator().manual_seed(0)
        named = {text: (torch.randn(2, generator=draw), torch.eye(2)) for text in sorted(texts)}
        super().__init__(named, **settings)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("CONJURE_CALIBRATION", raising=False)
    return tmp_path / "data" / "conjure" / "calibration"


class TestLookup:
    def test_a_process_is_calibrated_and_found(self, home) -> None:
        process = Texts()
        process.revision = "one"
        before = conjure.distance("a", "b", process=process)
        assert before.similarity is before.reference is None
        found = calibrate(process, samples=2, seed=3)
        assert {*found} == {*calibrated_estimands(process)} >= {"jeffreys", "kl", "output"}
        paths = save_references(found)
        assert {path.parent for path in paths} == {home}
        assert sorted(paths) == sorted(reference_files(process, None))
        pairs = calibration_pairs()
        for name in ("jeffreys", "kl", "initial", "coupled"):
            alone = conjure.distances(
                pairs.unrelated, process=process, samples=2, seed=3, estimand=name
            )
            expected = sorted(one.value for one in alone)
            assert found[name].unrelated == pytest.approx(expected, rel=1e-6)
            one = conjure.distance("a", "b", process=process, samples=5, estimand=name)
            assert one.reference == found[name]  # whatever k and seed
            assert one.similarity == found[name].similarity(one.value)
        assert f"similarity {one.similarity:.3f}" in repr(one)
        assert one.to_pandas()["similarity"][0] == one.similarity
        assert "unrelated pairs" in one._repr_html_()
        assert conjure.distance("a", "a", process=process).similarity == 1

    def test_other_settings_are_not_calibrated(self, home) -> None:
        process = Texts()
        process.revision = "one"
        save_references(calibrate(process))
        assert conjure.distance("a", "b", process=process, samples=2, seed=9).similarity
        for settings in ({"cross_steps": 1}, {"estimand": "pointwise:1"}):
            assert conjure.distance("a", "b", process=process, **settings).similarity is None
        for changed in (Texts(guidance=3.0), Texts(steps=4), Texts()):
            changed.revision = "one"
            if changed.guidance == process.guidance and len(changed.schedule) == len(
                process.schedule
            ):
                changed.revision = "two"
            assert conjure.distance("a", "b", process=changed).similarity is None

    def test_a_folder_of_ones_own(self, home, tmp_path, monkeypatch) -> None:
        process = Texts()
        process.revision = "one"
        save_references(calibrate(process), tmp_path / "mine")
        assert conjure.distance("a", "b", process=process).similarity is None
        monkeypatch.setenv("CONJURE_CALIBRATION", str(tmp_path / "mine"))
        assert conjure.distance("a", "b", process=process).similarity is not None

    @pytest.mark.parametrize("content", ["", "{}", "[]", '{"reference": 2}', '{"reference": 1}'])
    def test_a_damaged_file_is_said(self, home, content) -> None:
        process = Texts()
        [path, *_] = reference_files(process, None)
        path.parent.mkdir(parents=True)
        path.write_text(content)
        with pytest.raises(InputError, match=f"{path.name} is no reference, or is damaged"):
            find_reference(sign(process, Spec()))

    def test_the_reference_of_another_key_is_refused(self, home) -> None:
        process = Texts()
        process.revision = "one"
        save_references(calibrate(process))
        one, other = sign(process, Spec()), sign(process, Spec(estimand="kl"))
        source = place_of(home, reference_key(one))
        place_of(home, reference_key(other)).write_bytes(source.read_bytes())
        with pytest.raises(InputError, match="other settings"):
            find_reference(other)

    def test_what_a_process_has_no_value_of_is_left_out(self) -> None:
        process = Texts()
        assert "chain" not in calibrated_estimands(process)  # a deterministic sampler
        assert "chain" in calibrated_estimands(Texts(sampler="euler-ancestral"))
        process.comparison_scale = (0.0, *[1.0] * (len(process.schedule) - 1))
        assert "initial" not in calibrated_estimands(process)  # as in flow matching at σ = 1
        assert "jeffreys" in calibrated_estimands(process)

    def test_a_process_without_a_revision_is_refused(self, home) -> None:
        process = Texts()
        process.revision = ""
        with pytest.raises(InputError, match="no revision"):
            calibrate(process)


class TestPairs:
    def test_the_list(self) -> None:
        pairs = calibration_pairs()
        assert len(pairs.unrelated) >= 150 <= len(pairs.paraphrases)
        listed = [frozenset(pair) for pair in pairs.all]
        assert all(len(pair) == 2 for pair in listed)
        assert len({*listed}) == len(listed)
        assert PAIRS.read_text().startswith("kind\ttext1\ttext2\n")

    def test_no_pair_and_no_text_is_of_a_human_annotated_set(self, data_dir) -> None:
        def plain(text: str) -> str:
            return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())

        ours = {plain(text) for pair in calibration_pairs().all for text in pair}
        for path in data_dir.glob("*.tsv"):
            for line in path.read_text(encoding="utf-8").splitlines():
                assert not ours & {*map(plain, line.split("\t"))}, path


class TestShipped:
    def test_the_bundled_process_is_calibrated(self) -> None:
        process, pairs = conjure.load(), calibration_pairs()
        names = {path.name for path in reference_files(process, SHIPPED)}
        assert names == {path.name for path in SHIPPED.glob("*.json")}, REBUILD
        for path in SHIPPED.glob("*.json"):
            found = Reference.read(json.loads(path.read_text()))
            assert found.pairs == pairs.digest, REBUILD
            assert len(found.unrelated) == len(pairs.unrelated)
            assert found.separation > 0.6, found.signature

    def test_a_pair_of_it_measured_again(self, home) -> None:
        reference = find_reference(sign(conjure.load(), Spec()))
        assert reference is not None, REBUILD
        for kind, values in (
            (calibration_pairs().unrelated, reference.unrelated),
            (calibration_pairs().paraphrases, reference.paraphrases),
        ):
            again = conjure.distance(*kind[0], samples=reference.samples, seed=reference.seed)
            nearest = min(values, key=lambda value: abs(value - again.value))
            assert nearest == pytest.approx(again.value, rel=1e-4), REBUILD
        assert again.similarity is not None
        assert again.similarity > 0.5


def test_the_references_are_small() -> None:
    assert sum(os.path.getsize(path) for path in SHIPPED.glob("*.json")) < 100_000
