"""Where weights come from. No hub is asked: its exceptions are raised where it would be."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import time

import pytest
import torch
from diffusers import StableDiffusionPipeline
from folder_tools import edit_json, refusal
from huggingface_hub import constants, errors
from safetensors.torch import load_file, save_file

from conjure.cli.choosing import choose
from conjure.core.errors import InputError
from conjure.processes import folders, hub, load
from conjure.processes.stable_diffusion import FAMILY

# the HTTP client that this version of huggingface_hub uses
client = importlib.import_module(errors.HTTPError.__module__.partition(".")[0])

REPO = "someone/something"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def pickle_weights(folder, part="unet", stem="diffusion_pytorch_model"):
    path = next((folder / part).glob("*.safetensors"))
    torch.save(load_file(path), folder / part / f"{stem}.bin")
    path.unlink()


# ------------------------------------------------------------------ folders


def test_a_folder_is_named_after_itself_and_its_content(folder):
    process = load(folder, steps=2)
    assert process.name == "pipeline"
    assert re.fullmatch(r"sha256-[0-9a-f]{12}", process.revision)
    assert load(str(folder), steps=5).revision == process.revision


@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_other_weights_are_another_revision(folder, part):
    before = folders.content_hash(folder, FAMILY.parts)
    path = next((folder / part).glob("*.safetensors"))
    weights = load_file(path)
    last = sorted(weights)[-1]
    weights[last].view(-1)[-1] += 1e-3
    path.unlink()
    save_file(weights, path, metadata={"format": "pt"})
    assert folders.content_hash(folder, FAMILY.parts) != before


def test_conjure_json_names_and_recommends_but_the_content_decides(folder):
    content = load(folder, steps=2).revision
    edit_json(
        folder / "conjure.json",
        name="toy",
        revision="7",
        sampler="ddim",
        steps=4,
        guidance=3,
        trained_for=2,
    )
    process = load(folder)
    assert (process.name, process.revision, process.sampler) == ("toy", content, "ddim")
    assert (len(process.schedule), process.guidance) == (4, 3.0)
    assert (load(folder, steps=2).sampler, len(load(folder, steps=2).schedule)) == ("ddim", 2)


def test_a_bad_conjure_json_is_named(folder):
    edit_json(folder / "conjure.json", steps=0)
    assert re.search(r"conjure\.json: steps must be", refusal(folder))
    (folder / "conjure.json").write_text("{")
    assert re.search(r"conjure\.json cannot be read", refusal(folder))
    (folder / "conjure.json").write_text("[]")
    assert re.search(r"conjure\.json should hold a JSON object", refusal(folder))


def test_a_variant_is_read_and_shows_in_the_revision(folder):
    for path in list(folder.rglob("*.safetensors")):
        weights = {name: w.half() for name, w in load_file(path).items()}
        save_file(weights, path.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
        path.unlink()
    process = load(folder, variant="fp16")
    assert process.revision.endswith("-fp16")
    assert process.pipeline.unet.dtype == torch.float32
    assert "no unet; complete it, or name a variant it has" in refusal(folder)


def test_a_variant_may_be_of_one_network_alone(folder):
    """As SD 1.5's "non_ema" is."""
    plain = next((folder / "unet").glob("*.safetensors"))
    weights = load_file(plain)
    weights["conv_in.bias"] += 1
    other = plain.with_suffix(".non_ema.safetensors")
    save_file(weights, other, metadata={"format": "pt"})
    changed = load(folder, variant="non_ema", steps=2).pipeline.unet.conv_in.bias
    assert torch.equal(changed, load(folder, steps=2).pipeline.unet.conv_in.bias + 1)
    assert "no weights of variant ema" in refusal(folder, variant="ema")


