"""Bad inputs to all commands: one line, status 2, no model loaded, no hub asked, no file touched.

What fails while a run goes on, with status 1, is in ``test_texts.py`` and ``runs/test_faults.py``.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

import conjure
from conjure import processes
from conjure.cli.main import main
from conjure.processes.hub import BUNDLED

LONG = "x" * 5000
MANIFESTS = {
    "text": "my manifest",
    "list": '["a"]',
    "deep": '{"key": ' + "[" * 200_000 + "]" * 200_000 + "}",
    "key": '{"format": "conjure run", "layout": 1, "kind": "terms", "key": {}, "digest": "0"}',
    "new": '{"format": "conjure run", "layout": 99, "kind": "terms", "key": {}}',
}
DIGITS = "9" * 400
OUT = ["--out", "out.csv"]
HEAD = "score\tsentence1\tsentence2\n"
RATED = HEAD + "1\ta\tb\n2\tc\td\n3\te\tf\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A folder of files that a user might have, and no process that could be loaded."""

    def load(*_: object, **__: object) -> None:
        raise AssertionError("a process was loaded, or the hub asked")

    for module, name in ((conjure, "load"), (socket.socket, "connect")):
        monkeypatch.setattr(module, name, load, raising=False)
    monkeypatch.chdir(tmp_path)
    files: dict[str, str | bytes] = {
        "pairs.csv": "text1,text2\na,b\nc,d\ne\n",
        "ids.csv": "id,a,b\n1,a dog,a cat\n2,a bird,a bee\n",
        "codes.csv": "code,a,b\np1,a dog,a cat\np2,a bird,a bee\n",
        "scores.csv": "a,score,b\na dog,1.5,a cat\na bird,2,a bee\n",
        "one.csv": "text\na\n",
        "twice.csv": "text1,text1\na,b\n",
        "header.csv": '"x"y,b\ntext1,text2\na,b\n',
        "empty.csv": "",
        "latin.csv": "text1,text2\né,b\n".encode("latin-1"),
        "utf16.csv": "text1,text2\na,b\n".encode("utf-16"),
        "nul.csv": "text1,text2\na\0, \n",
        "nul.txt": "\n\0a\0b\0\n",
        "value.csv": "text1,text2,value\na,b,1\n",
        "garbage.parquet": b"PAR1" + bytes(range(200)) + b"PAR1",
        "text.parquet": "text1,text2\na,b\n",
        "torn.csv.gz": b"\x1f\x8b\x08\x00",
        "deep.jsonl": '{"text1": ' + "[" * 200_000 + "]" * 200_000 + "}\n",
        "nan.jsonl": '{"text1": "a", "text2": "b", "n": NaN}\n',
        "infinite.jsonl": '{"text1": "a", "text2": "b", "n": 1e999}\n',
        "rated.tsv": RATED,
        "digits.tsv": HEAD + f"{DIGITS}\ta\tb\n",
        "digits.jsonl": f'{{"score": {DIGITS}, "sentence1": "a", "sentence2": "b"}}\n',
        "same.tsv": HEAD + "1\ta\tb\n1\tc\td\n1\te\tf\n",
        "unrated.tsv": "sentence1\tsentence2\na\tb\n",
        "words.txt": "a\nb\nc\nd\n",
        "two.txt": "a\nb\n",
        "whole.csv": "text1,text2\na,b\nc,d\n",
        "blank.txt": "\n \n",
        "notes.npz": "my notes",
        # what may pass for a process
        "x.safetensors": b"\xff" * 100,
        "x.ckpt": b"\x80\x02}q\x00.",
        "no-json/model_index.json": "{",
        "list/model_index.json": "[]",
        "unknown/model_index.json": '{"_class_name": "NoSuchPipeline"}',
        "there.csv": "kept",
        "notes.csv.run": "my notes",
        "plain": "a file",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "dangling.csv").symlink_to("nowhere.csv")
    (tmp_path / "dangling2.csv.run").symlink_to("nowhere.csv.run")
    for name, manifest in MANIFESTS.items():
        (tmp_path / f"{name}.csv.run").mkdir()
        (tmp_path / f"{name}.csv.run" / "manifest.json").write_text(manifest)
    (tmp_path / "foreign.csv.run").mkdir()
    (tmp_path / "foreign.csv.run" / "notes").write_text("my notes")
    (tmp_path / "link.csv").symlink_to("pairs.csv")
    os.link(tmp_path / "pairs.csv", tmp_path / "hard.csv")
    os.link(tmp_path / "rated.tsv", tmp_path / "hard.tsv")
    os.mkfifo(tmp_path / "pipe.csv")
    return tmp_path


