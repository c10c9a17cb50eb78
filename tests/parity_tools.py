"""What the tests of parity share: plain calls of the network, and the points of a run."""

from __future__ import annotations

import torch


def predict_sd(pipeline, x, timesteps, prompt):
    states, _ = pipeline.encode_prompt(prompt or "", pipeline.device, 1, False)
    states = states.expand(len(x), -1, -1)
    return pipeline.unet(x, timesteps, encoder_hidden_states=states).sample


class Points:
    """Every comparison, as it comes."""

    def __init__(self):
        self.seen = []

    def on_step(self, prompts, seeds, step):
        pass

    def on_comparison(self, comparison):
        self.seen.append(comparison)

    def joined(self):
        """Inputs (n, 2, …), seeds and steps (n,) of all points."""
        columns = ((point.x, point.seed, point.step) for point in self.seen)
        return [torch.cat(column) for column in zip(*columns, strict=True)]