def test_pickled_weights_are_refused_unless_allowed(folder):
    expected = load(folder, steps=2).pipeline.unet.conv_in.weight
    pickle_weights(folder)
    pickle_weights(folder, "text_encoder", "pytorch_model")
    line = refusal(folder)
    assert "safetensors" in line
    assert "allow_pickle=True" in line
    process = load(folder, steps=2, allow_pickle=True)
    assert torch.equal(process.pipeline.unet.conv_in.weight, expected)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_named(folder, part):
    shutil.rmtree(folder / part)
    assert f"it has no {part}" in refusal(folder)


def test_what_is_no_pipeline_says_so(tmp_path, folder):
    assert "no model_index.json" in refusal(tmp_path)
    edit_json(folder / "model_index.json", _class_name="WuerstchenCombinedPipeline")
    assert "is a WuerstchenCombinedPipeline" in refusal(folder)
    (folder / "model_index.json").write_text("not json")
    assert "model_index.json cannot be read" in refusal(folder)


def test_damaged_weights_are_refused_in_one_line(folder):
    path = next((folder / "unet").glob("*.safetensors"))
    whole = path.read_bytes()
    path.unlink()
    for damaged in (b"\x08\0\0\0\0\0\0\0nonsense", whole[:-100], whole[:5], b""):
        path.write_bytes(damaged)
        assert re.search(r"unet cannot be loaded: \S", refusal(folder))


def test_paths_that_lead_nowhere(tmp_path):
    for source in (tmp_path / "gone", str(tmp_path / "gone"), "./gone", "~/gone-from-here"):
        assert "there is no folder" in refusal(source)
    file = tmp_path / "model.safetensors"
    file.touch()
    assert "is a single file" in refusal(file)
    for source in ("", None, 3):
        assert "a process is a name, a folder or a hub id" in refusal(source)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("~nobody-here/x", "there is no folder ~nobody-here/x: its user is not known here"),
        ("x" * 5000, "is no process: File name too long"),
        ("a/" * 5000, "is no process: File name too long"),
        ("a\0b", r"'a\x00b' is no process"),
        ("\ud800", r"'\ud800' is no process"),
        (b"emoji", "a process is a name, a folder or a hub id, not b'emoji'"),
        (["emoji"], "a process is a name"),
        (" ", "neither a folder here nor a hub id"),
        ("a\nb", "neither a folder here nor a hub id"),
    ],
)
def test_a_name_that_no_folder_and_no_model_can_have(source, says):
    assert says in refusal(source)


def test_a_hub_that_does_not_answer_is_one_line_at_once(tmp_path):
    """Its client tries six times and tells of each, over half a minute."""
    code = "import sys, conjure.cli.main; sys.exit(conjure.cli.main.main(sys.argv[1:]))"
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, "distance", "a", "b", "--process", REPO],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "HF_HOME": str(tmp_path),
            "HF_ENDPOINT": "http://127.0.0.1:9",
        },
    )
    assert done.returncode == 2
    assert re.fullmatch(r"conjure: .* the hub cannot be reached: .*\n", done.stderr)
    assert time.monotonic() - begun < 25


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"samples": 0}, "samples must be"),
        ({"estimand": "jefreys"}, "unknown estimand"),
        ({"estimand": "pointwise:9", "steps": 4}, "give a step from 1 to 4"),
        ({"cross_steps": 4, "steps": 4}, "cross_steps must be at most 3"),
        ({"cross_steps": 2, "estimand": "initial"}, "needs every step"),
        ({"tolerance": -1}, "tolerance"),
        ({"dtype": "int8"}, "unknown dtype"),
        ({"variant": "../x"}, "variant"),
    ],
)
def test_what_can_be_checked_is_checked_before_the_hub_is_asked(monkeypatch, settings, says):
    monkeypatch.setattr(hub, "fetch", raising(AssertionError("asked the hub")))
    with pytest.raises(InputError, match=says):
        choose({"process": REPO, **settings})


def test_a_folder_has_no_revisions(folder):
    assert "leave revision out" in refusal(folder, revision="main")


# ------------------------------------------------------------------ the hub


