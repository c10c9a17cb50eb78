"""Make foreign texts safe for one line of a terminal, of Markdown or of a signature.

A text, a column name or a model card may hold anything: line breaks, escape sequences that move a
terminal's cursor, marks that reverse the direction of writing. Every such text passes through here
once, where it is printed. Results keep texts unchanged.
"""

from __future__ import annotations

import re
from urllib.parse import quote

TEXT = 200  # maximum characters of one text or name in a line
MESSAGE = 1000  # maximum characters of a message

# Controls (C0, DEL, C1), marks of direction, line and paragraph separators, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    """The text with control characters, line breaks and marks of direction as visible escapes.

    >>> printable("a\\x1b[2Jb\\nc")
    'a\\\\x1b[2Jb\\\\nc'
    """
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def shown(text: str, max_length: int = TEXT) -> str:
    """The text, safe to print; a long one loses its middle.

    >>> shown("a" * 300, 20)
    'aaaaaaaaaaaaa…aaaaaa'
    """
    if len(text) > max_length:
        end = max_length // 3
        text = f"{text[: max_length - end - 1]}…{text[-end:]}"
    return printable(text)


def message(text: str) -> str:
    """A message as one line; line breaks of other libraries' messages become spaces."""
    return shown(" ".join(text.split()), MESSAGE)


def first_line(error: Exception) -> str:
    """The first line of an error's message that is not blank; its class where there is none."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((f"{line:.300}" for line in lines if line), type(error).__name__)


def brief(value: object) -> str:
    """A short ``repr`` of a wrong argument, for an error message; never raises.

    >>> brief("x" * 500)[:9], brief(10**5000)
    ("'xxxxxxxx", 'an int')
    """
    try:
        return shown(repr(value), 80)
    except Exception:  # a repr of the user's own, or an int of more digits than Python prints
        kind = type(value).__name__
        return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def number_of(count: int, noun: str) -> str:
    """A count with its noun, in the plural unless the count is 1.

    >>> number_of(1, "pair"), number_of(1200, "pair")
    ('1 pair', '1,200 pairs')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def text_fault(text: object) -> str | None:
    """Why a value cannot be compared as a text; None if it can."""
    if text is None:
        return "is missing"
    if not isinstance(text, str):
        return f"is not a text but {type(text).__name__}"
    if not text.strip():
        return "is empty"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if "\0" in text:  # of a file in UTF-16, or of no text at all
        return "holds a null character"
    return None


def fact(value: object, also: str = "") -> str:
    """A value as one field of a signature line, whose fields are separated by "|".

    Different values give different fields. also: further characters to escape

    >>> fact("m|seed:7"), fact("m|seed:7", also=":"), fact("100%"), fact("café")
    ('m%7Cseed:7', 'm%7Cseed%3A7', '100%25', 'café')
    """

    def escape(found: re.Match[str]) -> str:
        return quote(found[0].encode("utf-8", "surrogatepass"), safe="")

    return re.sub(f"[|%{also}]|{_UNSAFE.pattern}", escape, str(value))


def markdown(text: str) -> str:
    """A text escaped for one line of Markdown: no HTML, code or links. Emphasis stays.

    >>> markdown("<b>`x`</b> | [a](b)")
    '&lt;b&gt;\\\\`x\\\\`&lt;/b&gt; | [a]\\\\(b)'
    """
    for mark, safe in (
        ("\\", "\\\\"),
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("`", "\\`"),
        ("](", "]\\("),
    ):
        text = text.replace(mark, safe)
    return printable(text)


def code(text: str) -> str:
    """A text as inline code of Markdown; backticks in it are allowed.

    >>> code("ls"), code("echo `date`")
    ('`ls`', '`` echo `date` ``')
    """
    runs = re.findall("`+", text)
    if not runs:
        return f"`{printable(text)}`"
    fence = "`" * (max(map(len, runs)) + 1)
    return f"{fence} {printable(text)} {fence}"
