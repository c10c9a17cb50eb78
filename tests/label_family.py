"""A second family, as somebody else would write one: diffusers' DiT, told labels in place of texts.

It shares nothing with Stable Diffusion but the base class. Its denoiser is a transformer called
``transformer``, it has no tokenizer and no text encoder, half of its output is a variance that is
dropped, and guidance subtracts a class of its own.
"""

from __future__ import annotations

import json

import diffusers
import torch

from conjure.core.types import Conditioning
from conjure.processes.base import PipelineProcess
from conjure.processes.family import Family, Part
from conjure.processes.latents import native_shape
from conjure.processes.settings import ProcessSettings

NO_CLASS = 1000  # what DiTPipeline subtracts


class LabelProcess(PipelineProcess):
    """A prompt is one of the labels of ``id2label``; its conditioning is ``class_labels`` (n,)."""

    denoiser = "transformer"
    trial_size = None

    def find_latent_shape(self):
        return native_shape(self.name, self.network.config, self.denoiser)

    def unreadable(self, texts):
        labels = self.pipeline.labels
        return {t: f"{self.name} has no label {t!r}" for t in texts if t not in labels}

    def encode(self, prompts):
        labels = [self.pipeline.labels[prompt] for prompt in prompts]
        return Conditioning({"class_labels": torch.tensor(labels, device=self.device)})

    def encode_unconditional(self):
        return Conditioning({"class_labels": torch.tensor([NO_CLASS], device=self.device)})

    def run_network(self, network, x, timesteps, cond):
        out = network(x, timestep=timesteps, class_labels=cond["class_labels"]).sample
        return out[:, : x.shape[1]]  # the rest is the variance


FAMILY = Family(
    pipeline=diffusers.DiTPipeline,
    parts={
        "transformer": Part(diffusers, (diffusers.DiTTransformer2DModel,)),
        "vae": Part(diffusers, (diffusers.AutoencoderKL,)),
        "scheduler": Part(diffusers, (diffusers.SchedulerMixin,), network=False),
    },
    process=LabelProcess,
    options=lambda index: {"id2label": index["id2label"]},
    recommended=ProcessSettings(sampler="ddim", steps=5, guidance=4.0),
    advice="use a DiT",
)


def save_label_pipeline(folder, prediction="epsilon"):
    """A small DiT, the same at every call, that predicts at unit scale and heeds its label."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = diffusers.DiTTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            num_layers=2,
            sample_size=8,
            patch_size=2,
            num_embeds_ada_norm=1000,
            norm_elementwise_affine=False,
        ).eval()
        with torch.no_grad():
            for name, weight in transformer.named_parameters():
                if "class_embedder" in name:
                    weight *= 20
            out = transformer(
                torch.randn(8, 4, 8, 8),
                timestep=torch.linspace(1, 999, 8),
                class_labels=torch.arange(8),
            ).sample
            transformer.proj_out_2.weight /= out.std()
            transformer.proj_out_2.bias.zero_()
        vae = diffusers.AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
        )
        pipeline = diffusers.DiTPipeline(
            transformer=transformer,
            vae=vae.eval(),
            scheduler=diffusers.DDIMScheduler(clip_sample=False, prediction_type=prediction),
            id2label={0: "a dog, a hound", 1: "a violin"},
        )
    pipeline.save_pretrained(folder)
    index = folder / "model_index.json"
    found = json.loads(index.read_text())
    labels = {"0": "a dog, a hound", "1": "a violin"}
    index.write_text(json.dumps({**found, "id2label": labels}))
    return folder
