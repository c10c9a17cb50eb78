"""The walk: shared noise, shared rows, and what it says when numbers break."""

import math

import pytest
import torch

from conjure.core.errors import InputError, NonFiniteError
from conjure.core.gaussian import GaussianProcess
from conjure.core.sampling import TrajectorySampler, guide, walk
from conjure.core.spec import Spec

COMPONENTS = {
    "": (torch.zeros(2), torch.eye(2)),
    "cat": (torch.tensor([1.0, 0.0]), torch.tensor([[1.0, 0.3], [0.3, 0.5]])),
    "dog": (torch.tensor([-0.5, 2.0]), torch.eye(2) * 0.7),
}
SAMPLERS = ["euler", "euler-maruyama"]


class Spoilt:
    """A process whose network breaks for one prompt from one step on."""

    def __init__(self, process, text, step, value=math.nan):
        self.process, self.mean, self.step = process, COMPONENTS[text][0], step
        self.value = value

    def __getattr__(self, name):
        return getattr(self.process, name)

    def predict(self, x, step, conditioning):
        prediction = self.process.predict(x, step, conditioning)
        of_prompt = (conditioning.tensors["mean"] == self.mean).all(dim=1)
        broken = (of_prompt & (step >= self.step)).nonzero()[:, 0]
        prediction[broken, 0] = self.value
        return prediction


def test_every_prompt_starts_from_the_noise_of_its_sample():
    process = GaussianProcess(COMPONENTS, guidance=7.5, sigma_max=50.0)
    first = next(walk(process, ["cat", "dog"], [5, 6, 7]))
    for i, seed in enumerate([5, 6, 7]):
        noise = torch.randn(2, generator=torch.Generator().manual_seed(seed))
        for prompt in range(2):
            assert torch.equal(first.x[prompt, i], 50.0 * noise.double())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_trajectory_is_the_same_in_any_company(sampler):
    process = GaussianProcess(COMPONENTS, guidance=3.0, sampler=sampler)
    together = list(walk(process, ["cat", "dog"], [0, 1], finish=True))
    process.batch_size = 1
    alone = list(walk(process, ["dog"], [1], finish=True))
    for one, many in zip(alone, together, strict=True):
        for name in ["x", "eps_cond", "eps_uncond", "x_next"]:
            torch.testing.assert_close(
                getattr(one, name)[0, 0], getattr(many, name)[1, 1], rtol=1e-12, atol=1e-12
            )


def test_a_stochastic_sampler_gives_both_prompts_the_same_noise_all_the_way():
    twins = {"one": COMPONENTS["cat"], "two": COMPONENTS["cat"]}
    process = GaussianProcess(twins, sampler="euler-maruyama")
    *_, last = walk(process, ["one", "two"], [0, 1], finish=True)
    assert torch.equal(last.x_next[0], last.x_next[1])
    assert not torch.allclose(last.x_next[0, 0], last.x_next[0, 1])


def test_what_is_kept_is_what_was_walked():
    process = GaussianProcess(COMPONENTS, guidance=2.0, steps=4)
    record = Spec(record={"output", "coupled"})
    kept = TrajectorySampler(process).trajectories(["cat", "dog"], [3, 4], record)
    steps = list(walk(process, ["cat", "dog"], [3, 4], finish=True))
    for n, trajectory in enumerate(kept):
        for name in ["x", "eps_cond", "eps_uncond"]:
            walked = torch.stack([getattr(step, name)[n] for step in steps])
            assert torch.equal(getattr(trajectory, name), walked)
        assert torch.equal(trajectory.x_0, steps[-1].x_next[n])
        owned = [trajectory.x, trajectory.eps_cond, trajectory.eps_uncond, trajectory.x_0]
        owned += trajectory.cond.tensors.values()
        assert all(t.untyped_storage().nbytes() == t.nbytes for t in owned)  # freed with it
    plain = TrajectorySampler(process).trajectories(["cat"], [3], Spec())[0]
    assert plain.eps_uncond is plain.x_0 is None


