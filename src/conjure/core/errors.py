"""What can go wrong, in words for people: each message says what was given and what to do."""


class ConjureError(Exception):
    """Anything conjure refuses to do; the command line prints it on one line and exits with 2."""


class InputError(ConjureError, ValueError):
    """Something the caller gave is wrong: a text, a file, a setting, a model id."""


class NonFiniteError(ConjureError, ArithmeticError):
    """The network predicted NaN or infinity; the message names the prompt and the step."""


class SmallerBatchWarning(UserWarning):
    """Memory ran out, and the network is given fewer rows at once from now on."""


class PromptTruncatedWarning(UserWarning):
    """A prompt has more tokens than the text encoder reads; its end does not count."""


class UnknownTokensWarning(UserWarning):
    """A prompt holds characters that the tokenizer does not know or drops; they do not count."""


class SlowDtypeWarning(UserWarning):
    """The processor has no instructions for the dtype that was asked for."""
