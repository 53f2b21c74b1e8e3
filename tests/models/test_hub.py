from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.train import sft


@pytest.fixture
def folder(tmp_path):
    return hub.save(*tiny.build(), tmp_path / "model")


def test_save_and_load_give_the_same_model(folder):
    model, processor = hub.load(str(folder))
    assert tiny.same(tiny.weights(model), tiny.weights(tiny.build()[0]))
    assert type(model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    assert not model.training and processor.tokenizer.padding_side == "left"
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_dtype(folder):
    model, _ = hub.load(str(folder), dtype="bfloat16")
    assert model.dtype == torch.bfloat16


def test_an_adapter_is_merged_so_that_the_folder_needs_no_base(tmp_path):
    model, processor = tiny.build()
    before = tiny.weights(model)
    adapted, _ = sft.train(
        model, processor, tiny.items("open", 4), steps=2, batch_size=4, lora=True
    )
    inputs = processor.tokenizer("What is seen?", return_tensors="pt")
    with torch.no_grad():
        expected = adapted(**inputs).logits
    loaded, _ = hub.load(str(hub.save(adapted, processor, tmp_path / "m")))
    assert not any("lora" in name for name in load_file(tmp_path / "m" / "model.safetensors"))
    assert not tiny.same(before, tiny.weights(loaded))
    with torch.no_grad():
        assert torch.allclose(loaded(**inputs).logits, expected, atol=1e-4)


def test_the_hash_names_the_weights(folder):
    first = hub.model_hash(str(folder))
    assert len(first) == 16 and first == hub.model_hash(str(folder))
    model, processor = tiny.build()
    (folder / "README.md").write_text("a card is no weight")
    assert hub.model_hash(str(folder)) == first
    with torch.no_grad():
        next(model.parameters()).add_(1e-3)
    hub.save(model, processor, folder)
    assert hub.model_hash(str(folder)) != first


SETTINGS = {
    "config.json": ("hidden_act", "gelu"),
    "generation_config.json": ("eos_token_id", 1),
    "processor_config.json": ("image_processor", {"image_mean": [0.1, 0.2, 0.3]}),
    "tokenizer_config.json": ("add_bos_token", True),
    "preprocessor_config.json": ("image_mean", [0.0, 0.0, 0.0]),
}


@pytest.mark.parametrize("name", [*SETTINGS, "chat_template.jinja", "tokenizer.json"])
def test_the_hash_covers_each_setting_that_changes_an_answer(folder, name):
    first, path = hub.model_hash(str(folder)), folder / name
    if name in SETTINGS:
        content = json.loads(path.read_text()) if path.is_file() else {}
        key, value = SETTINGS[name]
        written = content | {"transformers_version": "1.2.3"}
        if path.is_file():
            path.write_text(json.dumps(written, indent=3))
            assert hub.model_hash(str(folder)) == first  # who wrote it, and how, is no setting
        path.write_text(json.dumps(content | {key: value}))
    else:
        path.write_text((path.read_text() if path.is_file() else "") + " ")
    assert hub.model_hash(str(folder)) != first


def test_the_hash_of_an_adapter_covers_its_base(folder, tmp_path):
    model, processor = hub.load(str(folder))
    from peft import get_peft_model

    adapter = tmp_path / "adapter"
    get_peft_model(model, sft.lora_config(2)).save_pretrained(adapter)
    processor.save_pretrained(adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    put = lambda base: (adapter / "adapter_config.json").write_text(  # noqa: E731
        json.dumps(config | {"base_model_name_or_path": str(base)})
    )
    put(folder)
    first = hub.model_hash(str(adapter))
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    put(moved)
    assert hub.model_hash(str(adapter)) == first  # where the base is does not matter
    weights = load_file(moved / "model.safetensors")
    name = next(iter(weights))
    weights[name] = weights[name] + 1
    save_file(weights, moved / "model.safetensors")
    assert hub.model_hash(str(adapter)) != first


def test_equal_weights_in_another_folder_have_the_same_hash(folder, tmp_path):
    other = hub.save(*tiny.build(), tmp_path / "other")
    assert hub.model_hash(str(other)) == hub.model_hash(str(folder))


def test_a_failed_save_leaves_the_old_folder(folder, monkeypatch):
    model, processor = tiny.build()
    before = hub.model_hash(str(folder))
    monkeypatch.setattr(processor, "save_pretrained", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        hub.save(model, processor, folder)
    assert hub.model_hash(str(folder)) == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_what_cannot_be_loaded_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    off, again = "give a folder, or .*HF_HUB_OFFLINE=1", "get or save the model again"
    for ref, remedy in ((str(tmp_path / "absent"), off), (str(tmp_path / "empty"), again)):
        with pytest.raises(UserError, match=f"cannot be loaded: .*{remedy}") as error:
            hub.load(ref)
        assert "\n" not in str(error.value) and ref in str(error.value)


def test_damaged_weights_are_told(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match="model.safetensors is no whole safetensors file"):
        hub.load(str(folder))


def test_a_folder_without_weights_has_no_hash(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match="holds no .safetensors file"):
        hub.model_hash(str(tmp_path))


def test_exposure_is_read_from_the_card_and_unknown_without_one(tmp_path):
    assert hub.exposure(str(tmp_path)) == hub.exposure("some/hub-id") == {}
    (tmp_path / "card.json").write_text(json.dumps({"exposure": {"head CT": 0}}))
    assert hub.exposure(str(tmp_path)) == {"head CT": 0}
