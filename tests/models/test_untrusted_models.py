"""Models that somebody made who wants in: no load runs what they contain."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

import tiny
from attacks import Pickled, refused
from medrl.studies import plan
from medrl_core.errors import UserError
from medrl_core.models import hub, whole
from medrl_core.sample.batches import batches

PAYLOAD = "import os\nos.mkdir({!r})\nclass X: pass\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a tiny model."""
    return hub.save(*tiny.build(), tmp_path_factory.mktemp("base") / "model")


@pytest.fixture
def copied(model, tmp_path):
    """The folder as somebody else would make it: no list of ours says what belongs in it."""
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    (folder / "SHA256SUMS").unlink()
    return folder


def put(path, **entries):
    """Add entries to a JSON file."""
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(before | entries))


def _pickled_bin(folder, hit):
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Pickled(hit)}, folder / "pytorch_model.bin")


def _old_pickle(folder, hit):
    (folder / "model.safetensors").write_bytes(pickle.dumps(Pickled(hit)))


def _index_of_pickles(folder, hit):
    (folder / "model.safetensors").unlink()
    places = {"lm_head.weight": "a.bin"}
    put(folder / "model.safetensors.index.json", metadata={}, weight_map=places)
    (folder / "a.bin").write_bytes(pickle.dumps(Pickled(hit)))


def _adapter(folder, hit):
    (folder / "model.safetensors").rename(folder / "base.safetensors")
    base = folder.with_name("base")
    folder.rename(base)
    (base / "base.safetensors").rename(base / "model.safetensors")
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    put(folder / whole.ADAPTER, base_model_name_or_path=str(base), peft_type="LORA", r=2,
        target_modules=["q_proj"])  # fmt: skip
    torch.save({"weight": Pickled(hit)}, folder / "adapter_model.bin")


@pytest.mark.fault(
    "Untrusted input",
    "model whose weights are a pickle with a payload: old file, shard, adapter, false safetensors",
    "refused, and the payload never runs",
)
@pytest.mark.parametrize("change", [_pickled_bin, _old_pickle, _index_of_pickles, _adapter])
@pytest.mark.filterwarnings("ignore::Warning")
def test_weights_are_never_unpickled(copied, hit, tried, change):
    change(copied, hit)
    for load in (hub.load, hub.load_vision):
        if load is hub.load_vision and change is _adapter:
            continue
        with tried():
            refused(lambda load=load: load(str(copied)), str(copied))


CODE = {"AutoConfig": "own.X", "AutoModel": "own.X", "AutoModelForImageTextToText": "own.X",
        "AutoProcessor": "own.X", "AutoImageProcessor": "own.X",
        "AutoTokenizer": ["own.X", "own.X"]}  # fmt: skip


def _own_model(folder):
    put(folder / "config.json", auto_map=CODE, model_type="own")


def _own_processor(folder):
    for name in ("processor_config.json", "preprocessor_config.json"):
        put(folder / name, auto_map=CODE, processor_class="X", image_processor_type="X")


def _own_kernel(folder):
    put(folder / "config.json", _attn_implementation="somebody/kernel")


def _said_so(folder):
    put(folder / "config.json", auto_map=CODE, model_type="own", trust_remote_code=True)


def _own_detector(folder):  # CVE-2026-5241: this configuration once took the file's word for it
    detector = {"model_type": "own", "auto_map": CODE, "_name_or_path": str(folder)}
    put(folder / "config.json", model_type="lightglue", keypoint_detector_config=detector,
        trust_remote_code=True)  # fmt: skip


def _own_tokenizer(folder):
    put(folder / "tokenizer_config.json", auto_map=CODE, tokenizer_class="X")


def _own_generate(folder):
    (folder / "custom_generate").mkdir()
    shutil.copy(folder / "own.py", folder / "custom_generate/generate.py")


