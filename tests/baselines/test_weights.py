"""Every file of weights that is opened: safetensors, within the folder, whole, and hashed."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    Transformer,
)
from small_models import baseline_refusal as refusal

from conjure import baselines

PAIR = [("a dog", "two cats")]


class Trap:
    """What writes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


@pytest.fixture
def trapped(tmp_path):
    """Writes a pickle of tensors, and one that would run code; afterwards none has run."""
    marker = tmp_path / "ran"

    def write(path, weights, trap):
        torch.save({**weights, **({"trap": Trap(marker)} if trap else {})}, path)

    yield write
    assert not marker.exists()


@pytest.fixture
def dense(bert, tmp_path):
    """A sentence-transformers model with weights in two of its modules, as it is saved."""
    network = Transformer(str(bert))
    width = network.get_embedding_dimension()
    chain = [network, Pooling(width), Dense(width, 8), Normalize()]
    SentenceTransformer(modules=chain, device="cpu").save(str(tmp_path / "dense"))
    return tmp_path / "dense"


def sharded(folder, names):
    """Turn a folder's weights into shards of those names, listed in an index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    keys = sorted(weights)
    placed = {key: names[n % len(names)] for n, key in enumerate(keys)}
    index = {"metadata": {"total_size": 1}, "weight_map": placed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return {name: {key: weights[key] for key in keys if placed[key] == name} for name in names}


def save(weights, path):
    save_file(weights, path, metadata={"format": "pt"})


# ------------------------------------------------------------------ pickles


@pytest.mark.parametrize("trap", [False, True])
@pytest.mark.parametrize("kind", ["encoder", "lm"])
def test_an_index_that_names_a_pickle_is_refused(
    kind, trap, bert, language_models, tmp_path, trapped
):
    folder = bert if kind == "encoder" else tmp_path / "gpt2"
    if kind == "lm":
        shutil.copytree(language_models["gpt2"], folder)
    [weights] = sharded(folder, ["w.bin"]).values()
    trapped(folder / "w.bin", weights, trap)
    (folder / "decoy.safetensors").write_bytes(b"")
    line = refusal(f"{kind}={folder}")
    assert "model.safetensors.index.json names 'w.bin'" in line
    assert "pickled" in line


@pytest.mark.parametrize("trap", [False, True])
def test_a_pickle_of_a_module_is_refused_whatever_lies_beside_it(trap, dense, trapped):
    before = baselines.load(f"encoder={dense}")
    assert before.distances(PAIR)[0] > 1e-4
    folder = dense / "2_Dense"
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder / "decoy.safetensors")
    trapped(folder / "pytorch_model.bin", weights, trap)
    line = refusal(f"encoder={dense}")
    assert "2_Dense has only pytorch_model.bin" in line
    # its transformer alone opens none of that
    assert baselines.load(f"encoder={dense}:mean").distances(PAIR)[0] > 1e-4
    if not trap:
        allowed = baselines.load(f"encoder={dense}", allow_pickle=True)
        assert allowed.distances(PAIR) == before.distances(PAIR)


@pytest.mark.parametrize("trap", [False, True])
def test_a_pickled_network_beside_other_safetensors_is_refused(trap, bert, trapped):
    weights = load_file(bert / "model.safetensors")
    (bert / "model.safetensors").rename(bert / "decoy.safetensors")
    trapped(bert / "pytorch_model.bin", weights, trap)
    assert "pickled" in refusal(f"encoder={bert}")


def test_what_a_configuration_would_open_besides_is_refused(bert, dense):
    """Settings by which the libraries open other files than those that were looked at."""
    path = bert / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "transformers_weights": "other.safetensors"}))
    assert "names other weights (transformers_weights)" in refusal(f"encoder={bert}")
    path.write_text(json.dumps({**config, "attn_implementation": "someone/kernel"}))
    assert "code of the hub is not run" in refusal(f"encoder={bert}")
    path.write_text(json.dumps(config))
    (bert / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere"}')
    assert "holds an adapter" in refusal(f"encoder={bert}")
    path = dense / "sentence_bert_config.json"
    config = json.loads(path.read_text())
    for own in ({"model_args": {"variant": "x"}}, {"tokenizer_name_or_path": "/elsewhere"}):
        path.write_text(json.dumps({**config, **own}))
        assert "sentence_bert_config.json sets" in refusal(f"encoder={dense}")


# ------------------------------------------------------------------ where they lie


@pytest.mark.parametrize("name", ["../{}", "/{}", "..\\{}", "C:\\{}", "a/../../{}"])
def test_weights_outside_of_the_folder_are_refused(name, bert):
    name = name.format("w.safetensors")
    [weights] = sharded(bert, [name]).values()
    save(weights, bert.parent / "w.safetensors")
    assert "lies outside its folder" in refusal(f"encoder={bert}")


def test_modules_outside_of_the_folder_are_refused(dense):
    modules = json.loads((dense / "modules.json").read_text())
    modules[2]["path"] = "../elsewhere"
    (dense / "modules.json").write_text(json.dumps(modules))
    assert "names '../elsewhere', which lies outside" in refusal(f"encoder={dense}")
    modules[0]["path"] = "/elsewhere"
    (dense / "modules.json").write_text(json.dumps(modules))
    assert "lies outside" in refusal(f"encoder={dense}:mean")


def test_shards_are_read_and_all_must_be_there(bert):
    expected = baselines.load(f"encoder={bert}").distances(PAIR)
    shards = sharded(bert, ["model-1.safetensors", "model-2.safetensors"])
    for name, weights in shards.items():
        save(weights, bert / name)
    assert baselines.load(f"encoder={bert}").distances(PAIR) == expected
    (bert / "model-2.safetensors").unlink()
    assert "names model-2.safetensors, which is missing" in refusal(f"encoder={bert}")


@pytest.mark.parametrize(
    "text", ["null", "[]", '{"weight_map": {}}', '{"weight_map": [1]}', "{", "[" * 200_000]
)
def test_an_index_that_is_none_is_refused(text, bert):
    sharded(bert, ["model-1.safetensors"])
    (bert / "model.safetensors.index.json").write_text(text)
    assert "model.safetensors.index.json" in refusal(f"encoder={bert}")


@pytest.mark.parametrize("text", ["null", "{}", "[]", "[1]", '[{"path": ""}]', "[" * 200_000])
def test_modules_that_are_none_are_refused(text, dense):
    (dense / "modules.json").write_text(text)
    assert "modules.json" in refusal(f"encoder={dense}")


# ------------------------------------------------------------------ the hash


def revision(folder, row="encoder={}"):
    return baselines.load(row.format(folder)).signature.key["revision"]


def test_one_bit_of_any_file_that_is_opened_is_another_revision(bert, dense):
    """In the middle of a shard of 70 MiB, in a module of a module, in a setting."""
    padding = {"padding": torch.zeros(70 * 2**18)}
    shards = sharded(bert, ["a.safetensors", "b.safetensors"])
    save({**shards["a.safetensors"], **padding}, bert / "a.safetensors")
    save(shards["b.safetensors"], bert / "b.safetensors")
    before = revision(bert)
    with (bert / "a.safetensors").open("r+b") as file:
        file.seek(2**20 + 100_003 + 2**19)
        [byte] = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    assert revision(bert) != before
    before = revision(dense)
    path = dense / "2_Dense" / "model.safetensors"
    weights = load_file(path)
    weights["linear.bias"][0] += 1e-3
    save(weights, path)
    changed = revision(dense)
    assert changed != before
    (dense / "README.md").write_text("other words")
    assert revision(dense) == changed


# ------------------------------------------------------------------ weights that do not fit


def renamed(path, old, new):
    weights = load_file(path)
    save({key.replace(old, new): value for key, value in weights.items()}, path)


def test_renamed_weights_are_named(bert, language_models, tmp_path):
    renamed(bert / "model.safetensors", "attention.self.query", "attention.self.quarry")
    line = refusal(f"encoder={bert}")
    assert "it lacks 4 weights (encoder.layer.0.attention.self.query.bias" in line
    assert "it holds 4 weights (encoder.layer.0.attention.self.quarry.bias" in line
    folder = shutil.copytree(language_models["llama"], tmp_path / "llama")
    renamed(folder / "model.safetensors", "self_attn", "attn")
    line = refusal(f"lm={folder}")
    assert "it lacks 8 weights (model.layers.0.self_attn.k_proj.weight" in line


@pytest.mark.parametrize("pooling", ["", ":mean"])
def test_weights_that_a_chain_lacks_are_named(pooling, dense):
    """sentence-transformers itself would draw them at random."""
    path = dense / "model.safetensors"
    weights = load_file(path)
    del weights["encoder.layer.1.output.dense.weight"]
    save(weights, path)
    line = refusal(f"encoder={dense}{pooling}")
    assert "it lacks 1 weight (encoder.layer.1.output.dense.weight)" in line


def test_weights_of_a_module_that_do_not_fit_are_named(dense):
    renamed(dense / "2_Dense" / "model.safetensors", "linear", "lineal")
    line = refusal(f"encoder={dense}")
    assert "linear.bias" in line
    assert "lineal.bias" in line


def test_weights_of_another_shape_are_named(bert):
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 8}))
    line = refusal(f"encoder={bert}")
    assert "holds 1 weight (embeddings.position_embeddings.weight) of another shape" in line


def test_end_marks_that_are_none_are_refused(language_models, tmp_path):
    folder = shutil.copytree(language_models["gpt2"], tmp_path / "gpt2")
    (folder / "generation_config.json").write_text('{"eos_token_id": "x"}')
    assert "names end marks that are not tokens" in refusal(f"lm={folder}")


def test_layers_that_the_configuration_leaves_out_are_named(bert, language_models, tmp_path):
    """A smaller network than was saved is another network."""
    folder = shutil.copytree(language_models["gpt2"], tmp_path / "gpt2")
    for path, key in ((bert, "num_hidden_layers"), (folder, "n_layer")):
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, key: 1}))
    assert "holds 16 weights (encoder.layer.1.attention" in refusal(f"encoder={bert}")
    assert "that its config.json has no place for" in refusal(f"lm={folder}")


def test_heads_and_spare_parts_are_no_fault(bert):
    expected = baselines.load(f"encoder={bert}").distances(PAIR)
    path = bert / "model.safetensors"
    weights = {
        f"bert.{key}": value for key, value in load_file(path).items() if "pooler" not in key
    }
    weights["cls.predictions.bias"] = torch.zeros(4)
    weights["bert.embeddings.position_ids"] = torch.arange(64)
    save(weights, path)
    assert baselines.load(f"encoder={bert}").distances(PAIR) == expected


# ------------------------------------------------------------------ damage

DAMAGE = {
    "model.safetensors": [b"", b"\x00" * 8, b"\xff" * 64, b"{}"],
    "config.json": [b"", b"null", b"[]", b"{}", b"[" * 200_000, b"\xff\xfe", b'{"model_type": 5}'],
    "tokenizer.json": [b"", b"null", b"{}", b"[" * 200_000, b'{"model": {"type": "BPE"}}'],
    "tokenizer_config.json": [
        b"null",
        b"[]",
        b"{",
        b'{"model_max_length": "long"}',
        b'{"model_max_length": -1}',
        b'{"model_max_length": 1}',
        b'{"tokenizer_class": 5}',
    ],
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, each) for name, some in DAMAGE.items() for each in some]
)
@pytest.mark.parametrize("row", ["encoder={}:mean", "encoder={}", "lm={}"])
def test_a_damaged_file_is_one_line(row, name, content, dense, language_models, tmp_path):
    folder = dense
    if row.startswith("lm"):
        folder = shutil.copytree(language_models["gpt2"], tmp_path / "gpt2")
        if b"model_max_length" in content:
            return  # a language model's room is its network's
    if content.endswith(b": 1}") and row == "encoder={}":
        name, content = "sentence_bert_config.json", b'{"max_seq_length": 1}'  # which comes first
    (folder / name).write_bytes(content)
    line = refusal(row.format(folder))
    if content in (b"null", b"[]"):
        assert f"{name} should hold a JSON object" in line


@pytest.mark.parametrize("row", ["encoder={}:mean", "lm={}"])
def test_a_folder_cut_anywhere_is_one_line(row, bert, language_models, tmp_path):
    folder = bert
    if row.startswith("lm"):
        folder = shutil.copytree(language_models["gpt2"], tmp_path / "gpt2")
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for part in (0.1, 0.5, 0.99):
            path.write_bytes(whole[: int(part * len(whole))])
            if "generation" not in path.name:  # transformers does without
                refusal(row.format(folder))
        path.write_bytes(whole)
    assert baselines.load(row.format(folder)).distances([("a", "a")]) == [0.0]


def test_a_tokenizer_that_is_gone_is_said(bert):
    (bert / "tokenizer.json").unlink()
    assert "bert" in refusal(f"encoder={bert}")


@pytest.mark.parametrize("source", ["~nobody/x", "x" * 5000, "a\0b", "\ud800", "/" + "x/" * 3000])
def test_names_that_can_be_no_folder_are_one_line(source):
    refusal(f"encoder={source}")
    refusal(f"lm={source}")


# ------------------------------------------------------------------ names


def test_a_folders_name_forges_no_signature(bert, tmp_path):
    names = ["a|rev:1\nbaseline:x", "a%7Crev:1", "\x1b[2J\u202eb", "c\\d"]
    seen = set()
    for name in names:
        folder = bert.rename(tmp_path / name)
        line = str(baselines.load(f"encoder={folder}/").signature)
        bert = folder
        assert line.isprintable()
        assert line.count("|") == 8
        assert line.count("\n") == 0
        seen.add(line.split("|")[1])
    assert seen == {
        "model:a%7Crev%3A1%0Abaseline%3Ax",
        "model:a%257Crev%3A1",
        "model:%1B[2J%E2%80%AEb",
        "model:c\\d",
    }