def contents(folder: Path) -> dict[str, object]:
    """Everything below a folder: what files hold, where links lead."""
    return {
        str(path): os.readlink(path) if path.is_symlink()
        else path.read_bytes() if path.is_file() else stat.S_IFMT(path.lstat().st_mode)
        for path in folder.rglob("*")
    }  # fmt: skip


REFUSED = {
    # empty values: mostly a variable of the shell that is not set
    "rows ''": (["reproduce", "table1", "--rows", ""], "--rows is empty"),
    "rows ,": (["reproduce", "table1", "--rows", ","], "a name is missing in ','"),
    "datasets ''": (["reproduce", "all", "--datasets", ""], "--datasets is empty"),
    "datasets ' '": (["reproduce", "all", "--datasets", " "], "--datasets is empty"),
    "datasets a,": (["reproduce", "all", "--datasets", "stsb,"], "a name is missing in 'stsb,'"),
    "reproduce out ''": (["reproduce", "table1", "--out", ""], "--out is empty"),
    "reproduce process ''": (["reproduce", "figure3", "--process", ""], "--process is empty"),
    "process ''": (["distance", "a", "b", "--process", ""], "--process is empty"),
    "sampler ''": (["distance", "a", "b", "--sampler", ""], "--sampler is empty"),
    "estimand ''": (["distance", "a", "b", "--estimand", ""], "--estimand is empty"),
    "device ''": (["distance", "a", "b", "--device", ""], "--device is empty"),
    "revision ''": (["distance", "a", "b", "--revision", ""], "--revision is empty"),
    "columns '' x": (["score", "pairs.csv", *OUT, "--columns", "", "x"], "--columns is empty"),
    "out ''": (["score", "pairs.csv", "--out", ""], "--out is empty"),
    "pairs ''": (["score", "", *OUT], "PAIRS is empty"),
    "dataset ''": (["evaluate", ""], "DATASET is empty"),
    "data-dir ''": (["evaluate", "stsb", "--data-dir", ""], "--data-dir is empty"),
    "max-memory ''": (["score", "pairs.csv", *OUT, "--max-memory", ""], "--max-memory is empty"),
    "bench": (["bench", "network", "--rounds", "3"], "python -m benchmarks network --rounds 3"),
    "text ''": (["distance", "", "b"], "TEXT1 is empty"),
    # texts and names
    "surrogate": (["distance", "caf\udce9", "b"], "first text is not valid Unicode"),
    "escape": (["distance", "a", "b", "--\x1b[2J"], "No such option '--\\x1b[2J'"),
    "command": (["dis\ntance\x07"], "No such command 'dis\\ntance\\x07'"),
    "bidi": (["evaluate", "\u202estsb"], "unknown dataset '\\u202estsb'"),
    # files that cannot be read
    "no file": (["score", "no.csv", *OUT], "no such file: no.csv"),
    "home": (["score", "~nobody/x.csv", *OUT], "no such file: ~nobody/x.csv"),
    "long": (["score", f"{LONG}.csv", *OUT], "File name too long"),
    "long parquet": (["score", f"{LONG}.parquet", *OUT], "File name too long"),
    "null": (["score", "a\0.csv", *OUT], "PAIRS holds a null character"),
    "folder": (["score", "folder.csv", *OUT], "folder.csv is a folder; give a file"),
    "folder parquet": (["score", "folder.parquet", *OUT], "folder.parquet is a folder"),
    "below a file": (["score", "plain/x.csv", *OUT], "cannot read plain/x.csv: Not a directory"),
    "no format": (["score", "plain", *OUT], "unknown table format ''"),
    "empty": (["score", "empty.csv", *OUT], "empty.csv is empty"),
    "latin": (["score", "latin.csv", *OUT], "is not UTF-8 (line 2)"),
    "utf-16": (["score", "utf16.csv", *OUT], "is not UTF-8 (line 1)"),
    "garbage": (["score", "garbage.parquet", *OUT], "as Parquet"),
    "no parquet": (["score", "text.parquet", *OUT], "as Parquet"),
    "torn gzip": (["score", "torn.csv.gz", *OUT], "is not gzip, or damaged"),
    "header": (["score", "header.csv", *OUT], "the line of column names"),
    "twice": (["score", "twice.csv", *OUT], "names a column twice"),
    "data-dir of a file": (
        ["evaluate", "pairs.csv", "--data-dir", "."],
        "--data-dir is for a set known by name",
    ),
    "dataset folder": (["evaluate", "folder.csv"], "is a folder; give a file"),
    "data-dir": (["evaluate", "stsb", "--data-dir", "no"], "no such file: no/stsb-test.tsv"),
    "data-dir file": (["evaluate", "stsb", "--data-dir", "plain"], "Not a directory"),
    "deep": (["score", "deep.jsonl", *OUT], "line 1: nested more than 100 levels deep"),
    "nan": (["score", "nan.jsonl", *OUT], "line 1: not JSON: NaN is not a JSON number"),
    # columns
    "one column": (["score", "one.csv", *OUT], "needs two columns of texts"),
    "ids": (["score", "ids.csv", *OUT], "'id' is named like an id. Name two of id, a, b by --col"),
    "codes": (["score", "codes.csv", *OUT], "'code' looks like ids"),
    "numbers": (["score", "scores.csv", *OUT], "'score' holds numbers"),
    "no column": (["score", "ids.csv", *OUT, "--columns", "a", "c"], "has no column 'c'"),
    "same column": (["score", "ids.csv", *OUT, "--columns", "a", "a"], "compared with itself"),
    "result column": (["score", "value.csv", *OUT], "a column 'value' already"),
    # outputs that could not be written, or would cost something
    "exists": (["score", "pairs.csv", "--out", "there.csv"], "exists already"),
    "itself": (["score", "pairs.csv", "--out", "./pairs.csv", "--overwrite"], "the input itself"),
    "its link": (["score", "pairs.csv", "--out", "link.csv", "--overwrite"], "the input itself"),
    "hard link": (["score", "pairs.csv", "--out", "hard.csv", "--overwrite"], "the input itself"),
    "dataset": (["evaluate", "rated.tsv", "--out", "hard.tsv", "--overwrite"], "the input itself"),
    "dangling": (["score", "pairs.csv", "--out", "dangling.csv"], "a link to a file that does not"),
    "pipe": (["score", "pairs.csv", "--out", "pipe.csv", "--overwrite"], "not a regular file"),
    "out folder": (["score", "pairs.csv", "--out", "folder.csv", "--overwrite"], "is a folder"),
    "no folder": (["score", "pairs.csv", "--out", "no/out.csv"], "no such folder: no"),
    "out long": (["score", "pairs.csv", "--out", f"{LONG}.csv"], "File name too long"),
    "out null": (["score", "pairs.csv", "--out", "a\0.csv"], "--out holds a null character"),
    "run file": (["score", "pairs.csv", "--out", "notes.csv"], "notes.csv.run is a file"),
    "run link": (["score", "pairs.csv", "--out", "dangling2.csv"], "a link to a folder that"),
    "run foreign": (["score", "pairs.csv", "--out", "foreign.csv"], "is not a run folder"),
    "run named": (["score", "pairs.csv", *OUT, "--run", "foreign.csv.run"], "is not a run folder"),
    "run rated": (["evaluate", "rated.tsv", "--run", "foreign.csv.run"], "is not a run folder"),
    "manifest text": (["score", "pairs.csv", "--out", "text.csv"], "manifest.json is damaged"),
    "manifest list": (["score", "pairs.csv", "--out", "list.csv"], "manifest.json is damaged"),
    "manifest deep": (["score", "pairs.csv", "--out", "deep.csv"], "manifest.json is damaged"),
    "manifest key": (["score", "pairs.csv", "--out", "key.csv"], "manifest.json is damaged"),
    "manifest new": (["score", "pairs.csv", "--out", "new.csv"], "has layout 99, and this version"),
    "shard 0": (["score", "pairs.csv", *OUT, "--shard", "0/2"], "I from 1 to N"),
    "shard 3": (["score", "pairs.csv", *OUT, "--shard", "3/2"], "I from 1 to N"),
    "shard text": (["score", "pairs.csv", *OUT, "--shard", "a/b"], "I from 1 to N"),
    "shard long": (["score", "pairs.csv", *OUT, "--shard", f"1/{DIGITS}"], "I from 1 to N"),
    "shard adaptive": (
        ["score", "pairs.csv", *OUT, "--shard", "1/2", "--samples", "2", "--tolerance", "0.1"],
        "--tolerance cannot go with --shard",
    ),
    "shard nowhere": (["score", "pairs.csv", "--out", "-", "--shard", "1/2"], "give --run DIR"),
    "resume nowhere": (["evaluate", "rated.tsv", "--resume", "verify"], "give --run DIR"),
    "resume what": (["score", "pairs.csv", *OUT, "--resume", "all"], "--resume"),
    "infinite": (["score", "infinite.jsonl", "--out", "o.jsonl"], "an infinite number, which JSON"),
    "reproduce out": (["reproduce", "table1", "--out", "plain/x"], "plain is a file, so there can"),
    # numbers
    "memory": (["score", "pairs.csv", *OUT, "--max-memory", DIGITS], "is no amount of memory"),
    "memory TiB": (["score", "pairs.csv", *OUT, "--max-memory", "9" * 15 + "TiB"], "may have"),
    "memory 0": (["score", "pairs.csv", *OUT, "--max-memory", "0"], "may have"),
    "most samples": (["distance", "a", "b", "--most-samples", "8"], "give both, or neither"),
    "limit": (["evaluate", "rated.tsv", "--limit", "0"], "--limit"),
    "steps": (["distance", "a", "b", "--steps", "1.5"], "--steps"),
    # texts that are none, or too many
    "no second": (["distance", "a"], "Missing argument 'TEXT2', or --to FILE"),
    "third": (["distance", "a", "b", "c"], "unexpected extra argument"),
    "both": (["distance", "a", "b", "--to", "words.txt"], "TEXT2 cannot go with --to FILE"),
    "blank list": (["distance", "a", "--to", "blank.txt"], "has no text to compare with"),
    "list folder": (["distance", "a", "--to", "folder.csv", "--column", "x"], "is a folder"),
    "one text": (["matrix", "a"], "give two or more"),
    "no texts": (["matrix"], "give two or more, or --file FILE"),
    "text twice": (["matrix", "a", "b", "a"], "text 3 is text 1 again"),
    "file and texts": (["matrix", "a", "b", "--file", "words.txt"], "TEXTS cannot go with --file"),
    "file is a table": (["matrix", "--file", "pairs.csv"], "name its column of texts by --column"),
    "file column": (["matrix", "--file", "pairs.csv", "--column", "x"], "has no column 'x'"),
    "column alone": (["matrix", "a", "b", "--column", "x"], "--column goes with --file alone"),
    "few classes": (["matrix", "--file", "words.txt", "--classes", "two.txt"], "2 classes for 4"),
    "no classes": (["matrix", "a", "b", "--classes", "no.txt"], "no such file: no.txt"),
    "one word": (["compare", "emoji", "x", "--words", "two.txt"], "three words or more"),
    # what does not go together
    "no process": (["compare", "emoji", "--words", "words.txt"], "two processes or more, not 1"),
    "nothing": (["compare", "emoji", "x"], "nothing to compare on"),
    "pairs and words": (
        ["compare", "emoji", "x", "--pairs", "pairs.csv", "--words", "words.txt"],
        "exclude each other",
    ),
    "target alone": (["compare", "emoji", "x", "--target", "a"], "give"),
    "limit of words": (["compare", "emoji", "x", "--words", "two.txt", "--limit", "2"], "--limit"),
    "unrated limit": (
        ["compare", "emoji", "x", "--pairs", "whole.csv", "--limit", "2"],
        "this one has none",
    ),
    "compare out": (["compare", "emoji", "x", "--words", "words.txt", "--out", "plain"], "plain"),
    "gallery alone": (["explain", "a", "b", "--top", "3"], "--top goes with --pairs alone"),
    "gallery out": (["explain", "--pairs", "pairs.csv"], "let --out name an .html file"),
    "gallery file": (["explain", "--pairs", "no.csv", "--out", "x.html"], "no such file: no.csv"),
    "gallery by": (
        ["explain", "--pairs", "pairs.csv", "--out", "x.html", "--by", "disagreement"],
        "has no column 'score'",
    ),
    "baseline flags": (
        ["score", "whole.csv", *OUT, "--baseline", "bert-mean", "--steps", "3"],
        "--steps cannot go with --baseline",
    ),
    "baseline name": (["score", "whole.csv", *OUT, "--baseline", "berd"], "unknown row 'berd'"),
    "baseline pool": (
        ["score", "whole.csv", *OUT, "--baseline", "encoder=./no:max"],
        "max",
    ),
    "baseline process": (["score", "whole.csv", *OUT, "--process", "lm=x"], "write --baseline"),
    # scores of people
    "scores equal": (["evaluate", "same.tsv"], "all"),
    "scores missing": (["evaluate", "unrated.tsv"], "has no column 'score'"),
    "dataset name": (["evaluate", "stsc"], "unknown dataset 'stsc'"),
    "evaluate stdout": (["evaluate", "rated.tsv", "--out", "-"], "stdout is for the correlation"),
    # outputs
    "table format": (["score", "pairs.csv", "--out", "o.xyz"], "unknown table format '.xyz'"),
    "matrix format": (["matrix", "a", "b", "--out", "m.xyz"], ".xyz"),
    "matrix stdout": (["matrix", "a", "b", "--out", "-"], "a matrix is not written to stdout"),
    "matrix twice": (
        ["matrix", "a", "b", "--heatmap", "m.png", "--map", "m.png"],
        "two outputs have the same name",
    ),
    "heatmap format": (["matrix", "a", "b", "--heatmap", "h.xyz"], ".xyz"),
    "matrix folder": (["matrix", "a", "b", "--out", "no/m.csv"], "no such folder: no"),
    "matrix run": (["matrix", "a", "b", "--run", "plain"], "plain is a file"),
    "run below a file": (
        ["score", "pairs.csv", *OUT, "--run", "plain/x"],
        "plain is a file, so there can be no folder",
    ),
    "show format": (["show", "a", "--out", "p.xyz"], ".xyz"),
    "show nowhere": (["show", "a"], "--out"),
    "show folder": (["show", "a", "--out", "no/p.png"], "no such folder: no"),
    "calibrate pairs": (["calibrate", "--pairs", "no.csv"], "No such option '--pairs'"),
    # run folders
    "no run": (["runs", "show", "nowhere"], "nowhere is not a run folder"),
    "run is a file": (["runs", "show", "plain"], "plain"),
    "run is foreign": (["runs", "show", "foreign.csv.run"], "is not a run folder"),
    "verify foreign": (["runs", "verify", "foreign.csv.run"], "is not a run folder"),
    "merge foreign": (["runs", "merge", "new", "foreign.csv.run"], "is not a run folder"),
    "merge nothing": (["runs", "merge", "new"], "Missing argument"),
    "export foreign": (["runs", "export", "foreign.csv.run", "--out", "x.csv"], "not a run folder"),
    "export format": (["runs", "export", "foreign.csv.run", "--out", "x.xyz"], "'.xyz'"),
    # numbers and names of settings
    "steps -1": (["distance", "a", "b", "--steps", "-1"], "steps must be"),
    "guidance nan": (["distance", "a", "b", "--guidance", "nan"], "guidance must be"),
    "guidance inf": (["matrix", "a", "b", "--guidance", "inf"], "guidance must be"),
    "seed -1": (["distance", "a", "b", "--seed", "-1"], "seed must be"),
    "seed 1.5": (["distance", "a", "b", "--seed", "1.5"], "--seed"),
    "seed huge": (["distance", "a", "b", "--seed", DIGITS[:30]], "seed must be"),
    "last seed": (["distance", "a", "b", "--seed", "4294967295", "--samples", "2"], "seed"),
    "samples 0": (["matrix", "a", "b", "--samples", "0"], "samples must be"),
    "tolerance": (["distance", "a", "b", "--tolerance", "nan"], "tolerance must be"),
    "cross 0": (["distance", "a", "b", "--cross-steps", "0"], "must be"),
    "batch 0": (["distance", "a", "b", "--batch-size", "0"], "--batch-size must be"),
    "size": (["distance", "a", "b", "--size", "big"], "size must be"),
    "eta": (["distance", "a", "b", "--eta", "2"], "eta must be"),
    "preset": (["distance", "a", "b", "--preset", "ours"], "preset"),
    "compare what": (["distance", "a", "b", "--compare", "weights"], "compare"),
    "sampler": (["compare", "emoji", "x", "--words", "words.txt", "--sampler", "heun"], "'heun'"),
    "dtype": (["calibrate", "--dtype", "int8"], "int8"),
    "estimand name": (["show", "a", "--out", "p.png", "--estimand", "x"], "No such option"),
    "estimand step": (["distance", "a", "b", "--estimand", "pointwise:11", "--steps", "10"], "11"),
    "lora scale": (["distance", "a", "b", "--lora", "x.safetensors:nan"], "nan"),
    "nearest": (["matrix", "a", "b", "--nearest", "0"], "--nearest"),
    "shard -1": (["matrix", "a", "b", "--run", "new", "--shard", "-1/2"], "I from 1 to N"),
    "gpus nan": (
        ["score", "whole.csv", *OUT, "--engine", "ray", "--gpus-per-worker", "nan"],
        "nan is no number",
    ),
    "workers 0": (["score", "whole.csv", *OUT, "--engine", "ray", "--workers", "0"], "x>=1"),
    "workers alone": (["score", "whole.csv", *OUT, "--workers", "2"], "goes with --engine ray"),
    "engine": (["score", "whole.csv", *OUT, "--engine", "rya"], "'rya' is not one of"),
    "explain run": (["explain", "a", "b", "--run", "plain"], "plain is a file"),
    "explain foreign": (["explain", "a", "b", "--run", "foreign.csv.run"], "not a run folder"),
    "compare shard": (
        ["compare", "emoji", "x", "--words", "words.txt", "--shard", "3/2"],
        "I from 1 to N",
    ),
    "matrix shard": (["matrix", "a", "b", "--shard", "1/2"], "give --run DIR"),
    "reproduce shard": (["reproduce", "table1", "--shard", "2/1"], "I from 1 to N"),
    "reproduce what": (["reproduce", "table9"], "No such command 'table9'"),
    "reproduce rows": (["reproduce", "table1", "--rows", "x"], "unknown row 'x'"),
    "reproduce seed": (["reproduce", "table1", "--seed", "-1"], "--seed"),
    "reproduce equal": (["reproduce", "table1", "--datasets", "same.tsv"], "all"),
    "datasets": (["datasets", "x"], "unexpected extra argument"),
}  # fmt: skip


