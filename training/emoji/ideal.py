"""Make the bundled collection of drawings for ``emoji-ideal``.

    python training/emoji/ideal.py --data DATA --text src/conjure/processes/emoji --out FOLDER

DATA is what sources.sh fetched; the text encoder is that of ``emoji``. Every emoji with a drawing
is taken, flags excepted, each with one skin tone. Writes ``collection.safetensors`` (``pixels``,
the drawings at 4 px, and ``captions``, their vectors), ``drawings.webp`` (at 48 px) and
``names.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from boards import find_drawings, on_colour
from PIL import Image
from safetensors.torch import save_file

from conjure.processes.sentences import SentenceEncoder

CODE, SHOWN, COLUMNS = 4, 48, 41


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = find_drawings(args.data)
    pictures = [on_colour(drawing) for drawing in found]
    box, sharp = Image.Resampling.BOX, Image.Resampling.LANCZOS
    small = np.stack([np.asarray(p.resize((CODE, CODE), box)) for p in pictures])
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SHOWN, rows * SHOWN), "white")
    for n, picture in enumerate(pictures):
        place = (n % COLUMNS * SHOWN, n // COLUMNS * SHOWN)
        sheet.paste(picture.resize((SHOWN, SHOWN), sharp), place)
    encode = SentenceEncoder(args.text)
    names = encode([drawing.name for drawing in found])
    full = encode([", ".join((drawing.name, *drawing.keywords)) for drawing in found])
    captions = torch.nn.functional.normalize(names + full, dim=1).half()
    args.out.mkdir(parents=True, exist_ok=True)
    pixels = torch.from_numpy(small).permute(0, 3, 1, 2).contiguous()
    tensors = {"pixels": pixels, "captions": captions, "side": torch.tensor(SHOWN)}
    save_file(tensors, args.out / "collection.safetensors")
    sheet.save(args.out / "drawings.webp", quality=85, method=6)
    entries = [{"name": d.name, "keywords": d.keywords, "emoji": d.emoji} for d in found]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    (args.out / "names.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(found)} drawings")


if __name__ == "__main__":
    main()
