"""Image tokens of five families of vision-language models and of vision models, tiny and random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers as hf
from test_decode import IMAGE, TEXT, VISION, gemma3, idefics3, llava

import tiny
from medrl_core.models import hub, tokens

SIDE = {"height": 8, "width": 8}
TILE = {"longest_edge": 8}
CROP = {"size": {"shortest_edge": 8}, "crop_size": SIDE}
QWEN = {"depth": 2, "patch_size": 4, "spatial_merge_size": 2, "num_heads": 2, "hidden_size": 16}
ROPE = {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]}}
PLAIN = {name: value for name, value in VISION.items() if name != "intermediate_size"}


def qwen_processor():
    size = {"shortest_edge": 256, "longest_edge": 256}
    return hf.Qwen2VLImageProcessor(patch_size=4, merge_size=2, size=size)


def qwen2():
    vision = QWEN | {"embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2}
    config = hf.Qwen2VLConfig(vision_config=vision, text_config=TEXT | ROPE, image_token_id=IMAGE)
    return hf.Qwen2VLForConditionalGeneration(config), qwen_processor()


def qwen25():
    model, processor = tiny.build()
    return model, processor.image_processor


def qwen3():
    vision = QWEN | {
        "intermediate_size": 32, "out_hidden_size": 32, "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }  # fmt: skip
    config = hf.Qwen3VLConfig(vision_config=vision, text_config=TEXT | ROPE, image_token_id=IMAGE)
    return hf.Qwen3VLForConditionalGeneration(config), qwen_processor()


def smolvlm():
    config = hf.SmolVLMConfig(
        vision_config=VISION, text_config={"model_type": "llama", **TEXT}, image_token_id=IMAGE,
        scale_factor=2, pad_token_id=0,
    )  # fmt: skip
    processor = hf.SmolVLMImageProcessor(size=TILE, max_image_size=TILE)
    return hf.SmolVLMForConditionalGeneration(config), processor


# name: how it is made, whether it has a class token
VLMS = {
    "qwen2_vl": (qwen2, False),
    "qwen2_5_vl": (qwen25, False),
    "qwen3_vl": (qwen3, False),
    "smolvlm": (smolvlm, False),
    "idefics3": (
        lambda: (idefics3()[0], hf.Idefics3ImageProcessor(size=TILE, max_image_size=TILE)),
        False,
    ),
    "llava": (lambda: (llava()[0], hf.CLIPImageProcessor(size=SIDE, crop_size=SIDE)), True),
    "gemma3": (lambda: (gemma3(64)[0], hf.Gemma3ImageProcessor(size=SIDE)), False),
}
ENCODERS = {
    "dinov2": lambda: (
        hf.Dinov2Model(hf.Dinov2Config(**PLAIN)), hf.BitImageProcessor(**CROP)
    ),
    "dinov2 with registers": lambda: (
        hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(num_register_tokens=2, **PLAIN)),
        hf.BitImageProcessor(**CROP),
    ),
    "siglip": lambda: (
        hf.SiglipVisionModel(hf.SiglipVisionConfig(**VISION)), hf.SiglipImageProcessor(size=SIDE)
    ),
    "clip": lambda: (
        hf.CLIPVisionModel(hf.CLIPVisionConfig(**VISION)),
        hf.CLIPImageProcessor(size=SIDE, crop_size=SIDE),
    ),
}  # fmt: skip


def made(build):
    torch.manual_seed(0)
    model, processor = build()
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():  # Gemma 3's projection starts at zero
                parameter.normal_(std=0.5)
    return model.eval(), processor


def images(n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize("name", VLMS)
def test_each_family_gives_tokens_before_and_after_the_merger(name):
    model, processor = made(VLMS[name][0])
    seen = {}
    for layer, width in (("merger", 32), ("patch", 32 if name == "qwen2_5_vl" else None)):
        for pooling in ("mean", "max"):
            encode = tokens.encoder(model, processor, layer=layer, pooling=pooling)
            found = encode(images())
            assert found.dtype == np.float32 and len(found) == 3
            assert width in (None, found.shape[1])
            assert np.isfinite(found).all() and not np.allclose(found[0], found[1])
            one_by_one = np.concatenate([encode(one[None]) for one in images()])
            np.testing.assert_allclose(found, one_by_one, atol=1e-5)
            seen[layer, pooling] = found
    assert (seen["merger", "max"] >= seen["merger", "mean"] - 1e-6).all()
    assert not np.array_equal(seen["merger", "mean"], seen["patch", "mean"])


@pytest.mark.parametrize("name", VLMS)
def test_the_class_token_is_given_where_there_is_one(name):
    model, processor = made(VLMS[name][0])
    with pytest.raises(tokens.NoTower, match="no class token"):
        tokens.encoder(model, processor, layer="merger", pooling="class")
    if VLMS[name][1]:
        assert tokens.encoder(model, processor, layer="patch", pooling="class")(images()).any()
    else:
        with pytest.raises(tokens.NoTower, match="no class token"):
            tokens.encoder(model, processor, layer="patch", pooling="class")


def test_the_mean_of_patches_leaves_out_the_class_token_and_the_registers():
    for name, skip in (("dinov2", 1), ("dinov2 with registers", 3), ("siglip", 0), ("clip", 1)):
        model, processor = made(ENCODERS[name])
        pixels = processor(images=list(tokens.in_colour(images())), return_tensors="pt")
        with torch.inference_mode():
            expected = model(**pixels).last_hidden_state
        found = tokens.encoder(model, processor, pooling="mean")(images())
        np.testing.assert_allclose(found, expected[:, skip:].mean(1), atol=1e-5, err_msg=name)
        if skip:
            found = tokens.encoder(model, processor, pooling="class")(images())
            np.testing.assert_allclose(found, expected[:, 0], atol=1e-5, err_msg=name)


def test_a_vision_model_in_a_folder_is_loaded_with_its_processor(tmp_path):
    model, processor = made(ENCODERS["dinov2"])
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again = tokens.encoder(*hub.load_vision(str(tmp_path)))
    np.testing.assert_allclose(again(images()), tokens.encoder(model, processor)(images()))


def test_a_model_of_timm_in_a_folder_is_loaded(tmp_path):
    shape = {"img_size": 32, "embed_dim": 48, "depth": 1, "num_heads": 2}
    config = hf.TimmWrapperConfig(architecture="vit_tiny_patch16_224", model_args=shape)
    config.pretrained_cfg = {
        "input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3,
        "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center",
    }  # fmt: skip
    hf.TimmWrapperModel(config).save_pretrained(tmp_path)
    model, processor = hub.load_vision(str(tmp_path))
    for pooling in tokens.POOLINGS:
        width = 48 * 4 if pooling == "all" else 48  # 32 x 32 pixels are four patches
        assert tokens.encoder(model, processor, pooling=pooling)(images()).shape == (3, width)


def test_a_model_without_eyes_is_refused():
    config = hf.LlamaConfig(**TEXT)
    with pytest.raises(tokens.NoTower, match="no vision tower"):
        tokens.encoder(hf.LlamaModel(config), None)