@pytest.mark.parametrize(("command", "words"), REFUSED.values(), ids=map(repr, REFUSED))
def test_refusals(folder, capsys, command: list[str], words: str) -> None:
    before = contents(folder)
    assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = printed.err.splitlines()
    assert line.startswith("conjure: ")
    assert words in line
    assert len(line) < 1100
    assert line.isprintable()
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["evaluate", "digits.tsv"], "line 2 left out: score '9999"),
        (["evaluate", "digits.jsonl"], "line 1 left out: score 9999"),
        (["score", "nul.csv", *OUT], "line 2 left out: text1 holds a null character"),
        (
            ["matrix", "--file", "nul.csv", "--column", "text1"],
            "line 2 left out: text1 holds a nul",
        ),
        (
            ["distance", "a", "--to", "nul.csv", "--column", "text2"],
            "line 2 left out: text2 is emp",
        ),
        (["distance", "a", "--to", "nul.txt"], "line 2 left out: text holds a null character"),
    ],
)
def test_rows_of_which_nothing_is_left(folder, capsys, command: list[str], words: str) -> None:
    assert main(command) == 2
    bad, last = capsys.readouterr().err.splitlines()
    assert bad.startswith(f"conjure: {words}")
    assert len(bad) < 200
    assert any(word in last for word in ("pair", "text to compare", "give one or more"))


