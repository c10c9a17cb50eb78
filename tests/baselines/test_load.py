"""Which names mean which baseline, and every refusal in one line. No hub is asked."""

import json

import pytest
import torch
from huggingface_hub import constants, errors
from safetensors.torch import load_file
from small_models import baseline_refusal as refusal

from conjure import baselines
from conjure.baselines import ROWS, Row, models, read_row
from conjure.core.errors import InputError

REPO = "someone/something"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("encoder=a/b", Row("encoder", "a/b")),
        ("encoder=a/b:cls", Row("encoder", "a/b", "cls")),
        ("encoder=./a:b/c", Row("encoder", "./a:b/c")),
        ("encoder=C:\\models\\a:eos", Row("encoder", "C:\\models\\a", "eos")),
        ("lm=a", Row("lm", "a")),
        ("lm=a/b:prompted", Row("lm", "a/b", "prompted")),
        ("lm=a/b:top0:prompted", Row("lm", "a/b", "prompted", top_k=0)),
        ("lm=C:\\a:b\\c:strip:top50", Row("lm", "C:\\a:b\\c", top_k=50, strip=True)),
        ("gpt2:top0", Row("lm", ROWS["gpt2"].source, None, "GPT-2, top0", top_k=0)),
        ("gpt2", ROWS["gpt2"]),
        ("gpt2:prompted", Row("lm", ROWS["gpt2"].source, "prompted", "GPT-2, prompted")),
        ("paragon:eos", Row("paragon", None, "eos", "Paragon")),
    ],
)
def test_a_name_means_a_row(name, row):
    assert read_row(name) == row


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bert", "unknown row 'bert'; choose one of paragon, clip, is-bert"),
        ("encoder=", "unknown row"),
        ("bert-mean:cls", "unknown row"),
        ("encoder=a/b:max", "must be mean or cls or eos, not 'max'"),
        ("lm=a/b:mean", "must be prompted, strip or top and a number .* not 'mean'"),
        ("gpt2:", "must be prompted, strip or top .* not ''"),
        ("lm=a/b:top50:top20", "each once, not 'top20'"),
        ("lm=a/b:top-1", "not 'top-1'"),
        ("gpt2:prompted:prompted", "not 'prompted'"),
        ("encoder=a/b:cls:mean", "unknown row"),
        ("paragon:", "must be mean or cls or eos, not ''"),
        (None, "a row is a name, not None"),
        ("is-bert", r"IS-BERT.* published code but no weights"),
    ],
)
def test_other_names_are_refused(name, said):
    with pytest.raises(InputError, match=said):
        baselines.load(name)


def test_every_row_of_the_paper_is_complete():
    assert len(ROWS) == 14
    for row in ROWS.values():
        assert row.title
        assert row.missing if row.source is None else "/" in row.source
        assert (row.choice in baselines.POOLINGS) == (row.kind == "encoder" and not row.missing)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dtype": "int8"}, "unknown dtype"),
        ({"batch_size": 0}, "batch_size must be a whole number"),
        ({"dtype": None}, "dtype must be float32"),
        ({"top_k": -1}, "top_k must be a whole number of at least 0, not -1"),
        ({"strip": "yes"}, "strip must be True or False, not 'yes'"),
        ({"pooling": "cls"}, "a baseline has no pooling; its settings: device, dtype"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"continuations": 0}, "continuations must be"),
        ({"tokens": 1.5}, "tokens must be"),
        ({"device": "abacus"}, "device 'abacus' cannot be used here"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, said, encoders):
    assert said in refusal(f"encoder={encoders['bert']}", **settings)


# ------------------------------------------------------------------ folders


def test_what_is_no_model_is_refused(encoders, language_models, tiny_pipeline, tmp_path):
    assert "there is no folder ./nothing" in refusal("encoder=./nothing")
    assert "is a diffusers pipeline; as a baseline it is the row paragon" in refusal(
        f"encoder={tiny_pipeline}"
    )
    assert "has no config.json" in refusal(f"lm={tmp_path}")
    file = tmp_path / "weights.bin"
    file.touch()
    assert "is a file" in refusal(f"encoder={file}")
    assert "has no revisions" in refusal(f"encoder={encoders['bert']}", revision="main")
    line = refusal(f"encoder={language_models['gpt2']}")
    assert line == (
        "gpt2 is of the kind gpt2, which is not a text encoder; for a causal language model give"
        " lm=gpt2"
    )


def test_an_incomplete_folder_is_refused(bert):
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    assert "bert is incomplete or renamed: it lacks 16 weights (encoder.layer.2.att" in refusal(
        f"encoder={bert}"
    )
    (bert / "config.json").write_text(json.dumps({**config, "model_type": "nothing"}))
    assert "bert cannot be loaded" in refusal(f"encoder={bert}")
    (bert / "model.safetensors").unlink()
    assert "is incomplete: it has no weights" in refusal(f"encoder={bert}")


def test_pickled_weights_are_refused_unless_allowed(bert):
    expected = baselines.load(f"encoder={bert}").distances([("a", "b")])
    torch.save(load_file(bert / "model.safetensors"), bert / "pytorch_model.bin")
    assert baselines.load(f"encoder={bert}").distances([("a", "b")]) == expected
    (bert / "model.safetensors").unlink()
    assert "allow_pickle=True" in refusal(f"encoder={bert}")
    assert baselines.load(f"encoder={bert}", allow_pickle=True).distances([("a", "b")]) == expected


