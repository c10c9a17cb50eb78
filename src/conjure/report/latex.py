"""Tables as LaTeX, by booktabs: ``\\usepackage{booktabs}`` is all that a document needs."""

from __future__ import annotations

from ..core.text import printable
from ..paper.tables import Table
from .cells import MEASURED, PUBLISHED
from .render import brackets, grid, notes

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}\allowbreak{}",  # signatures have no spaces to break at
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "…": r"\ldots{}",
    "∅": r"$\emptyset$",
}


def escape(text: str) -> str:
    """A text as LaTeX prints it.

    >>> escape("50 % of a_b & c")
    '50 \\\\% of a\\\\_b \\\\& c'
    """
    return "".join(_SPECIAL.get(character, character) for character in printable(text))


def latex(table: Table) -> str:
    """A floating table: measured rows, then published ones; its notes in small type below."""
    width = len(table.columns) + 1
    named = table.title.split(": ", 1)[-1]  # LaTeX numbers it
    caption = ". ".join([named, *brackets(table.cells)])
    body: list[str] = []
    for source in (MEASURED, PUBLISHED):
        head, *rows = grid(table, source)
        if not rows:
            continue
        if not body:
            body += [_line(head), r"\midrule"]
        else:
            body.append(r"\midrule")
        body.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{source}}}}} \\")
        for row in rows:
            body += _stacked(row)
    small = "".join(f"\\par {escape(note)}\n" for note in notes(table))
    return (
        "% needs \\usepackage{booktabs}\n"
        "\\begin{table}\n\\centering\\scriptsize\\setlength{\\tabcolsep}{1.5pt}\n"
        f"\\caption{{{escape(caption)}}}\n\\label{{tab:{table.name}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (width - 1)}}}\n\\toprule\n"
        + "\n".join(body)
        + "\n\\bottomrule\n\\end{tabular}\n"
        f"\\par\\medskip\\begin{{minipage}}{{\\linewidth}}\\scriptsize\\raggedright\n{small}"
        "\\end{minipage}\n\\end{table}\n"
    )


def _stacked(row: list[str]) -> list[str]:
    """A row, and below it, in small type, its intervals: beside the figures they need two pages."""
    figures, intervals = zip(*(text.partition(" [")[::2] for text in row[1:]), strict=True)
    small = [rf"{{\tiny [{escape(text.replace(', ', ','))}}}" if text else "" for text in intervals]
    figure_line = _line([row[0], *figures])
    if not any(small):
        return [figure_line]
    return [f"{figure_line}[-1.5pt]", " & ".join(["", *small]) + r" \\[1.5pt]"]


def _line(texts: list[str]) -> str:
    line = " & ".join(escape(text) for text in texts)
    # The row above ends with \\, which would take a bracket or an asterisk for its own
    return ("{}" if line.startswith(("[", "*")) else "") + line + r" \\"