# What only the process itself can tell: its folder, and what is in it. No weights are read.

PROCESSES = {
    "nowhere": ("nowhere/", "is neither a folder here nor a hub id"),
    "upwards": ("a/../../b", "is neither a folder here nor a hub id"),
    "file": ("./plain", "and no .safetensors file"),
    "empty": ("folder.csv", "it has no model_index.json"),
    "pickle": ("x.ckpt", "pickled ones can run any code"),
    "single": ("x.safetensors", "name the folder or hub id of its base model"),
    "no json": ("no-json", "model_index.json cannot be read"),
    "list": ("list", "should hold a JSON object"),
    "class": ("unknown", "is a NoSuchPipeline"),
    "code": ("os:system", "let its code run with --allow-code"),
    "bare": ("emoji --revision x", "emoji is a folder and has no revisions"),
    "vae": ("emoji --vae no", "vae: there is no folder no"),
    "lora": ("emoji --lora x.safetensors", "LoRA x.safetensors cannot be read"),
    "lora none": ("emoji --lora no.safetensors", "there is no LoRA no.safetensors"),
    "device": ("emoji --device tpu", "device 'tpu' cannot be used here"),
    "size": ("emoji --size 7x7", "both sides must be multiples of 16"),
    "steps": ("emoji --steps 1001", "more than the 1000 the model was trained on"),
    "weights": ("bare", "unet"),
    "torn": ("torn", "unet"),
    "pickled": ("pickled", "--allow-pickle"),
}


@pytest.mark.parametrize(("process", "words"), PROCESSES.values(), ids=map(repr, PROCESSES))
def test_processes(folder, capsys, monkeypatch, process: str, words: str) -> None:
    monkeypatch.setattr(conjure, "load", processes.load, raising=False)
    for name in ("bare", "torn", "pickled"):
        shutil.copytree(BUNDLED["emoji"], folder / name, copy_function=os.symlink)
        [weights] = (folder / name / "unet").glob("*.safetensors")
        whole = weights.read_bytes() if name == "torn" else b""
        weights.unlink()
        if name == "torn":
            weights.write_bytes(whole[: len(whole) // 2])
    (folder / "pickled" / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    before = set(folder.rglob("*"))
    assert main(["score", "whole.csv", *OUT, "--process", *process.split()]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
    assert line.isprintable()
    assert set(folder.rglob("*")) == before