def as_modules(folder, *more):
    """Make a folder a sentence-transformers model of the transformer in it and further modules."""
    transformer = {"path": "", "type": "sentence_transformers.models.Transformer"}
    modules = [{**each, "idx": n, "name": str(n)} for n, each in enumerate([transformer, *more])]
    (folder / "modules.json").write_text(json.dumps(modules))


def test_pickles_of_a_module_are_refused_too(bert):
    """A sentence-transformers model may have more weights than its network's."""
    as_modules(bert, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (bert / "2_Dense").mkdir()
    torch.save({}, bert / "2_Dense" / "pytorch_model.bin")
    assert "allow_pickle=True" in refusal(f"encoder={bert}")


def test_code_that_a_model_brings_along_is_not_run(bert, monkeypatch):
    """Wherever a folder may name some: its modules, its configuration, its tokenizer."""
    (bert / "custom.py").write_text(
        f"open({str(bert / 'ran')!r}, 'w')\nclass Module: pass\nConfig = Model = Words = Module\n"
    )
    monkeypatch.syspath_prepend(bert)  # even where it could be imported by its name
    expected = baselines.load(f"encoder={bert}").distances([("a", "b")])
    for kind in ("custom.Module", "bert.custom.Module", "sentence_transformers.custom.Module"):
        as_modules(bert, {"path": "", "type": kind})
        assert f"has a module '{kind}', which is not one of those run" in refusal(f"encoder={bert}")
        assert baselines.load(f"encoder={bert}:mean").distances([("a", "b")]) == expected
    config = json.loads((bert / "config.json").read_text())
    own = {"AutoConfig": "custom.Config", "AutoModel": "custom.Model"}
    (bert / "config.json").write_text(json.dumps({**config, "auto_map": own}))
    words = json.loads((bert / "tokenizer_config.json").read_text())
    own = {"AutoTokenizer": ["custom.Words", "custom.Words"]}
    (bert / "tokenizer_config.json").write_text(json.dumps({**words, "auto_map": own}))
    as_modules(bert, {"path": "", "type": "sentence_transformers.models.Pooling"})
    # known kinds are read by the library's own classes
    assert baselines.load(f"encoder={bert}:mean").distances([("a", "b")]) == expected
    changed = {**config, "model_type": "own", "auto_map": {"AutoConfig": "custom.Config"}}
    (bert / "config.json").write_text(json.dumps(changed))
    for row in (f"encoder={bert}", f"encoder={bert}:mean", f"lm={bert}"):
        assert "bert cannot be loaded" in refusal(row)
    assert not (bert / "ran").exists()


def test_what_other_libraries_left_in_a_folder_is_no_pickle(bert):
    (bert / "openvino").mkdir()
    (bert / "openvino" / "openvino_model.bin").touch()
    (bert / "training_args.bin").touch()
    assert baselines.load(f"encoder={bert}").distances([("a", "a")]) == [0.0]


def test_other_weights_are_another_revision(bert):
    before = baselines.load(f"encoder={bert}").signature
    (bert / "tokenizer_config.json").write_text('{"model_max_length": 9}')
    assert baselines.load(f"encoder={bert}").signature != before


# ------------------------------------------------------------------ the hub


@pytest.fixture
def cached(encoders, tmp_path, monkeypatch):
    """REPO in the hub's cache, as downloading it would leave it, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repo = tmp_path / "models--someone--something"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    folder = repo / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    for path in encoders["bert"].iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def test_a_cached_id_loads_offline(cached):
    baseline = baselines.load(f"encoder={REPO}")
    assert f"|model:{REPO}|rev:{COMMIT}|" in str(baseline.signature)


def test_what_cannot_be_reached_is_said(cached):
    line = refusal("bert-mean")
    assert "google-bert/bert-base-uncased is neither a folder here nor cached whole" in line
    (cached / "model.safetensors").unlink()
    assert "no complete set of safetensors weights" in refusal(f"encoder={REPO}")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.GatedRepoError, "is gated: accept its conditions"),
        (errors.RepositoryNotFoundError, "not a row known here, not a folder here"),
        (errors.RemoteEntryNotFoundError, "is no transformers model: it has no config.json"),
        (errors.RevisionNotFoundError, "has no revision"),
    ],
)
def test_what_the_hub_refuses_is_said(error, said, monkeypatch):
    raised = error.__new__(error)
    Exception.__init__(raised, "x")

    def fail(*args, **options):
        raise raised

    monkeypatch.setattr(models, "hf_hub_download", fail)
    assert said in refusal("llama-13b")


def test_no_pickle_is_asked_for(cached, monkeypatch):
    asked = []

    def download(repo, revision, allow_patterns):
        asked.append((repo, revision, allow_patterns))
        return str(cached)

    monkeypatch.setattr(models, "snapshot_download", download)
    baselines.load(f"encoder={REPO}", revision="main")
    [(repo, revision, patterns)] = asked
    assert (repo, revision) == (REPO, "main")
    assert not any(".bin".endswith(pattern.lstrip("*")) for pattern in patterns)