@pytest.mark.fault(
    "Untrusted input",
    "model folder that names code of its own: model, processor, tokenizer, generation, kernel",
    "the code never runs, also when stdin says yes to every question",
)
@pytest.mark.parametrize(
    ("change", "loads"),
    [(_own_model, False), (_own_processor, False), (_own_kernel, False), (_said_so, False),
     (_own_detector, False), (_own_tokenizer, True), (_own_generate, True)],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::Warning")
def test_code_in_a_model_folder_never_runs(copied, hit, tried, monkeypatch, change, loads):
    (copied / "own.py").write_text(PAYLOAD.format(str(hit)))
    change(copied)
    for load in (hub.load, hub.load_vision):
        monkeypatch.setattr("sys.stdin", io.StringIO("yes\n" * 9))
        with tried():
            if loads:  # what is named is passed over: the stock classes do
                assert load(str(copied))[0] is not None
            else:
                refused(lambda load=load: load(str(copied)), "cannot be loaded")
        assert not hit.exists()


@pytest.mark.fault(
    "Untrusted input",
    "trust_remote_code given by a study, by `-p` or by the defaults of a study",
    "no such parameter",
)
def test_no_study_and_no_parameter_switches_code_on(toy, tried):
    path = Path("notebooks/studies/toy.yaml")
    text = path.read_text()
    name = "trust_remote_code"
    loaded = plan.load_study("toy")
    with tried(3):
        refused(lambda: plan.resolve(loaded, "02_support", {name: True}), f"no parameter '{name}'")
        path.write_text(text.replace("k: 4", f"k: 4, {name}: true"))
        refused(lambda: plan.load_study("toy"), f"no parameter '{name}'")
        path.write_text(text.replace("seed: 3", f"seed: 3, {name}: true"))
        refused(lambda: plan.load_study("toy"), f"the default '{name}'")


@pytest.mark.fault(
    "Untrusted input",
    "model whose chat templates have paths for names, loaded and saved again",
    "nothing is written out of the folder that it is saved to",
)
@pytest.mark.parametrize("name", ["../../out", "/tmp/out", "a/../../../out", "..\\out"])
@pytest.mark.filterwarnings("ignore::Warning")
def test_a_saved_model_stays_in_its_folder(copied, tmp_path, tried, name):
    name = name.replace("/tmp/", f"{tmp_path}/")  # CVE-2026-9856
    templates = [{"name": "default", "template": "x"}, {"name": name, "template": "x"}]
    (copied / "chat_template.jinja").unlink()
    for file in ("tokenizer_config.json", "processor_config.json"):
        put(copied / file, chat_template=templates)
    before = {path for path in tmp_path.rglob("*") if "saved" not in path.parts}
    with tried():
        with contextlib.suppress(ValueError, OSError, UserError):
            hub.save(*hub.load(str(copied)), tmp_path / "deep/saved")
        after = {path for path in tmp_path.rglob("*") if "saved" not in path.parts}
        assert after - before <= {tmp_path / "deep"}


TEMPLATES = {
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ cycler.__init__.__globals__.os.mkdir(HIT) }}",
    "import": "{{ self.__init__.__globals__.__builtins__.__import__('os').mkdir(HIT) }}",
    "format": "{{ '{0.__class__.__mro__}'.format(messages) }}",
    "change": "{% set _ = messages.append({}) %}{{ messages[9].content }}",
    "endless": "{% for i in range(10 ** 9) %}{{ i }}{% endfor %}",
}


@pytest.mark.fault(
    "Untrusted input",
    "chat template of a model that reaches for Python's classes, imports, or never ends",
    "refused by the sandbox that renders it",
)
@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.filterwarnings("ignore::Warning")
def test_a_chat_template_is_rendered_in_a_sandbox(copied, hit, tried, name):
    text = TEMPLATES[name].replace("HIT", repr(str(hit)))
    (copied / "chat_template.jinja").write_text(text)
    _, processor = hub.load(str(copied))
    with tried():
        asked = batches(processor, [tiny.plain_item()], lambda _: 1)
        refused(lambda: next(asked), "chat template cannot be rendered")