def response(status):
    return client.Response(status, request=client.Request("GET", "https://huggingface.co/x"))


def raising(error):
    def instead(*args, **kwargs):
        raise error

    return instead


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errors.GatedRepoError("x", response=response(403)), "gated: accept its conditions"),
        (errors.RepositoryNotFoundError("x", response=response(404)), "there is no someone/"),
        (errors.RevisionNotFoundError("x", response=response(404)), "has no revision 'v9'"),
        (errors.LocalEntryNotFoundError("x"), "hub cannot be reached"),
        (errors.OfflineModeIsEnabled("x"), "unset HF_HUB_OFFLINE"),
        (errors.RevisionResolutionError("x"), "hub cannot be reached"),
        (client.ConnectError("x"), "hub cannot be reached"),
        (client.ConnectTimeout("x"), "hub cannot be reached"),
        (errors.RemoteEntryNotFoundError("x", response=response(404)), "no diffusers pipeline"),
        (errors.HFValidationError("x"), "nor a hub id such as"),
        (errors.HfHubHTTPError("500 Server Error\nmore", response=response(500)), "500 Server"),
        (OSError("disk full\nmore"), "OSError: disk full"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_refusal_of_the_hub_is_one_line_that_says_what_to_do(monkeypatch, error, says):
    monkeypatch.setattr(hub, "reachable", lambda settings: True)
    monkeypatch.setattr(hub, "hf_hub_download", raising(error))
    assert says in refusal(REPO, revision="v9")


def test_a_real_bad_id_is_refused_without_the_hub():
    assert "nor a hub id such as" in refusal("not a/hub/id")


@pytest.fixture
def cached(folder, tmp_path, monkeypatch):
    """The ε-pipeline in a hub cache, laid out as the hub's client does, and no hub."""
    cache = tmp_path / "cache"
    repo = cache / "models--someone--something"
    snapshot = repo / "snapshots" / COMMIT
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(folder, snapshot)
    blobs = repo / "blobs"
    blobs.mkdir()
    for number, path in enumerate(snapshot.rglob("*.safetensors")):
        path.rename(blobs / str(number))
        path.symlink_to(os.path.relpath(blobs / str(number), path.parent))
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return snapshot


def test_a_cached_id_loads_offline(cached):
    process = load(REPO, steps=2)
    assert (process.name, process.revision) == (REPO, COMMIT)
    assert load(REPO, revision=COMMIT, steps=2).revision == COMMIT


def test_a_cached_id_loads_when_the_hub_cannot_be_reached(cached, monkeypatch):
    """Neither where it does not answer at all, nor where it fails on the way."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "get_session", raising(client.ConnectTimeout("x")))
    assert load(REPO, steps=2).revision == COMMIT
    monkeypatch.setattr(hub, "reachable", lambda settings: True)
    monkeypatch.setattr(hub, "hf_hub_download", lambda *_, **__: str(cached / "model_index.json"))
    for error in (client.ConnectTimeout("x"), errors.RevisionResolutionError("x")):
        monkeypatch.setattr(StableDiffusionPipeline, "download", raising(error))
        assert load(REPO, steps=2).revision == COMMIT


def test_offline_is_a_setting_too(cached, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "get_session", raising(AssertionError("asked the hub")))
    assert load(REPO, offline=True, steps=2).revision == COMMIT
    assert "leave offline out" in refusal("someone/else", offline=True)
    assert "offline must be True or False" in refusal(REPO, offline="no")


BLOCKED = """
import socket, sys

def refuse(*_, **__):
    sys.stderr.write("A SOCKET WAS OPENED\\n")
    raise SystemExit(3)

socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
from conjure.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def blocked(cache, *arguments):
    """A run of the command line in which every connection ends the program."""
    offline = ("HF_HUB_OFFLINE", "HF_HUB_CACHE")
    kept = {name: value for name, value in os.environ.items() if name not in offline}
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, *arguments],
        capture_output=True,
        text=True,
        env={**kept, "PYTHONPATH": os.pathsep.join(sys.path), "HF_HUB_CACHE": str(cache)},
    )