def test_all_groups_of_a_walker_share_the_unconditional_row_at_pure_noise():
    asked = []

    class Watched(GaussianProcess):
        def predict(self, x, step, conditioning):
            asked.extend(step.tolist())
            return super().predict(x, step, conditioning)

    process = Watched(COMPONENTS, guidance=2.0, steps=3)
    walker = TrajectorySampler(process)
    for prompt, rows in [("cat", [2, 2]), ("dog", [1, 1])]:
        list(walker.walk([prompt], process.embed([prompt]), [0]))
        assert asked.count(0) == rows[0]
        asked.clear()
    list(walker.walk(["cat"], process.embed(["cat"]), [0, 1]))
    assert asked.count(0) == 2 + 1  # seed 1 is new


def test_a_step_says_what_it_left_out():
    process = GaussianProcess(COMPONENTS, guidance=2.0, steps=3)
    short, whole = (list(walk(process, ["cat"], [0], finish=f)) for f in (False, True))
    assert [m.x_next is None for m in short] == [False, False, True]
    assert [m.eps_uncond is None for m in short] == [False, False, True]
    assert all(m.x_next is not None and m.eps_uncond is not None for m in whole)
    assert torch.equal(whole[0].x_next, whole[1].x)
    assert [m.step for m in whole] == [0, 1, 2]


def test_guidance_extrapolates_from_the_unconditional_prediction():
    null, own = torch.tensor([1.0]), torch.tensor([3.0])
    assert guide(own, null, 7.5) == 1.0 + 7.5 * 2.0
    assert guide(own, null, 0.0) == 1.0
    assert guide(own, None, 1.0) == 3.0


def test_without_guidance_nobody_is_asked_for_the_unconditional_prompt():
    process = GaussianProcess({k: v for k, v in COMPONENTS.items() if k}, guidance=1.0)
    assert all(m.eps_uncond is None for m in walk(process, ["cat"], [0], finish=True))


def test_a_batch_is_never_larger_than_the_process_allows():
    sizes = []

    class Watched(GaussianProcess):
        def predict(self, x, step, conditioning):
            assert len(x) == len(step) == len(conditioning)
            sizes.append(len(x))
            return super().predict(x, step, conditioning)

    process = Watched(COMPONENTS, guidance=2.0, steps=3, batch_size=4)
    list(walk(process, ["cat", "dog"], [0, 1, 2]))
    # 6 own + 3 shared; 6 own + 6 unconditional; 6 own
    assert sizes == [4, 4, 1, 4, 4, 4, 4, 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("step", [0, 2])
def test_nan_names_the_prompt_and_the_step(value, step):
    process = GaussianProcess(COMPONENTS, guidance=2.0, steps=4)
    spoilt = Spoilt(process, "dog", step, value)
    with pytest.raises(NonFiniteError, match=rf'for "dog", gave .* at step {step + 1}:'):
        list(walk(spoilt, ["cat", "dog"], [0, 1]))
    list(walk(spoilt, ["cat"], [0, 1]))  # others are not blamed


def test_nan_without_a_prompt_is_named_too():
    process = GaussianProcess(COMPONENTS, guidance=2.0, steps=4)
    with pytest.raises(NonFiniteError, match=r'without a prompt, for "cat", .* step 2'):
        list(walk(Spoilt(process, "", 1), ["cat"], [0]))


def test_a_sampler_that_leaves_the_numbers_is_named():
    class Wild(GaussianProcess):
        def solver(self):
            return self

        def step(self, x, prediction, step, generators):
            return x / 0 if step == 2 else x + prediction

    with pytest.raises(NonFiniteError, match=r'the sampler, for "cat", .* at step 3'):
        list(walk(Wild(COMPONENTS, steps=3), ["cat"], [0], finish=True))


def test_a_prediction_of_another_shape_is_refused():
    class Wide(GaussianProcess):
        def predict(self, x, step, conditioning):
            return torch.cat([x, x], dim=1)  # as networks with a learned variance do

    with pytest.raises(InputError, match=r"shape \(1, 4\) for x of shape \(1, 2\)"):
        next(walk(Wide(COMPONENTS), ["cat"], [0]))
