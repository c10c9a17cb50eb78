"""Errors and warnings. Each message says what was given, what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class ConjureError(Exception):
    """The base of all errors here; the command line prints one line and exits with status 2."""


class InputError(ConjureError, ValueError):
    """Something the caller gave is wrong: a text, a file, a setting, a model id."""


class NonFiniteError(ConjureError, ArithmeticError):
    """The network predicted NaN or infinity; the message names the prompt and the step.

    prompts: the texts whose numbers fail: one, whose trajectory failed, or the two of a pair;
             empty if they are not known
    seed:    the noise for which they fail; None if it is not known
    """

    def __init__(self, message: str, prompts: Sequence[str] = (), seed: int | None = None) -> None:
        super().__init__(message)
        self.prompts, self.seed = tuple(prompts), seed


class SmallerBatchWarning(UserWarning):
    """Memory ran out; from now on the network gets fewer rows at once."""


class DamagedWorkWarning(UserWarning):
    """Kept work that is damaged or of another run was set aside; its units are computed again."""


class PromptTruncatedWarning(UserWarning):
    """A prompt has more tokens than the text encoder reads; the rest of it is ignored."""


class UnknownTokensWarning(UserWarning):
    """A prompt holds characters that the tokenizer does not know or drops; they do not count."""


class SlowDtypeWarning(UserWarning):
    """The processor has no instructions for the dtype that was asked for."""


class UnchangedWeightsWarning(UserWarning):
    """An adapter that was added changes no weight."""


class ZeroGuidanceWarning(UserWarning):
    """At guidance 0 the prediction is the one without a prompt, so all texts are alike."""


class LowMemoryWarning(UserWarning):
    """The weights of a process need more memory than is free."""
