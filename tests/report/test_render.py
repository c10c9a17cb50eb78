"""How tables look; LaTeX is compiled where there is a compiler."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from dataclasses import replace

import pytest

from conjure.paper.tables import Table
from conjure.report import pages
from conjure.report.cells import ALL, AVERAGE, DEVIATION, MEASURED, PUBLISHED, Cell
from conjure.report.differences import Difference
from conjure.report.latex import escape, latex
from conjure.report.render import brackets, csv_text, grid, markdown, notes, terminal
from conjure.report.report import json_text, write

TABLE = Table(
    "table1",
    "Table 1: 50 % of a_b & c",
    ("conjuring", "encoder=my_model#1:cls", "gpt2"),
    (("stsb", ALL), ("stsb", "x|y"), (AVERAGE, ALL)),
    (
        Cell(
            "conjuring",
            "stsb",
            spearman=-0.04,
            n=90,
            interval=(-10.26, 9.9),
            signature="a|b",
            over="pairs, for the seeds as drawn; 90 of 1379 pairs, drawn with seed 0",
        ),
        Cell("conjuring", "stsb", "x|y", reason="all distances are the same"),
        Cell(
            "conjuring",
            AVERAGE,
            spearman=54.3,
            interval=(50, 60),
            signature="a|b",
            over="pairs, for the seeds as drawn",
        ),
        Cell("conjuring", AVERAGE, DEVIATION, spearman=4.44, signature="a|b"),
        Cell(
            "encoder=my_model#1:cls",
            "stsb",
            spearman=61.26,
            n=9,
            signature="c",
            over="pairs",
            interval_reason="fewer than 10 pairs",
        ),
        Cell("gpt2", "stsb", n=9, reason="no hub"),
        Cell("conjuring", "stsb", spearman=70.3, signature="The paper", source=PUBLISHED),
    ),
    (Difference("conjuring", "gpt2", "stsb", ALL, 9, 3.0, (1, 5), 0.01, "pairs", None),),
    notes=("A subsample, drawn with seed 0: stsb: 9 of 1,379 pairs.",),
)


def test_the_grid_has_figures_intervals_deviations_and_dashes():
    assert grid(TABLE, MEASURED) == [
        ["row", "STS-B", "STS-B x|y", "average"],
        ["Conjuring (Jeffreys)", "0.0 [-10.3, 9.9]", "–", "54.3 ± 4.4 [50.0, 60.0]"],
        ["my_model#1 (cls)", "61.3", "–", "–"],
        ["GPT-2", "–", "–", "–"],
    ]


def test_published_figures_have_a_grid_of_their_own():
    [_, line] = grid(TABLE, PUBLISHED)
    assert line == ["Conjuring (Jeffreys)", "70.3", "–", "–"]
    assert all("70.3" not in text for row in grid(TABLE, MEASURED) for text in row)


@pytest.mark.parametrize("draw", [terminal, markdown])
def test_texts_mark_what_is_measured_and_what_published_and_say_the_subsample(draw):
    text = draw(TABLE)
    assert text.index("*measured*") < text.index("61.3") < text.index("*published*")
    assert text.index("*published*") < text.index("70.3")
    assert "9 of 1,379 pairs" in text
    assert "No figure for GPT-2 on STS-B: no hub" in text
    assert "+3.0 [1.0, 5.0]" in text
    assert "In brackets: 95 % bootstrap intervals over pairs, for the seeds as drawn." in text
    assert "No interval for my_model#1 (cls) on STS-B: fewer than 10 pairs" in text


def test_each_kind_of_interval_is_named_with_its_rows_in_notes_and_caption():
    drawn = Cell("null", "stsb", spearman=0.1, interval=(-5, 5), over="100 draws of the control")
    encoder = Cell("paragon", "stsb", spearman=70, interval=(65, 75), over="pairs")
    table = replace(TABLE, cells=(*TABLE.cells, drawn, encoder))
    sentences = [
        "In brackets: 95 % bootstrap intervals over pairs, for the seeds as drawn",
        "Of Null (prompt ignored): what 95 % of 100 draws of the control lie between,"
        " and before them their mean",
        "Of Paragon (own text encoder): 95 % bootstrap intervals over pairs",
    ]
    assert brackets(table.cells) == sentences
    for sentence in sentences:
        assert f"{sentence}." in notes(table)
    [caption] = [line for line in latex(table).splitlines() if line.startswith(r"\caption")]
    for sentence in sentences:
        assert escape(sentence) in caption


def test_markdown_tables_are_rectangular():
    for block in markdown(TABLE).split("\n\n"):
        if block.startswith("|"):
            counts = {line.replace("\\|", "").count("|") for line in block.splitlines()}
            assert len(counts) == 1


def test_notes_tell_each_signature_and_source_once():
    told = notes(TABLE)
    assert "Measured: Conjuring (Jeffreys): a|b" in told
    assert "Published: Conjuring (Jeffreys): The paper" in told
    assert len(told) == len(set(told))


def test_csv_has_every_cell_with_its_source():
    lines = list(csv.DictReader(io.StringIO(csv_text(TABLE.cells))))
    assert len(lines) == len(TABLE.cells)
    assert lines[0]["interval_low"] == "-10.26"
    assert lines[0]["p_value"] == ""
    assert [line["source"] for line in lines].count("published") == 1


@pytest.mark.parametrize("character", "\\{}&%$#_~^")
def test_latex_escapes_every_special_character(character):
    escaped = escape(f"a{character}b")
    assert escaped != f"a{character}b"
    assert escaped.startswith("a\\")


def test_latex_has_the_structure_of_booktabs_and_as_many_columns_in_each_row():
    text = latex(TABLE)
    order = [r"\toprule", r"\midrule", r"\emph{measured}", r"\emph{published}", r"\bottomrule"]
    places = [text.index(mark) for mark in order]
    assert places == sorted(places)
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    body = text[places[0] : places[-1]].splitlines()
    rows = [line for line in body if "&" in line and "multicolumn" not in line]
    intervals = [line for line in rows if r"\tiny" in line]
    assert len(rows) - len(intervals) == 5
    assert intervals == [r" & {\tiny [-10.3,9.9]} &  & {\tiny [50.0,60.0]} \\[1.5pt]"]
    assert {line.replace(r"\&", "").count("&") for line in rows} == {3}
    assert r"my\_model\#1 (cls)" in text
    assert r"50 \% of a\_b \& c" in text
    assert not any(ord(character) > 127 for character in text)


def test_latex_compiles(tmp_path):
    compilers = {"pdflatex": ["-halt-on-error"], "tectonic": [], "xelatex": ["-halt-on-error"]}
    found = next((name for name in compilers if shutil.which(name)), None)
    if found is None:
        pytest.skip("needs a LaTeX compiler: pdflatex, tectonic or xelatex")
    document = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
        f"{latex(TABLE)}\\end{{document}}\n"
    )
    (tmp_path / "table.tex").write_text(document)
    subprocess.run(
        [found, *compilers[found], "table.tex"], cwd=tmp_path, check=True, capture_output=True
    )
    assert (tmp_path / "table.pdf").exists()


HOSTILE = "<b>|`x`\n![](y)\x1b[2J\u202e"


def hostile() -> Table:
    cells = tuple(
        Cell(row, HOSTILE, spearman=1.0, n=3, signature=f"{HOSTILE}|", reason=None)
        for row in ("conjuring", f"[{HOSTILE}")
    )
    rows = ("conjuring", f"[{HOSTILE}")
    return Table("table1", f"Title {HOSTILE}", rows, ((HOSTILE, ALL),), cells, notes=(HOSTILE,))


def test_markdown_passes_no_html_no_code_no_link_and_no_line_of_others():
    plain, text = markdown(TABLE), markdown(hostile())
    assert len(text.splitlines()) == 11  # title, heading, a table of two rows, two notes
    assert "<b>" not in text
    assert "`" not in text.replace("\\`", "")
    assert "](" not in text
    assert "&lt;b&gt;\\|\\`x\\`\\n![]\\(y)" in text
    assert all(line.isprintable() for line in text.splitlines())
    assert "50 % of a_b &amp; c" in plain


def test_a_terminal_gets_no_line_and_no_control_of_others():
    lines = terminal(hostile()).splitlines()
    assert all(line.isprintable() for line in lines)
    assert sum("<b>|`x`\\n" in line for line in lines) == len(
        [line for line in lines if "<b>" in line]
    )


def test_latex_takes_no_bracket_of_a_row_for_its_own():
    text = latex(hostile())
    assert not any(line.startswith(("[", "*")) for line in text.splitlines())
    assert "{}[" in text
    assert all(line.isprintable() for line in text.splitlines())


def test_a_page_is_as_safe_as_a_table():
    page = pages.Page(
        "page",
        HOSTILE,
        ((("picture", HOSTILE)),),
        ((HOSTILE, [[HOSTILE], [HOSTILE]]),),
        (HOSTILE,),
        [],
    )
    text = pages.markdown(page)
    assert "<b>" not in text
    assert "`" not in text.replace("\\`", "")
    assert text.count("](") == 1  # its own picture
    assert all(line.isprintable() for line in text.splitlines())
    assert all(line.isprintable() for line in pages.terminal(page).splitlines())


def test_files_of_results_touch_no_other_file(tmp_path):
    (tmp_path / "table1.md.tmp").write_text("mine")
    write(tmp_path / "table1.md", "new \ud800")
    assert (tmp_path / "table1.md").read_text() == "new \\ud800"
    assert (tmp_path / "table1.md.tmp").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_json_has_no_nan():
    for objects in ({"x": float("nan")}, [{"x": float("inf")}]):
        with pytest.raises(ValueError, match="not JSON compliant"):
            json_text(objects)