def test_offline_opens_no_socket(cached):
    cache = cached.parents[2]
    distance = ("distance", "a dog", "a violin", "--steps", "2")
    done = blocked(cache, *distance, "--process", REPO, "--offline")
    assert (done.returncode, done.stderr) == (0, "")
    assert COMMIT in done.stdout
    done = blocked(cache, *distance, "--process", "someone/else", "--offline")
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    done = blocked(cache, *distance, "--process", REPO)  # the test can fail
    assert "A SOCKET WAS OPENED" in done.stderr


def test_offline_ends_with_its_command(cached, monkeypatch, capsys):
    from conjure.cli.main import main

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "get_session", raising(AssertionError("asked the hub")))
    arguments = ["distance", "a dog", "a violin", "--process", REPO, "--steps", "2", "--offline"]
    assert main(arguments) == 0
    assert constants.HF_HUB_OFFLINE is False
    assert "HF_HUB_OFFLINE" not in os.environ
    capsys.readouterr()


def test_the_token_goes_to_the_hub_and_nowhere_else(monkeypatch):
    from conjure.processes.settings import ProcessSettings

    secret = "hf_secretsecretsecret"
    seen = []

    def download(*_, token=None, **__):
        seen.append(token)
        raise RuntimeError(f"refused for {token}")

    monkeypatch.setattr(hub, "reachable", lambda settings: True)
    monkeypatch.setattr(hub, "hf_hub_download", download)
    line = refusal(REPO, token=secret)
    assert seen == [secret]
    assert "refused for …" in line
    assert secret not in line
    assert secret not in repr(ProcessSettings(token=secret))
    assert "token must be the text" in refusal(REPO, token=7)


def test_an_id_cached_in_part_is_refused_offline(cached):
    shutil.rmtree(cached / "unet")
    assert "it has no unet" in refusal(REPO)
    assert "nor cached whole" in refusal("someone/else")


def test_a_model_of_another_kind_is_refused_before_its_weights_are_fetched(cached, monkeypatch):
    edit_json(cached / "model_index.json", _class_name="CogVideoXPipeline")
    monkeypatch.setattr(StableDiffusionPipeline, "download", raising(AssertionError("fetched")))
    assert "is a CogVideoXPipeline" in refusal(REPO)


def test_the_hub_is_asked_for_what_is_needed_and_no_pickle(cached, monkeypatch):
    asked = []

    def download(repo, **options):
        asked.append((repo, options))
        return cached

    monkeypatch.setattr(StableDiffusionPipeline, "download", download)
    load(REPO, revision="main", steps=2)
    load(REPO, steps=2, allow_pickle=True)
    (repo, safe), (_, trusting) = asked
    assert (repo, safe["revision"], safe["use_safetensors"]) == (REPO, "main", True)
    assert trusting["use_safetensors"] is None
    unused = {"safety_checker", "feature_extractor", "image_encoder"}
    assert {name for name in safe if safe[name] is None} >= unused


def test_a_repository_of_pickles_is_refused(cached, monkeypatch):
    """What diffusers says when it finds no safetensors at the hub."""
    shutil.rmtree(cached / "unet")
    said = OSError("Could not find the necessary `safetensors` weights in {…} (variant=None)")
    monkeypatch.setattr(StableDiffusionPipeline, "download", raising(said))
    assert "allow_pickle=True" in refusal(REPO)


@pytest.mark.hub
def test_a_model_of_the_real_hub_loads():
    if os.environ.get("HF_HUB_OFFLINE"):
        pytest.skip("HF_HUB_OFFLINE is set")
    process = load("hf-internal-testing/tiny-stable-diffusion-torch", steps=2, allow_pickle=True)
    assert re.fullmatch(r"[0-9a-f]{40}", process.revision)
