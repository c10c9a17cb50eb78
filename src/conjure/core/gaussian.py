"""A process in which every prompt names a Gaussian, with scores and divergences in closed form.

The tests check the estimator against it. It also shows how the method works within a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

import torch
from torch import Tensor

from .errors import InputError
from .schedule import Schedule, ancestral, euler_maruyama
from .types import Conditioning

RHO = 7  # spacing of the noise levels (Karras et al. 2022, equation 5)
TRANSITIONS = {"euler": None, "euler-maruyama": euler_maruyama, "euler-ancestral": ancestral}


class GaussianProcess:
    """Prompts y ↦ N(μ_y, C_y), blurred to N(μ_y, C_y + σ² I) at noise level σ.

    components: text → (mean (d,), covariance (d, d)). "" is the unconditional Gaussian, needed
                for guidance other than 1
    sampler:    "euler", the probability-flow ODE; "euler-maruyama", the reverse SDE; or
                "euler-ancestral", the same SDE with DDPM's steps, which have less noise
    sigma_max:  the noise level of x_T; trajectories end at 0

    Variance exploding: x_T = sigma_max · noise, which is p_T up to O(1/sigma_max).
    Raises InputError for a component that is not a Gaussian, or an unknown sampler.
    """

    name, guidance_mode = "gaussian", "classifier-free"

    def __init__(
        self,
        components: Mapping[str, tuple[Tensor, Tensor]],
        *,
        sampler: str = "euler",
        steps: int = 10,
        guidance: float = 1.0,
        sigma_max: float = 80.0,
        dtype: torch.dtype = torch.float64,
        batch_size: int = 1024,
    ) -> None:
        if sampler not in TRANSITIONS:
            raise InputError(f"unknown sampler {sampler!r}: use one of {', '.join(TRANSITIONS)}")
        if steps < 1:
            raise InputError(f"steps must be at least 1, not {steps}")
        self.components = {
            text: _gaussian(text, mean, covariance)
            for text, (mean, covariance) in components.items()
        }
        sigmas = tuple(sigma_max * (1 - j / steps) ** RHO for j in range(steps + 1))
        steps_of = TRANSITIONS[sampler]
        transitions = None if steps_of is None else steps_of(sigmas)
        stochastic = transitions is not None
        self.schedule = Schedule(sigmas[:-1], sigmas, sigma_max, stochastic, transitions)
        self.sampler, self.guidance, self.batch_size = sampler, guidance, batch_size
        self.latent_shape = tuple(next(iter(self.components.values()))[0].shape)
        self.latent_dtype, self.dtype = dtype, str(dtype).removeprefix("torch.")
        self._sigmas = torch.tensor(sigmas, dtype=dtype)
        self.device = torch.device("cpu")
        content = [(text, mean.tolist(), c.tolist()) for text, (mean, c) in self.components.items()]
        self.revision = f"sha256-{sha256(repr(sorted(content)).encode()).hexdigest()[:12]}"

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        """Means and eigen-decomposed covariances, so that the score needs a division only."""
        for text in prompts:
            if text not in self.components:
                raise InputError(f"no Gaussian is named {text!r}; declare it in components")
        means, covariances = zip(*(self.components[text] for text in prompts), strict=True)
        variances, axes = torch.linalg.eigh(torch.stack(covariances))
        tensors = {"mean": torch.stack(means), "variances": variances, "axes": axes}
        return Conditioning({name: t.to(self.latent_dtype) for name, t in tensors.items()})

    def unconditional(self) -> Conditioning | None:
        """The Gaussian named "" if w ≠ 1, else None."""
        return None if self.guidance == 1 else self.embed([""])

    def predict(self, x: Tensor, step: Tensor, conditioning: Conditioning) -> Tensor:
        """ε = −σ s = σ (C + σ² I)⁻¹ (x − μ), (n, d)."""
        given = conditioning.tensors
        sigma = self._sigmas[step].unsqueeze(1)
        axes, gap = given["axes"], (x - given["mean"]).unsqueeze(2)
        along = (axes.mT @ gap).squeeze(2) * sigma / (given["variances"] + sigma**2)
        epsilon: Tensor = (axes @ along.unsqueeze(2)).squeeze(2)
        return epsilon

    def solver(self) -> EulerSolver:
        return EulerSolver(self.schedule)

    def kl(self, text1: str, text2: str, sigma: float = 0.0) -> float:
        """KL(p_σ^1 ‖ p_σ^2) in nats between the two prompts' Gaussians at noise level σ."""
        mean1, covariance1 = self.components[text1]
        mean2, covariance2 = self.components[text2]
        blur = sigma**2 * torch.eye(len(mean1), dtype=torch.float64)
        return gaussian_kl(mean1, covariance1 + blur, mean2, covariance2 + blur)

    def girsanov(self, text1: str, text2: str) -> float:
        """The limit of ``girsanov``: KL(p₀¹‖p₀²) − KL(p_T¹‖p_T²), both directions added.

        Without guidance only: a guided score is not the score of any forward-diffused Gaussian.
        """
        top = self.schedule.sigmas[0]
        return sum(self.kl(a, b) - self.kl(a, b, top) for a, b in [(text1, text2), (text2, text1)])


class EulerSolver:
    """Euler's step of the probability-flow ODE, or a transition of the reverse SDE."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def step(
        self, x: Tensor, prediction: Tensor, step: int, generators: Sequence[torch.Generator]
    ) -> Tensor:
        if self.schedule.transitions is None:
            now, then = self.schedule.sigmas[step : step + 2]
            return x + (then - now) * prediction  # dx = ε dσ
        shift, scale = self.schedule.transitions[step]
        shape, kind = x.shape[1:], torch.float32
        noise = torch.stack([torch.randn(shape, generator=g, dtype=kind) for g in generators])
        return x + shift * prediction + scale * noise.to(x)  # dx = −g² s dt + g dw


def gaussian_kl(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """KL(N(μ₁, C₁) ‖ N(μ₂, C₂)) in nats; means (d,), covariances (d, d)."""
    gap = mean2 - mean1
    ratio = torch.linalg.solve(covariance2, covariance1)
    distance = gap @ torch.linalg.solve(covariance2, gap)
    return float(0.5 * (ratio.trace() - len(gap) + distance - torch.logdet(ratio)))


def _gaussian(text: str, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance in float64. Raises InputError if they do not make a Gaussian."""
    mean = torch.as_tensor(mean, dtype=torch.float64)
    covariance = torch.as_tensor(covariance, dtype=torch.float64)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise InputError(f"{text!r}: a mean (d,) and a covariance (d, d) are needed")
    if not torch.allclose(covariance, covariance.T) or torch.linalg.eigvalsh(covariance)[0] <= 0:
        raise InputError(f"{text!r}: a covariance must be symmetric and positive definite")
    return mean, covariance
