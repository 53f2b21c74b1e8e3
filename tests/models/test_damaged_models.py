"""Damaged models and features: refused before anything is computed with them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny
from conftest import ROOT
from damaging import check, cuts, flips, list_flips, refused
from medrl_core.errors import UserError
from medrl_core.models import hub, towers, whole
from medrl_core.train import estimate
from medrl_core.vision import probe


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return hub.save(*tiny.build(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def folder(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "model"))


NAMES = [
    "SHA256SUMS", "chat_template.jinja", "config.json", "generation_config.json",
    "model.safetensors", "processor_config.json", "tokenizer.json", "tokenizer_config.json",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.fault(
    "Damaged files", "any file of a model that medrl saved: missing, cut off or any bit flipped",
    "refused by name before it is loaded: SHA256SUMS lists all",
)  # fmt: skip
def test_a_saved_model_is_compared_with_its_sums(folder, tried, name):
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    path, times = folder / name, tried.times(20, 200)
    if name == whole.SUMS:
        for damaged in (b"", *flips(path.read_bytes(), times)):
            with tried():
                path.write_bytes(damaged)
                with pytest.raises(UserError, match="SHA256SUMS"):
                    whole.check(folder)
        return
    assert check(path, lambda: whole.check(folder), tried, times) == times + 9
    with tried():
        path.rename(folder / "moved")
        with pytest.raises(UserError, match=f"{name} is missing, SHA256SUMS lists it"):
            hub.load(str(folder))


@pytest.mark.fault(
    "Damaged files", "`medrl evaluate` and `medrl probe` given a model with a flipped weight",
    "one line with the file and what to do; no folder is made",
)  # fmt: skip
def test_commands_refuse_a_damaged_model(folder, tmp_path, tried):
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    question = {"dataset_name": "d", "dataset_index": 0, "image_paths": [], "question": "Is it?"}
    (tmp_path / "items.jsonl").write_text(json.dumps(question | {"answer": "yes"}))
    words = ("--items", tmp_path / "items.jsonl", "--out", tmp_path / "out")
    with tried(2):
        for line in (
            refused("evaluate", "--model", folder, *words),
            refused("probe", "--model", folder, "--data", "drawn:OCT scan"),
        ):
            assert f"{weights} is not as it was saved (see SHA256SUMS): get or save" in line
    assert not (tmp_path / "out").exists()


@pytest.fixture
def foreign(folder):
    """A model's folder without sums, as others publish it."""
    (folder / whole.SUMS).unlink()
    return folder


@pytest.mark.fault(
    "Damaged files", "weights without sums: cut off, or a bit of their list flipped",
    "refused by name, or loaded with the same weights; none is drawn at random, none left out",
)  # fmt: skip
def test_weights_of_others_are_all_there_or_refused(foreign, tried):
    path = foreign / "model.safetensors"
    content, before = path.read_bytes(), tiny.weights(hub.load(str(foreign))[0])
    for damaged in (*cuts(content), *list_flips(content, tried.times(60, 600))):
        with tried():
            path.write_bytes(damaged)
            try:
                model, _ = hub.load(str(foreign))
            except UserError as error:
                assert str(foreign) in str(error) and "\n" not in str(error)
            else:
                assert tiny.same(tiny.weights(model), before)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.fault(
    "Damaged files", "a model of others whose configuration, weights or tokenizer is missing",
    "refused in one line that names the folder",
)  # fmt: skip
def test_a_file_of_others_may_not_be_missing(foreign, tried, name):
    with tried():
        (foreign / name).unlink()
        with pytest.raises(UserError) as error:
            hub.load(str(foreign))
        assert f"model {str(foreign)!r} cannot be loaded" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json"]
)
@pytest.mark.fault(
    "Damaged files", "configuration or tokenizer of others cut off, or one bit flipped",
    "refused in one line, or another letter or digit: only sums could tell",
)  # fmt: skip
def test_json_of_others(foreign, tried, name):
    path = foreign / name
    content = path.read_bytes()
    for damaged in cuts(content):
        with tried():
            path.write_bytes(damaged)
            if damaged.strip() == content.strip():
                continue
            with pytest.raises(UserError, match=f"{name} is no whole JSON"):
                hub.load(str(foreign))
    for damaged in flips(content, tried.times(15, 150)):
        with tried():
            path.write_bytes(damaged)
            try:
                hub.load(str(foreign))
                estimate.shape(str(foreign))
            except UserError as error:
                assert str(foreign) in str(error) and "\n" not in str(error)


