"""Files of finished work: JSON lines that begin with a key. A crash loses no finished line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ..core.errors import InputError
from ..core.spec import Signature


class Journal:
    """The finished records of one key: ``folder/<its digest>.jsonl``; one writer at a time.

    records: what an earlier run finished. A last line that a crash has torn is left out; the first
             ``add`` removes it

    Raises InputError where the file is another one.
    """

    def __init__(self, folder: Path, signature: Signature) -> None:
        self.path = folder / f"{signature.digest}.jsonl"
        self.signature = signature
        self._file: IO[bytes] | None = None
        begun = self.path.read_bytes() if self.path.exists() else b""
        self._whole = begun.rfind(b"\n") + 1  # bytes of complete lines
        self.records: list[dict[str, Any]] = []
        if self._whole:
            try:
                head, *self.records = map(json.loads, begun[: self._whole].splitlines())
                known = head["key"] == dict(signature.key)
            except (ValueError, LookupError, TypeError) as error:
                raise self.refusal() from error
            if not known:
                raise self.refusal()

    def refusal(self) -> InputError:
        """The error for a file that this is not, or whose records cannot be used."""
        return InputError(f"{self.path} is not a file of finished work, or is damaged: remove it")

    def add(self, record: Mapping[str, Any]) -> None:
        """Keep one finished record: on disk when this returns."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("r+b" if self._whole else "wb")
            self._file.truncate(self._whole)
            self._file.seek(self._whole)
            if not self._whole:
                self._write(self.signature.object())
        self._write(record)

    def close(self) -> None:
        if self._file is not None:
            self._whole = self._file.tell()
            self._file.close()
            self._file = None

    def _write(self, record: Mapping[str, Any]) -> None:
        assert self._file is not None
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
