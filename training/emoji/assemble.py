"""Put the trained parts together: a ``StableDiffusionPipeline`` folder in float16 safetensors.

    python training/emoji/assemble.py --out RUN --text TEXT --to src/conjure/processes/emoji

The denoiser's weights are the mean of the files of ``--weights``, each FILE or FILE:SHARE. Other
files of the target (the model card, the recommended settings of conjure.json) are kept.
``revision`` in conjure.json becomes a hash of the weights, a label for people.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import torch
from denoiser import build, whole
from diffusers import AutoencoderKL, StableDiffusionPipeline
from noise import noise_schedule
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

BUDGET = 36_000_000  # bytes, all files together
RECOMMENDED = {"name": "emoji", "sampler": "ddim", "steps": 10, "guidance": 1.0}


def mean_weights(run: Path, weights: list[str]) -> dict[str, Tensor]:
    """The weighted mean of the states in some files of the run."""
    total: dict[str, Tensor] = {}
    shares = 0.0
    for given in weights:
        name, _, number = given.partition(":")
        share = float(number or 1)
        state = torch.load(run / name, weights_only=True, map_location="cpu")["average"]
        total = {key: total.get(key, 0) + share * state[key] for key in state}
        shares += share
    return {key: value / shares for key, value in total.items()}


def pipeline(run: Path, text: Path, weights: list[str]) -> StableDiffusionPipeline:
    encoder = AutoModel.from_pretrained(text / "text_encoder", dtype=torch.float32)
    for weight in encoder.pooler.parameters():  # never used, but a file without it gives a warning
        torch.nn.init.zeros_(weight)
    unet = build()
    unet.load_state_dict(whole(mean_weights(run, weights)))
    return StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(run / "vae"),
        text_encoder=encoder,
        tokenizer=AutoTokenizer.from_pretrained(text / "tokenizer"),
        unet=unet,
        scheduler=noise_schedule(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def tidy(folder: Path) -> None:
    """Remove from the configs our paths, and what diffusers writes but then warns about."""
    for file in folder.glob("*/config.json"):
        config = json.loads(file.read_text())
        config.pop("_name_or_path", None)
        if "dtype" in config:  # transformers would load it so, and diffusers the rest in float32
            config["dtype"] = "float32"
        file.write_text(json.dumps(config, indent=2) + "\n")
    file = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(file.read_text())
    config.pop("timestep_spacing")  # DDIM's default; written out, other samplers would follow it
    file.write_text(json.dumps(config, indent=2) + "\n")
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)


def revision(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument(
        "--text", type=Path, required=True, help="folder with text_encoder/ tokenizer/"
    )
    parser.add_argument(
        "--weights", nargs="+", default=["sheets.pt"], help="which weight averages of RUN"
    )
    parser.add_argument("--to", type=Path, required=True)
    args = parser.parse_args()
    pipe = pipeline(args.out, args.text, args.weights)
    for part in (pipe.vae, pipe.text_encoder, pipe.unet):
        part.half()
    pipe.save_pretrained(args.to, safe_serialization=True)
    tidy(args.to)
    settings_file = args.to / "conjure.json"
    settings = (
        json.loads(settings_file.read_text()) if settings_file.exists() else dict(RECOMMENDED)
    )
    settings["revision"] = revision(args.to)
    settings_file.write_text(json.dumps(settings, indent=2) + "\n")
    size = sum(f.stat().st_size for f in args.to.rglob("*") if f.is_file())
    print(f"{args.to}: {size / 1e6:.1f} MB of at most {BUDGET / 1e6:.0f}")
    print(f"revision {settings['revision']}")
    if size > BUDGET:
        raise SystemExit("too large for the package")


if __name__ == "__main__":
    main()
