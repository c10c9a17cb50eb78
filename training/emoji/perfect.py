"""The perfect student of the sheets, as a process: what `emoji` would be, were training perfect.

    export EMOJI_DATA=DATA EMOJI_RUN=RUN PYTHONPATH=training/emoji
    conjure evaluate stsb-dev.tsv --process perfect:sheets --allow-code

A text is a sheet, as the network is taught (teaching.py), by the package's own ``IdealProcess``.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from boards import SIDE, draw_cells
from teaching import SHARPNESS, Teacher
from torch.nn.functional import normalize

import conjure
from conjure.processes.collection import Collection
from conjure.processes.ideal import Board, IdealProcess
from conjure.processes.sentences import SentenceEncoder


def sheets(**settings: Any) -> IdealProcess:
    data, run = (Path(os.environ[name]) for name in ("EMOJI_DATA", "EMOJI_RUN"))
    bundled = Path(conjure.__file__).parent / "processes" / "emoji"
    teacher = Teacher(data, bundled, run)
    drawings, codes = teacher.drawings, teacher.codes[None]
    encode = SentenceEncoder(bundled)
    described = [", ".join((d.name, *d.keywords)) for d in drawings]
    captions = normalize(encode([d.name for d in drawings]) + encode(described), dim=1)
    digest = hashlib.sha256(codes.numpy().tobytes() + "\n".join(described).encode())
    collection = Collection(
        "perfect",
        f"sha256-{digest.hexdigest()[:12]}",
        [d.name for d in drawings],
        codes[..., None, None],
        draw_cells(drawings).add(1).mul(127.5).round().byte(),
    )
    board = Board(SIDE, 1 / SHARPNESS, standardised=True)
    return IdealProcess.with_choice(collection, encode, board, captions=captions, **settings)
