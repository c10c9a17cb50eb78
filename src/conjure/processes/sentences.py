"""A text encoder that gives a sentence one vector: the mean of its states, of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from ..core.errors import InputError
from ..core.text import first_line
from .hashing import hash_files
from .quiet import quiet
from .spelling import spelled
from .tokens import TextReader, check_vocabulary, settle_limit

_BATCH = 64  # texts


class SentenceEncoder:
    """The text encoder of a folder. A text's vector is the mean of its tokens' last states.

    folder: a pipeline's (with ``text_encoder`` and ``tokenizer``), or one that holds both a
            transformers model and its tokenizer

    ``revision`` is a hash of all their bytes. Raises InputError where the folder holds no such
    encoder, or weights that are not safetensors.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}: text_encoder names a model's folder")
        inside = folder / "text_encoder"
        model = inside if inside.is_dir() else folder
        words = folder / "tokenizer" if inside.is_dir() else folder
        safe = {"trust_remote_code": False, "local_files_only": True}
        try:
            with quiet():
                self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(words, **safe)
                encoder: Any = transformers.AutoModel.from_pretrained(
                    model, use_safetensors=True, dtype=torch.float32, **safe
                )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise InputError(f"{folder} has no text encoder: {first_line(error)}") from error
        self._encoder = encoder.eval()
        settle_limit(str(folder), self._tokenizer, encoder)
        check_vocabulary(str(folder), self._tokenizer, encoder)
        self.reader = TextReader(folder.name, self._tokenizer)
        files = [path for part in {model, words} for path in part.rglob("*")]
        self.revision = hash_files(folder, files)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """n texts → (n, width) float32, each row of length 1."""
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        found: list[Tensor] = []
        for start in range(0, len(order), _BATCH):
            batch = spelled(self._tokenizer, [texts[n] for n in order[start : start + _BATCH]])
            tokens = self._tokenizer(batch, padding=True, truncation=True, return_tensors="pt")
            mask = tokens["attention_mask"]
            states = self._encoder(tokens["input_ids"], attention_mask=mask)[0]
            mean = (states * mask.unsqueeze(2)).sum(dim=1)
            found.append(torch.nn.functional.normalize(mean.float(), dim=1))
        rows = torch.cat(found)
        return rows[torch.argsort(torch.tensor(order))]
