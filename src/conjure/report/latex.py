"""Tables as LaTeX, by booktabs: ``\\usepackage{booktabs}`` is all that a document needs."""

from __future__ import annotations

from ..core.text import printable
from .notes import interval_notes
from .report import Report

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


def latex_text(report: Report) -> str:
    """A floating table of the report's grids, one below the other; its notes in small type."""
    grids = [(heading.strip("*"), grid) for heading, grid in report.grids if len(grid) > 1]
    head = report.grids[0][1][0]
    named = report.title.split(": ", 1)[-1]  # LaTeX numbers it
    caption = ". ".join([named, *interval_notes(report.cells, report.titles)])
    body = [_line(head)]
    for heading, (_, *rows) in grids:
        body.append(r"\midrule")
        body.append(rf"\multicolumn{{{len(head)}}}{{l}}{{\emph{{{escape(heading)}}}}} \\")
        for row in rows:
            body += _stacked(row)
    small = "".join(f"\\par {escape(note)}\n" for note in report.notes)
    return (
        "% needs \\usepackage{booktabs}\n"
        "\\begin{table}\n\\centering\\scriptsize\\setlength{\\tabcolsep}{1.5pt}\n"
        f"\\caption{{{escape(caption)}}}\n\\label{{tab:{report.name}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}\n\\toprule\n"
        + "\n".join(body)
        + "\n\\bottomrule\n\\end{tabular}\n"
        f"\\par\\medskip\\begin{{minipage}}{{\\linewidth}}\\scriptsize\\raggedright\n{small}"
        "\\end{minipage}\n\\end{table}\n"
    )


def _stacked(row: list[str]) -> list[str]:
    """A row, and its intervals below it in small type: beside the figures they need two pages."""
    figures, intervals = zip(*(text.partition(" [")[::2] for text in row[1:]), strict=True)
    small = [rf"{{\tiny [{escape(text.replace(', ', ','))}}}" if text else "" for text in intervals]
    figure_line = _line([row[0], *figures])
    if not any(small):
        return [figure_line]
    return [f"{figure_line}[-1.5pt]", " & ".join(["", *small]) + r" \\[1.5pt]"]


def _line(texts: list[str]) -> str:
    line = " & ".join(escape(text) for text in texts)
    # The row above ends with \\, and a bracket or an asterisk would become its argument
    return ("{}" if line.startswith(("[", "*")) else "") + line + r" \\"
