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
from PIL import Image
from safetensors.torch import save_file
from scenes import clean_name

from conjure.processes.sentences import SentenceEncoder

CODE, SHOWN, COLUMNS = 4, 48, 41
LEFT_OUT = {None, 2, 9}  # emojibase's groups: regional letters, skin and hair, flags


def drawings(data: Path) -> list[tuple[dict[str, object], Path]]:
    """Name, keywords and code points of each emoji, and its drawing."""
    folder = data / "google" / "img" / "google" / "64"
    found = []
    for entry in json.loads((data / "emojibase" / "en" / "data.json").read_text()):
        if entry.get("group") in LEFT_OUT:
            continue
        code = entry["hexcode"].lower()
        files = [folder / f"{c}.png" for c in (code, f"{code}-fe0f", code.replace("-fe0f", ""))]
        file = next((file for file in files if file.exists()), None)
        if file is None:
            continue
        name = clean_name(entry["label"])
        words = [tag.replace("’", "'").lower() for tag in entry.get("tags", [])]
        words = [w for w in words if w != name and w.isascii() and len(w) > 2 and not w.isdigit()]
        found.append(({"name": name, "keywords": words, "emoji": entry["emoji"]}, file))
    return found


def on_white(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        whole = picture.convert("RGBA")
    flat = Image.new("RGB", whole.size, "white")
    flat.paste(whole, (0, 0), whole)
    return flat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = drawings(args.data)
    pictures = [on_white(file) for _, file in found]
    box, sharp = Image.Resampling.BOX, Image.Resampling.LANCZOS
    small = np.stack([np.asarray(p.resize((CODE, CODE), box)) for p in pictures])
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SHOWN, rows * SHOWN), "white")
    for n, picture in enumerate(pictures):
        place = (n % COLUMNS * SHOWN, n // COLUMNS * SHOWN)
        sheet.paste(picture.resize((SHOWN, SHOWN), sharp), place)
    encode = SentenceEncoder(args.text)
    names = encode([str(entry["name"]) for entry, _ in found])
    full = encode([", ".join([str(e["name"]), *map(str, e["keywords"])]) for e, _ in found])
    captions = torch.nn.functional.normalize(names + full, dim=1).half()
    args.out.mkdir(parents=True, exist_ok=True)
    pixels = torch.from_numpy(small).permute(0, 3, 1, 2).contiguous()
    tensors = {"pixels": pixels, "captions": captions, "side": torch.tensor(SHOWN)}
    save_file(tensors, args.out / "collection.safetensors")
    sheet.save(args.out / "drawings.webp", quality=85, method=6)
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry, _ in found)
    (args.out / "names.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(found)} drawings")


if __name__ == "__main__":
    main()
