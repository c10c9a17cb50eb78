"""A process of your own: a conditional diffusion model of points in the plane, trained here."""

import torch
from torch.nn import Linear, Sequential, SiLU

import conjure
from conjure.core.gaussian import EulerSolver
from conjure.core.schedule import Schedule
from conjure.core.types import Conditioning

PLACES = {"north": (0.0, 2.0), "east": (2.0, 0.0), "south": (0.0, -2.0), "west": (-2.0, 0.0)}


class Points:
    name, revision, sampler, dtype, device = "points", "1", "euler", "float32", torch.device("cpu")
    guidance, guidance_mode, latent_shape, latent_dtype = 1.0, "none", (2,), torch.float32
    batch_size = 1024  # rows that ``predict`` is given at most

    def __init__(self, steps: int = 10):
        torch.manual_seed(0)  # the same weights every time: ``revision`` stands for them
        levels = tuple(20 * (1 - j / steps) ** 3 for j in range(steps + 1))  # σ from 20 to 0
        self.schedule, self.sigmas = (
            Schedule(levels[:-1], levels, 20.0, False),
            torch.tensor(levels),
        )
        self.net = Sequential(Linear(5, 64), SiLU(), Linear(64, 64), SiLU(), Linear(64, 2))
        optimizer = torch.optim.Adam(self.net.parameters(), 3e-3)
        for _ in range(2000):  # the points of a word are its place with noise of 0.5
            place = self.embed(list(PLACES)).rows(torch.randint(4, (256,))).tensors["place"]
            sigma, noise = 10 ** (3.3 * torch.rand(256, 1) - 2), torch.randn(256, 2)
            x = place + 0.5 * torch.randn(256, 2) + sigma * noise
            (self.epsilon(x, sigma, place) - noise).square().mean().backward()
            optimizer.step(), optimizer.zero_grad()

    def epsilon(self, x, sigma, place):
        return self.net(torch.cat([x / (1 + sigma**2).sqrt(), sigma.log(), place], 1))

    def embed(self, prompts):
        if unknown := sorted({*prompts} - {*PLACES}):
            raise conjure.InputError(f"{unknown[0]!r} is no place: use {', '.join(PLACES)}")
        return Conditioning({"place": torch.tensor([PLACES[text] for text in prompts])})

    def unconditional(self):
        return None  # no guidance

    @torch.inference_mode()
    def predict(self, x, step, conditioning):
        return self.epsilon(x, self.sigmas[step, None], conditioning.tensors["place"])

    def solver(self):
        return EulerSolver(self.schedule)


if __name__ == "__main__":
    points = Points()
    for other in PLACES:
        found = conjure.distance("north", other, process=points, samples=16)
        print(f"north – {other:6} {found.value:.2f} ± {found.standard_error:.2f}")