@pytest.mark.fault(
    "Damaged files", "the drawn base with a flipped weight or a damaged card",
    "refused: the card names the hash of the weights",
)  # fmt: skip
def test_the_drawn_base_is_compared_with_its_card(tmp_path, tried):
    for name in ("card.json", "config.json"):
        shutil.copyfile(ROOT / "data/drawn-base" / name, tmp_path / name)
    weights = tmp_path / "model.safetensors"
    content = bytearray((ROOT / "data/drawn-base/model.safetensors").read_bytes())
    weights.write_bytes(content)
    whole.check(tmp_path)
    with tried():
        content[-1] ^= 1
        weights.write_bytes(content)
        with pytest.raises(UserError, match="its weights are not those that card.json names"):
            whole.check(tmp_path)
    for damaged in cuts((tmp_path / "card.json").read_bytes()):
        with tried(), pytest.raises(UserError, match="card.json is no card of a model"):
            (tmp_path / "card.json").write_bytes(damaged[:-3])
            hub.exposure(str(tmp_path))


PIXELS = towers.Tower("pixels", "h", towers._pixels)


@pytest.mark.fault(
    "Damaged files", "a file of kept features cut off, or one bit of its list flipped",
    "refused by name, or read with the same shape; then the features are computed again",
)  # fmt: skip
def test_kept_features(tmp_path, tried):
    before = np.array(towers.features(PIXELS, tiny.image_set(), "val", tmp_path))
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    # The list of a .npy file, which says what its bytes mean, is its first 128 bytes.
    heads = (head + content[128:] for head in flips(content[:128], tried.times(60, 600)))
    for damaged in (*cuts(content), *heads):
        with tried():
            path.write_bytes(damaged)
            try:
                found = towers.features(PIXELS, tiny.image_set(), "val", tmp_path)
            except UserError as error:
                assert path.name in str(error) and "remove it" in str(error)
                assert "\n" not in str(error)
            else:
                assert (found == before).all()
    path.unlink()
    assert (towers.features(PIXELS, tiny.image_set(), "val", tmp_path) == before).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.fault(
    "Odd numbers and sizes", "a tower whose features are not finite, computed or kept",
    "refused with the tower's name and the image before a probe reads them; none is kept",
)  # fmt: skip
def test_features_that_are_not_finite_name_their_tower(tmp_path, tried, bad):
    def encode_batch(images):
        found = towers._pixels(images)
        found[-1, 3] = bad
        return found

    with tried():
        broken = replace(PIXELS, encode_batch=encode_batch)
        with pytest.raises(UserError, match="tower 'pixels' has features that are not finite, fi"):
            towers.features(broken, tiny.image_set(), "val", tmp_path)
        assert not list(tmp_path.iterdir())
    with tried():
        towers.features(PIXELS, tiny.image_set(), "val", tmp_path)
        (path,) = tmp_path.iterdir()
        kept = np.load(path)
        kept[2, 5] = bad
        content = path.read_bytes()
        path.write_bytes(content[: len(content) - kept.nbytes] + kept.tobytes())
        with pytest.raises(UserError, match=f"{path} of 'pixels' has .* first of image 2: "):
            towers.features(PIXELS, tiny.image_set(), "val", tmp_path)


def test_one_class_is_probed_as_that_class():
    x, y = np.random.default_rng(0).normal(size=(6, 3)).astype("f4"), np.ones(6, dtype=int)
    for scores in (
        probe.linear_probe(x, y, x, y, x, n_classes=2),
        probe.knn(x, y, x, n_classes=2),
    ):
        assert (scores.argmax(1) == 1).all()
