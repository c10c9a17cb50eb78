"""Three kinds of guidance: classifier-free, distilled, none. What each costs, gives and signs."""

from dataclasses import replace

import pytest
import torch
from label_family import FAMILY, LabelProcess, save_label_pipeline

import conjure
from conjure.core.errors import InputError
from conjure.core.gaussian import GaussianProcess
from conjure.core.spec import Spec, sign, sign_process
from conjure.processes import load, registry
from conjure.processes.stable_diffusion import StableDiffusion

NAMED = {
    text: (torch.tensor(mean, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    for text, mean in {"": [0.0, 0.0], "a": [1.0, 0.5], "b": [-0.5, 2.0]}.items()
}
W, T = 3.0, 6


class Guided(GaussianProcess):
    """Classifier-free: ε_∅ + w (ε_y − ε_∅), put together by the core."""

    def __init__(self, guidance=W):
        super().__init__(NAMED, steps=T, guidance=guidance)
        self.rows = 0

    def predict(self, x, step, conditioning):
        self.rows += len(x)
        return super().predict(x, step, conditioning)


class Distilled(Guided):
    """The network is told w and gives the guided prediction at once."""

    guidance_mode = "distilled"

    def unconditional(self):
        return None

    def predict(self, x, step, conditioning):
        self.rows += len(x)
        plain = super(Guided, self).predict
        empty = self.embed([""]).rows([0] * len(x))
        eps, null = plain(x, step, conditioning), plain(x, step, empty)
        return null + self.guidance * (eps - null)


class Unguided(Guided):
    """A model that knows no guidance."""

    guidance_mode = "none"

    def __init__(self):
        super().__init__(guidance=1.0)


def measured(process):
    return conjure.distance("a", "b", process=process, samples=2)


def test_a_distilled_network_gives_the_guided_terms_in_fewer_rows():
    """The same process, told in two ways: no factor w is applied a second time."""
    guided, distilled = Guided(), Distilled()
    one, other = measured(guided), measured(distilled)
    torch.testing.assert_close(one.terms.forward, other.terms.forward)
    torch.testing.assert_close(one.terms.backward, other.terms.backward)
    assert one.value == pytest.approx(other.value)
    assert guided.rows == 2 * (1 + 2 * (2 * T - 2) + 2 * (T - 1))
    assert distilled.rows == 2 * (2 * T + 2 * (T - 1))


def test_without_guidance_terms_are_differences_of_the_plain_predictions():
    process, plain = Unguided(), Guided(guidance=1.0)
    one, other = measured(process), measured(plain)
    assert torch.equal(one.terms.forward, other.terms.forward)
    assert process.unconditional() is None
    assert process.rows == plain.rows == 2 * (2 * T + 2 * (T - 1))
    assert one.value != pytest.approx(measured(Guided()).value, rel=0.1)


def test_the_three_are_told_apart_by_their_signatures():
    guided, distilled, unguided = (
        sign_process(process) for process in (Guided(), Distilled(), Unguided())
    )
    assert len({found.digest for found in (guided, distilled, unguided)}) == 3
    assert [found.key["guidance"] for found in (guided, distilled, unguided)] == [
        "classifier-free",
        "distilled",
        "none",
    ]
    assert "guidance:" not in str(guided)  # the usual one is not printed
    assert "|guidance:distilled|" in str(distilled)
    assert "|guidance:none|" in str(unguided)
    readings = [
        sign(p, Spec(estimand="girsanov")).key["reading"]
        for p in (Guided(), Distilled(), Unguided())
    ]
    assert readings == ["trajectory", "trajectory", "marginal"]


# ------------------------------------------------------------------ of pipelines


def test_the_unconditional_row_is_embedded_once(pipelines, monkeypatch):
    encoded, encode = [], StableDiffusion.encode

    def counted(self, prompts):
        encoded.extend(prompts)
        return encode(self, prompts)

    monkeypatch.setattr(StableDiffusion, "encode", counted)
    process = load(pipelines["epsilon"], steps=2)
    conjure.distance("a dog", "a cat", process=process)
    conjure.distance("a dog", "a violin", process=process.with_settings(guidance=3))
    assert encoded.count("") == 1
    assert {"a dog", "a cat", "a violin"} <= {*encoded}
    row = process.unconditional()
    assert row is process.unconditional()
    expected = process.pipeline.encode_prompt("", process.device, 1, False)[0]
    torch.testing.assert_close(row.tensors["encoder_hidden_states"], expected)
    assert process.with_settings(guidance=1).unconditional() is None
    assert process.with_settings(guidance=0).unconditional() is row


class NotGuided(LabelProcess):
    guidance_mode = "none"


class ToldGuidance(LabelProcess):
    guidance_mode = "distilled"


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return save_label_pipeline(tmp_path_factory.mktemp("labels") / "dit")


def family_of(process, monkeypatch, **changes):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    registry.register_family(replace(FAMILY, process=process, **changes))


def test_a_pipeline_without_guidance_refuses_a_scale(labels, monkeypatch):
    family_of(NotGuided, monkeypatch)
    assert load(labels, guidance=1).unconditional() is None
    with pytest.raises(InputError, match="has no guidance: leave guidance out, or set it to 1"):
        load(labels, guidance=3)
    with pytest.raises(InputError, match="has no guidance"):
        load(labels, guidance=1).with_settings(guidance=2)


def test_a_distilled_pipeline_keeps_its_scale_and_asks_for_no_second_row(labels, monkeypatch):
    family_of(ToldGuidance, monkeypatch)
    process = load(labels, guidance=3)
    assert (process.guidance, process.unconditional()) == (3, None)
    assert sign_process(process).key["guidance"] == "distilled"
