"""What names a number: the spec that asks for it, and the signature that it carries."""

import copy
import json
import pickle
from importlib import metadata

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conjure.core.errors import InputError
from conjure.core.gaussian import GaussianProcess
from conjure.core.spec import Signature, Spec, process_key, sign, sign_process

EYE = torch.eye(2)


def process_of(**changes):
    shift = changes.pop("shift", 0.0)
    process = GaussianProcess({"": (EYE[0] + shift, EYE), "a": (EYE[1], EYE)}, guidance=2.0)
    for name, value in changes.items():
        setattr(process, name, value)
    return process


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"samples": 0}, "samples must be a whole number, at least 1, not 0"),
        ({"samples": 1.5}, "samples must be a whole number"),
        ({"samples": "3"}, "samples must be a whole number"),
        ({"seed": -1}, "seed must be a whole number, at least 0, not -1"),
        ({"seed": 2**63}, "seed must be a whole number"),
        ({"seed": 2**32}, "the noise of smaller ones again"),
        ({"seed": 2**32 - 1, "samples": 2}, "the noise of smaller ones again"),
        ({"seed": 2**32 - 4, "samples": 2, "tolerance": 0.1}, "the noise of smaller ones again"),
        ({"estimand": "kl2"}, "unknown estimand 'kl2'"),
        ({"estimand": ["kl"]}, "unknown estimand"),
        ({"estimand": None}, "unknown estimand None"),
        ({"cross_steps": 0}, "cross_steps must be a whole number, at least 1"),
        (
            {"cross_steps": 2, "estimand": "final"},
            "'final' needs every step: cross_steps goes with",
        ),
        ({"tolerance": 0.0, "samples": 2}, "tolerance must be a positive number"),
        ({"tolerance": float("nan"), "samples": 2}, "tolerance must be a positive number"),
        ({"tolerance": "x", "samples": 2}, "tolerance must be a positive number"),
        ({"tolerance": 0.1}, "samples of 2 or more"),
        ({"tolerance": 0.1, "samples": 4, "max_samples": 3}, "max_samples must be a whole number"),
        ({"record": {"maps"}}, "record: 'maps' is unknown; give output, coupled, unconditional"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_process_is_there(fields, message):
    with pytest.raises(InputError, match=message):
        Spec(**fields)


def test_numpy_numbers_are_numbers():
    spec = Spec(samples=np.int64(3), seed=np.int32(4))
    assert json.dumps([spec.samples, spec.seed]) == "[3, 4]"


def test_what_t_decides_is_checked_with_the_process():
    process = process_of()
    Spec(cross_steps=9).check(process)
    with pytest.raises(InputError, match="cross_steps must be at most 9, .* not 10"):
        Spec(cross_steps=10).check(process)
    with pytest.raises(InputError, match="'pointwise:11': give a step from 1 to 10"):
        Spec(estimand="pointwise:11").check(process)


def test_what_is_recorded_follows_from_the_estimand_and_what_is_asked_for():
    assert not Spec().needs
    assert not Spec().finish
    assert Spec(estimand="output").needs == {"output"}
    assert Spec(estimand="output").finish
    assert not Spec(estimand="output").keeps_uncond
    assert Spec(record={"coupled"}).keeps_uncond


DECIDES = {
    "name": "other",
    "revision": "sha256-0123456789ab",
    "sampler": "other",
    "guidance": 3.0,
    "guidance_mode": "distilled",
    "dtype": "float32",
    "latent_shape": (3,),
    "settings": {"negative_prompt": "blurry"},
}


@pytest.mark.parametrize("name", DECIDES)
def test_a_key_changes_with_everything_that_decides_a_number(name):
    before = process_of(revision="commit")
    after = process_of(**{"revision": "commit", name: DECIDES[name]})
    assert sign_process(before) != sign_process(after)
    assert sign_process(before).digest != sign_process(after).digest


@pytest.mark.parametrize(
    "change", [{"samples": 2}, {"seed": 1}, {"estimand": "kl"}, {"cross_steps": 3}]
)
def test_a_key_changes_with_the_spec(change):
    process = process_of()
    assert sign(process, Spec()).digest != sign(process, Spec(**change)).digest


@pytest.mark.parametrize("change", [{"batch_size": 7}, {"device": torch.device("meta")}])
def test_what_only_rounds_is_provenance(change):
    before, after = sign(process_of(), Spec()), sign(process_of(**change), Spec())
    assert before == after
    assert hash(before) == hash(after)
    assert before.digest == after.digest
    assert before.provenance != after.provenance


def test_another_grid_under_the_same_samplers_name_is_another_key():
    one, other = process_of(), process_of()
    other.schedule = GaussianProcess(one.components, sigma_max=50.0).schedule
    assert sign_process(one) != sign_process(other)


def test_a_name_is_only_a_label_where_all_weights_are_hashed():
    one = process_of(name="mine", revision="sha256-0123456789ab")
    other = process_of(name="a copy of mine", revision="sha256-0123456789ab")
    assert sign_process(one) == sign_process(other)
    assert str(sign_process(one)).startswith("process:mine|rev:sha256-0123456789ab|")
    assert str(sign_process(other)).startswith("process:a copy of mine|rev:sha256-0123456789ab|")
    unhashed = process_of(name="mine", revision="v1"), process_of(name="yours", revision="v1")
    assert sign_process(unhashed[0]) != sign_process(unhashed[1])


def test_gaussians_of_other_components_are_other_processes():
    assert process_of().revision == process_of().revision
    assert process_of().revision != process_of(shift=1e-9).revision


@given(st.text(), st.text(), st.text(), st.text())
def test_no_name_can_forge_a_field_or_a_line(name, revision, name2, revision2):
    one, other = (process_of(name=n, revision=r) for n, r in [(name, revision), (name2, revision2)])
    assert len(str(sign(one, Spec())).splitlines()) == 1
    assert str(sign(one, Spec())).count("|") == str(sign(process_of(), Spec())).count("|") - (
        not revision
    )
    if (name, revision) != (name2, revision2) and not revision.startswith("sha256-"):
        assert sign_process(one) != sign_process(other)


def test_the_two_processes_that_a_string_confused_are_two():
    assert str(sign_process(process_of(name="m|seed:7"))).startswith("process:m%7Cseed%3A7|")
    one = sign_process(process_of(name="m|seed:7", revision="v1"))
    assert one != sign_process(process_of(name="m", revision="v1"))


def test_a_signature_is_json_and_can_be_copied_and_sent():
    found = sign(process_of(), Spec(2, estimand="girsanov"))
    told = json.loads(json.dumps(found.object(), allow_nan=False))
    assert told["key"] == dict(found.key)
    assert told["digest"] == found.digest
    assert told["line"] == str(found)
    assert Signature(told["key"], told["provenance"]) == found
    assert pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == found
    assert told["key"]["reading"]
    assert told["provenance"]["torch"] == metadata.version("torch")


def test_a_whole_number_and_its_float_are_one_key():
    """Equal keys must have equal digests: a store finds work by them."""
    whole, decimal = sign_process(process_of(guidance=2)), sign_process(process_of(guidance=2.0))
    assert whole == decimal
    assert whole.digest == decimal.digest


def test_the_key_names_what_the_design_asks_for():
    assert {*process_key(process_of())} >= {
        "revision", "sampler", "steps", "guidance_scale", "guidance", "size", "dtype", "schema",
    }  # fmt: skip
