"""How tables look; LaTeX is compiled where there is a compiler."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace

import pytest

from conjure.report.cells import ALL, AVERAGE, DEVIATION, PUBLISHED, Cell
from conjure.report.differences import RowDifference
from conjure.report.grids import source_grids
from conjure.report.latex import escape, latex_text
from conjure.report.notes import interval_notes, table_notes
from conjure.report.reliability import RowReliability
from conjure.report.render import csv_text, markdown_text, terminal_text
from conjure.report.report import Report
from conjure.report.writing import json_lines, write_report, write_text

TITLES = {
    "conjuring": "Conjuring (Jeffreys)",
    "encoder=my_model#1:cls": "my_model#1 (cls)",
    "gpt2": "GPT-2",
    "control": "Control (prompt ignored)",
    "paragon": "Paragon (own text encoder)",
}


def table_of(title, rows, columns, cells, differences=(), notes=()) -> Report:
    return Report(
        "table1",
        title,
        source_grids(cells, rows, columns, TITLES),
        table_notes(notes, cells, columns, TITLES),
        cells=cells,
        differences=differences,
        titles=TITLES,
    )


TABLE = table_of(
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
    (RowDifference("conjuring", "gpt2", "stsb", ALL, 9, 3.0, (1, 5), 0.01, "pairs", None),),
    notes=("A subsample, drawn with seed 0: stsb: 9 of 1,379 pairs.",),
)


def test_the_grid_has_figures_intervals_deviations_and_dashes():
    [(heading, measured), _] = TABLE.grids
    assert heading == "*measured*"
    assert measured == [
        ["row", "STS-B", "STS-B x|y", "average"],
        ["Conjuring (Jeffreys)", "0.0 [-10.3, 9.9]", "–", "54.3 ± 4.4 [50.0, 60.0]"],
        ["my_model#1 (cls)", "61.3", "–", "–"],
        ["GPT-2", "–", "–", "–"],
    ]


def test_published_figures_have_a_grid_of_their_own():
    [(_, measured), (heading, [_, line])] = TABLE.grids
    assert heading == "*published*"
    assert line == ["Conjuring (Jeffreys)", "70.3", "–", "–"]
    assert all("70.3" not in text for row in measured for text in row)


def test_a_published_figure_is_written_as_it_is_printed():
    cells = (
        Cell("gpt2", "stsb", spearman=82.03, source=PUBLISHED),
        Cell("gpt2", AVERAGE, spearman=66.0, source=PUBLISHED),
        Cell("gpt2", AVERAGE, DEVIATION, spearman=5.3, source=PUBLISHED),
        Cell("paragon", "sts12", spearman=1.0, source=PUBLISHED),
    )
    [_, (_, lines)] = source_grids(cells, (), (("stsb", ALL), (AVERAGE, ALL)), TITLES)
    assert lines[1:] == [["GPT-2", "82.03", "66.0 ± 5.3"]]  # paragon has nothing in these columns


@pytest.mark.parametrize("draw", [terminal_text, markdown_text])
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
    drawn = Cell("control", "stsb", spearman=0.1, interval=(-5, 5), over="100 draws of the control")
    encoder = Cell("paragon", "stsb", spearman=70, interval=(65, 75), over="pairs")
    cells = (*TABLE.cells, drawn, encoder)
    table = replace(TABLE, cells=cells)
    sentences = [
        "In brackets: 95 % bootstrap intervals over pairs, for the seeds as drawn",
        "Of Control (prompt ignored): the mean of 100 draws of the control, and in brackets the"
        " range that holds 95 % of them",
        "Of Paragon (own text encoder): 95 % bootstrap intervals over pairs",
    ]
    assert interval_notes(cells, TITLES) == sentences
    told = table_notes((), cells, (("stsb", ALL),), TITLES)
    assert told[: len(sentences)] == tuple(f"{sentence}." for sentence in sentences)
    [caption] = [line for line in latex_text(table).splitlines() if line.startswith(r"\caption")]
    for sentence in sentences:
        assert escape(sentence) in caption


def test_markdown_tables_are_rectangular():
    blocks = [b for b in markdown_text(TABLE).split("\n\n") if b.startswith("|")]
    columns = [
        {line.replace("\\|", "").count("|") - 1 for line in block.splitlines()} for block in blocks
    ]
    assert columns == [{4}, {4}, {2}]  # measured, published, differences


def test_notes_tell_each_signature_and_source_once():
    told = TABLE.notes
    assert "Measured: Conjuring (Jeffreys): a|b" in told
    assert "Published: Conjuring (Jeffreys): The paper" in told
    assert sum(note.startswith("Measured") for note in told) == 2  # a|b has two cells, c one
    assert len(told) == len(set(told))


def test_csv_has_every_cell_with_its_source():
    lines = list(csv.DictReader(io.StringIO(csv_text(TABLE.cells))))
    assert len(lines) == len(TABLE.cells)
    assert lines[0]["interval_low"] == "-10.26"
    assert lines[0]["p_value"] == ""
    assert [line["source"] for line in lines].count("published") == 1


@pytest.mark.parametrize("character", "\\{}&%$#_~^")
def test_latex_escapes_every_special_character(character):
    expected = {"\\": "textbackslash{}", "~": "textasciitilde{}", "^": "textasciicircum{}"}
    assert escape(f"a{character}b") == f"a\\{expected.get(character, character)}b"


def test_latex_has_the_structure_of_booktabs_and_as_many_columns_in_each_row():
    text = latex_text(TABLE)
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
        f"{latex_text(TABLE)}\\end{{document}}\n"
    )
    (tmp_path / "table.tex").write_text(document)
    subprocess.run(
        [found, *compilers[found], "table.tex"], cwd=tmp_path, check=True, capture_output=True
    )
    assert (tmp_path / "table.pdf").exists()


HOSTILE = "<b>|`x`\n![](y)\x1b[2J\u202e"


def hostile() -> Report:
    cells = tuple(
        Cell(row, HOSTILE, spearman=1.0, n=3, signature=f"{HOSTILE}|", reason=None)
        for row in ("conjuring", f"[{HOSTILE}")
    )
    rows = ("conjuring", f"[{HOSTILE}")
    return table_of(f"Title {HOSTILE}", rows, ((HOSTILE, ALL),), cells, notes=(HOSTILE,))


def test_markdown_passes_no_html_no_code_no_link_and_no_line_of_others():
    plain, text = markdown_text(TABLE), markdown_text(hostile())
    assert len(text.splitlines()) == 11  # title, heading, a table of two rows, two notes
    assert "<b>" not in text
    assert "`" not in text.replace("\\`", "")
    assert "](" not in text
    assert "&lt;b&gt;\\|\\`x\\`\\n![]\\(y)" in text
    assert all(line.isprintable() for line in text.splitlines())
    assert "50 % of a_b &amp; c" in plain


def test_a_terminal_gets_no_line_and_no_control_of_others():
    lines = terminal_text(hostile()).splitlines()
    assert all(line.isprintable() for line in lines)
    assert sum("<b>|`x`\\n" in line for line in lines) == len(
        [line for line in lines if "<b>" in line]
    )


def test_latex_takes_no_bracket_of_a_row_for_its_own():
    text = latex_text(hostile())
    assert not any(line.startswith(("[", "*")) for line in text.splitlines())
    assert "{}[" in text
    assert all(line.isprintable() for line in text.splitlines())


def test_a_report_with_pictures_is_as_safe_as_a_table():
    report = Report(
        "page",
        HOSTILE,
        ((HOSTILE, [[HOSTILE], [HOSTILE]]),),
        (HOSTILE,),
        pictures=(("picture", HOSTILE),),
    )
    text = markdown_text(report)
    assert "<b>" not in text
    assert "`" not in text.replace("\\`", "")
    assert text.count("](") == 1  # the picture's
    assert all(line.isprintable() for line in text.splitlines())
    assert all(line.isprintable() for line in terminal_text(report).splitlines())


def test_one_writer_gives_each_report_the_files_that_it_has(tmp_path):
    reliability = RowReliability("conjuring", "stsb", 2, 0.9, 0.95, None)
    table = replace(TABLE, reliabilities=(reliability,))
    names = {path.name for path in write_report(table, tmp_path / "table", "- Command: x\n")}
    assert names == {path.name for path in (tmp_path / "table").iterdir()}
    assert names == {
        *("table1.md", "table1.json", "table1.csv", "table1.tex"),
        *("table1-differences.json", "table1-reliability.json"),
    }
    page = (tmp_path / "table" / "table1.md").read_text()
    assert page.endswith("- Command: x\n")
    assert "| Conjuring (Jeffreys) | STS-B | 2 | 0.900 | 0.950 |" in page
    found = json.loads((tmp_path / "table" / "table1.json").read_text())
    assert [cell["row"] for cell in found] == [cell.row for cell in TABLE.cells]
    assert found[0]["interval"] == [-10.26, 9.9]

    figure = Report("f", "F", (), ("a note",), pictures=(("f", "F"),), objects={"unit": "m"})
    paths = write_report(figure, tmp_path / "figure", "")
    assert [path.name for path in paths] == ["f.md", "f.json", "f.png", "f.svg"]
    assert json.loads((tmp_path / "figure" / "f.json").read_text()) == {"unit": "m"}


def test_files_of_results_touch_no_other_file(tmp_path):
    (tmp_path / "table1.md.tmp").write_text("mine")
    write_text(tmp_path / "table1.md", "new \ud800")
    assert (tmp_path / "table1.md").read_text() == "new \\ud800"
    assert (tmp_path / "table1.md.tmp").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_json_has_no_nan():
    for objects in ({"x": float("nan")}, [{"x": float("inf")}]):
        with pytest.raises(ValueError, match="not JSON compliant"):
            json_lines(objects)
