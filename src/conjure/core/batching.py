"""Run rows through a process's network in batches that fit, and name the row that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .errors import InputError, NonFiniteError, SmallerBatchWarning
from .process import GenerativeProcess
from .reading import tell
from .text import brief
from .types import Conditioning


class RowName(NamedTuple):
    """What a row of the network is for, to name it in an error.

    words:   for people: ``for "a dog"``
    prompts: the texts whose numbers fail if this row fails
    seed:    its noise, if it is known
    """

    words: str
    prompts: tuple[str, ...] = ()
    seed: int | None = None


def own_arithmetic(process: GenerativeProcess) -> torch.autocast:
    """Within it, only the process's dtype says how it computes, not an autocast of the caller's."""
    return torch.autocast(process.device.type, enabled=False)


def predict_batched(
    process: GenerativeProcess,
    x: Tensor,
    step: Tensor,
    cond: Conditioning,
    cond_index: Tensor,
    describe: Callable[[int], RowName],
) -> Tensor:
    """The network's ε, one row for each row of x, at most ``batch_size`` rows at once.

    x:          (n, *latent_shape), in the solver's scale
    step:       (n,), integers into the schedule
    cond_index: (n,), the row of ``cond`` that belongs to each row of x
    describe:   row number → what the row is, for error messages

    If memory runs out, ``batch_size`` is halved for the rest of the run. Finished rows are kept.
    Raises NonFiniteError for NaN or infinity, and InputError if not even one row fits.
    """
    answers: list[Tensor] = []
    done, before = 0, process.batch_size
    while done < len(x):
        batch = slice(done, done + process.batch_size)
        answer = _predict(process, x[batch], step[batch], cond.rows(cond_index[batch]))
        if answer is None:  # out of memory
            process.batch_size //= 2
            continue
        # a copy, where more follow: the process may use its memory for the next batch
        answers.append(answer if len(answer) == len(x) else answer.clone())
        done += len(answer)
    if process.batch_size < before:
        tell(
            SmallerBatchWarning(
                f"batch_size {before} does not fit the memory of {process.device}: "
                f"going on with {process.batch_size}"
            )
        )
    result = torch.cat(answers)
    require_finite(result, step, "the network", describe)
    return result


def require_finite(
    values: Tensor, step: Tensor, source: str, describe: Callable[[int], RowName]
) -> None:
    """Raise NonFiniteError if a value is NaN or infinite.

    values: (n, *latent_shape); row i comes from ``source``, for ``describe(i)``, at step
            ``step[i]``
    """
    finite = torch.isfinite(values).flatten(1).all(dim=1)
    if not finite.all():
        row = int((~finite).nonzero()[0, 0])
        name = describe(row)
        raise NonFiniteError(
            f"{source}, {name.words}, gave NaN or infinity at step {int(step[row]) + 1}: "
            "try dtype float32, another sampler or a smaller guidance",
            name.prompts,
            name.seed,
        )


def _predict(
    process: GenerativeProcess, x: Tensor, step: Tensor, cond: Conditioning
) -> Tensor | None:
    """What the process predicts, or None if memory ran out.

    A smaller ``batch_size`` can help even if x has few rows: a compiled network pads every batch
    to it.
    """
    try:
        with own_arithmetic(process):
            return _checked(process, process.predict(x, step, cond), x)
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        if process.batch_size == 1:
            raise InputError(
                f"not even one row of {process.name} fits the memory of {process.device}: "
                "try another device or a smaller dtype"
            ) from error
    # Not inside the handler: there the traceback still holds the tensors.
    if process.device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _checked(process: GenerativeProcess, answer: object, x: Tensor) -> Tensor:
    """The process's own answer, or InputError where it is not one ε for each row of x."""
    if not isinstance(answer, Tensor) or answer.shape != x.shape:
        found = f"shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else brief(answer)
        raise InputError(
            f"process {brief(process.name)} predicted {found} for x of shape {tuple(x.shape)}: "
            "predict must return one ε for each row of x"
        )
    if not answer.is_floating_point():
        raise InputError(
            f"process {brief(process.name)} predicted {answer.dtype}: "
            f"predict must return {process.latent_dtype}, or wider"
        )
    return answer


def _out_of_memory(error: Exception) -> bool:
    """PyTorch has an exception for a GPU without memory; on a CPU only the message says it."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return "can't allocate memory" in str(error)
