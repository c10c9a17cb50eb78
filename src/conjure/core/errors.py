"""What can go wrong, in words for people: each message says what was given and what to do."""

import re
from urllib.parse import quote


class ConjureError(Exception):
    """Anything conjure refuses to do; the command line prints it on one line and exits with 2."""


class InputError(ConjureError, ValueError):
    """Something the caller gave is wrong: a text, a file, a setting, a model id."""


class NonFiniteError(ConjureError, ArithmeticError):
    """The network predicted NaN or infinity; the message names the prompt and the step."""


class SmallerBatchWarning(UserWarning):
    """Memory ran out, and the network is given fewer rows at once from now on."""


# Controls (C0, DEL, C1), marks of direction, line and paragraph separators, lone surrogates.
_UNSAFE = re.compile(
    "[|%\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def escape_field(value: object) -> str:
    """A value as it stands in a signature, where "|" parts the fields; different ones differ.

    >>> escape_field("a|b"), escape_field("a%7Cb"), escape_field("café")
    ('a%7Cb', 'a%257Cb', 'café')
    """
    return _UNSAFE.sub(
        lambda found: quote(found[0].encode("utf-8", "surrogatepass"), safe=""), str(value)
    )
