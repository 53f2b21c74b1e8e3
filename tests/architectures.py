"""Tiny random models of twenty architectures that see, with their stock processors.

`pytest tests/models/test_architectures.py --architectures data/architectures.json` tries all and
records the table of the book's page on architectures; without the option, the tests try `FEW`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as t

import families
import tiny
from families import EVEN, ROPE, SIZE, VISION, template, text, tokenizer
from medrl_core.models import micro

LLAMA = {"model_type": "llama"}
CLIP = {"model_type": "clip_vision_model", **VISION, "projection_dim": 16}
SIGLIP = {"model_type": "siglip_vision_model", **VISION, "vision_use_head": False}
QWEN_VISION = {
    "depth": 2, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "patch_size": 4,
    "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 32,
}  # fmt: skip
AREA = {"shortest_edge": 16 * 16, "longest_edge": 16 * 16}
QWEN_PICTURE = {"patch_size": 4, "merge_size": 2, "temporal_patch_size": 2, "size": AREA, **EVEN}


def _id(made, sign: str) -> int:
    return made.convert_tokens_to_ids(sign)


def _qwen3(config: Any, model: Any, **language: Any):
    made = tokenizer()
    processor = t.Qwen3VLProcessor(
        image_processor=t.Qwen2VLImageProcessor(**QWEN_PICTURE), tokenizer=made,
        video_processor=t.Qwen3VLVideoProcessor(**QWEN_PICTURE), chat_template=micro.CHAT_TEMPLATE,
    )  # fmt: skip
    ids = made.convert_tokens_to_ids(list(micro.SPECIAL_TOKENS))
    vision: dict[str, Any] = {**QWEN_VISION, "num_position_embeddings": 16}
    if config is t.Qwen3VLConfig:
        vision["deepstack_visual_indexes"] = [0]
    return model(config(
        text_config={**text(made), "rope_parameters": ROPE, **language}, vision_config=vision,
        vision_start_token_id=ids[3], vision_end_token_id=ids[4], image_token_id=ids[5],
        video_token_id=ids[6],
    )), processor  # fmt: skip


def qwen2_5_vl():
    """Qwen2.5-VL: attention in windows; the micro model is one."""
    return tiny.build()


def qwen3_vl():
    """Qwen3-VL: visual tokens also enter the first layers of the language model."""
    return _qwen3(t.Qwen3VLConfig, t.Qwen3VLForConditionalGeneration)


def qwen3_5():
    """Qwen3.5: layers of linear attention between those of full attention."""
    return _qwen3(
        t.Qwen3_5Config, t.Qwen3_5ForConditionalGeneration,
        layer_types=["linear_attention", "full_attention"], linear_key_head_dim=8,
        linear_value_head_dim=8, linear_num_key_heads=2, linear_num_value_heads=2,
        rope_parameters={**ROPE, "partial_rotary_factor": 1.0},
    )  # fmt: skip


def llava_next():
    """LLaVA-NeXT: tiles of a picture beside the whole."""
    made = tokenizer("<image>")
    pins = [[8, 16], [16, 8]]
    processor = t.LlavaNextProcessor(
        image_processor=t.LlavaNextImageProcessor(
            size={"shortest_edge": 8}, crop_size=SIZE, image_grid_pinpoints=pins, **EVEN
        ),
        tokenizer=made, patch_size=4, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template("<image>"),
    )  # fmt: skip
    config = t.LlavaNextConfig(
        vision_config=CLIP, text_config={**LLAMA, **text(made)}, image_grid_pinpoints=pins,
        image_token_index=_id(made, "<image>"), image_seq_length=4, vision_feature_layer=-1,
    )  # fmt: skip
    return t.LlavaNextForConditionalGeneration(config), processor


def llava_onevision():
    """LLaVA-OneVision: SigLIP and Qwen2."""
    made = tokenizer("<image>", "<video>")
    pins = [[8, 8], [8, 16], [16, 8]]
    processor = t.LlavaOnevisionProcessor(
        image_processor=t.LlavaOnevisionImageProcessor(
            size=SIZE, image_grid_pinpoints=pins, **EVEN
        ),
        video_processor=t.LlavaOnevisionVideoProcessor(size=SIZE, **EVEN), tokenizer=made,
        num_image_tokens=4, vision_feature_select_strategy="full",
        chat_template=template("<image>"),
    )  # fmt: skip
    config = t.LlavaOnevisionConfig(
        vision_config=SIGLIP, text_config={"model_type": "qwen2", **text(made)},
        image_grid_pinpoints=pins, image_token_index=_id(made, "<image>"),
        video_token_index=_id(made, "<video>"),
    )  # fmt: skip
    return t.LlavaOnevisionForConditionalGeneration(config), processor


def vipllava():
    """VipLLaVA: several layers of CLIP side by side."""
    made = tokenizer("<image>")
    processor = t.LlavaProcessor(
        image_processor=t.CLIPImageProcessor(size={"shortest_edge": 8}, crop_size=SIZE, **EVEN),
        tokenizer=made, patch_size=4, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template("<image>"),
    )  # fmt: skip
    config = t.VipLlavaConfig(
        vision_config=CLIP, text_config={**LLAMA, **text(made)}, image_seq_length=4,
        image_token_index=_id(made, "<image>"), vision_feature_layers=[-1, -2],
    )  # fmt: skip
    return t.VipLlavaForConditionalGeneration(config), processor


def internvl():
    """InternVL: its own vision tower, pixels shuffled into fewer tokens, Qwen2."""
    made = tokenizer(start_image_token="<img>", end_image_token="</img>",
                     context_image_token="<IMG_CONTEXT>", video_token="<video>")  # fmt: skip
    processor = t.InternVLProcessor(
        image_processor=t.GotOcr2ImageProcessor(size=SIZE, **EVEN), tokenizer=made,
        video_processor=t.InternVLVideoProcessor(size=SIZE, **EVEN), image_seq_length=1,
        chat_template=template("<IMG_CONTEXT>"),
    )  # fmt: skip
    config = t.InternVLConfig(
        vision_config={**VISION, "image_size": [8, 8], "patch_size": [4, 4]},
        text_config={"model_type": "qwen2", **text(made)}, image_seq_length=1,
        image_token_id=_id(made, "<IMG_CONTEXT>"),
    )  # fmt: skip
    return t.InternVLForConditionalGeneration(config), processor


def paligemma():
    """PaliGemma: SigLIP and Gemma, full attention over picture and question."""
    made = tokenizer(image_token="<image>")
    made.add_special_tokens({"bos_token": "<bos>"})
    picture = t.SiglipImageProcessor(size=SIZE, **EVEN)
    picture.image_seq_length = 4
    processor = t.PaliGemmaProcessor(
        image_processor=picture, tokenizer=made, chat_template=template("<image>")
    )
    language = text(made) | {"vocab_size": len(processor.tokenizer)}
    config = t.PaliGemmaConfig(
        vision_config={**SIGLIP, "projection_dim": 32}, projection_dim=32, hidden_size=32,
        text_config={"model_type": "gemma", **language},
        image_token_index=_id(made, "<image>"),
    )  # fmt: skip
    return t.PaliGemmaForConditionalGeneration(config), processor


def idefics2():
    """Idefics2: a perceiver makes a fixed number of tokens of a picture."""
    made = tokenizer("<fake_token_around_image>", "<image>", "<end_of_utterance>")
    processor = t.Idefics2Processor(
        image_processor=t.Idefics2ImageProcessor(
            size={"shortest_edge": 8, "longest_edge": 16}, **EVEN
        ),
        tokenizer=made, image_seq_len=2, chat_template=template("<image>"),
    )  # fmt: skip
    config = t.Idefics2Config(
        vision_config={**VISION, "image_size": 16},
        text_config={"model_type": "mistral", **text(made)},
        perceiver_config={"resampler_n_latents": 2, "resampler_depth": 1, "resampler_n_heads": 2,
                          "resampler_head_dim": 8, "num_key_value_heads": 1, "hidden_size": 32},
        image_token_id=_id(made, "<image>"),
    )  # fmt: skip
    return t.Idefics2ForConditionalGeneration(config), processor


def smolvlm():
    """SmolVLM: as Idefics3, smaller."""
    signs = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    signs += [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]
    made = tokenizer(*signs, image_token="<image>", fake_image_token=signs[1],
                     global_image_token=signs[2], end_of_utterance_token=signs[3])  # fmt: skip
    stock = {"size": {"longest_edge": 16}, "max_image_size": {"longest_edge": 8}, **EVEN}
    processor = t.SmolVLMProcessor(
        image_processor=t.SmolVLMImageProcessor(**stock), tokenizer=made,
        video_processor=t.SmolVLMVideoProcessor(**stock), image_seq_len=1,
        chat_template=template("<image>"),
    )  # fmt: skip
    config = t.SmolVLMConfig(
        vision_config=VISION, text_config={**LLAMA, **text(made)}, scale_factor=2,
        image_token_id=_id(made, "<image>"), pad_token_id=made.pad_token_id,
    )  # fmt: skip
    return t.SmolVLMForConditionalGeneration(config), processor


def mllama():
    """Llama 3.2 Vision: the language model looks at the picture by cross-attention."""
    made = tokenizer("<|image|>", "<|python_tag|>")
    made.add_special_tokens({"bos_token": "<bos>"})
    processor = t.MllamaProcessor(
        image_processor=t.MllamaImageProcessor(size=SIZE, max_image_tiles=2, **EVEN),
        tokenizer=made, chat_template=template("<|image|>"),
    )  # fmt: skip
    # The picture's sign is the one token beyond the embeddings' vocabulary, as in the published
    # models the last of them.
    config = t.MllamaConfig(
        vision_config={"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
                       "num_global_layers": 1, "attention_heads": 2, "image_size": 8,
                       "patch_size": 4, "max_num_tiles": 2, "vision_output_dim": 32,
                       "intermediate_layers_indices": [0],
                       "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]]},
        text_config={**text(made), "cross_attention_layers": [1], "num_hidden_layers": 3,
                     "bos_token_id": made.bos_token_id,
                     "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
        image_token_index=_id(made, "<|image|>"),
    )  # fmt: skip
    return t.MllamaForConditionalGeneration(config), processor


def mistral3():
    """Mistral 3: Pixtral's tower, which takes pictures of any size."""
    made = tokenizer("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    processor = t.PixtralProcessor(
        image_processor=t.PixtralImageProcessor(size={"longest_edge": 16}, patch_size=4, **EVEN),
        tokenizer=made, patch_size=4, spatial_merge_size=2, chat_template=template("[IMG]"),
    )  # fmt: skip
    config = t.Mistral3Config(
        vision_config={"model_type": "pixtral", **VISION, "image_size": 16, "head_dim": 8},
        text_config={"model_type": "mistral", **text(made)}, spatial_merge_size=2,
        image_token_index=_id(made, "[IMG]"),
    )  # fmt: skip
    return t.Mistral3ForConditionalGeneration(config), processor


def lfm2_vl():
    """LFM2-VL: SigLIP 2, and layers of short convolutions between those of attention."""
    made = tokenizer("<image>", "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>")
    processor = t.Lfm2VlProcessor(
        image_processor=t.Lfm2VlImageProcessor(
            do_image_splitting=False, encoder_patch_size=4, tile_size=16, min_image_tokens=1,
            max_image_tokens=4, **EVEN,
        ),
        tokenizer=made, chat_template=template("<image>"),
    )  # fmt: skip
    config = t.Lfm2VlConfig(
        vision_config={"model_type": "siglip2_vision_model", **VISION, "num_patches": 16,
                       "vision_use_head": False},
        text_config={"model_type": "lfm2", **text(made), "layer_types": ["conv", "full_attention"],
                     "block_auto_adjust_ff_dim": False},
        image_token_id=_id(made, "<image>"), projector_hidden_size=32,
    )  # fmt: skip
    return t.Lfm2VlForConditionalGeneration(config), processor


def aya_vision():
    """Aya Vision: SigLIP and Cohere 2."""
    signs = ["<image>", "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "TILE_GLOBAL"]
    made = tokenizer(*signs, "<|IMG_LINE_BREAK|>", *(f"TILE_{i}" for i in range(1, 5)))
    processor = t.AyaVisionProcessor(
        image_processor=t.GotOcr2ImageProcessor(size=SIZE, **EVEN), tokenizer=made, patch_size=4,
        img_size=8, downsample_factor=2, chat_template=template("<image>"),
    )  # fmt: skip
    config = t.AyaVisionConfig(
        vision_config=SIGLIP, downsample_factor=2,
        text_config={"model_type": "cohere2", **text(made), "sliding_window": 512},
        image_token_index=_id(made, "<|IMG_PATCH|>"),
    )  # fmt: skip
    return t.AyaVisionForConditionalGeneration(config), processor


def cohere2_vision():
    """Command A Vision: as Aya Vision, with its own picture processor."""
    signs = ["<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>"]
    made = tokenizer(boi_token=signs[0], eoi_token=signs[1], image_token=signs[2],
                     img_line_break_token=signs[3])  # fmt: skip
    processor = t.Cohere2VisionProcessor(
        image_processor=t.Cohere2VisionImageProcessor(
            size=SIZE, crop_to_patches=False, patch_size=2, downsample_factor=2, **EVEN
        ),
        tokenizer=made, chat_template=template("<|IMG_PATCH|>"),
    )  # fmt: skip
    config = t.Cohere2VisionConfig(
        vision_config={**SIGLIP, "patch_size": 2}, downsample_factor=2,
        alignment_intermediate_size=32,
        text_config={"model_type": "cohere2", **text(made), "sliding_window": 512},
        image_token_id=_id(made, "<|IMG_PATCH|>"),
    )  # fmt: skip
    return t.Cohere2VisionForConditionalGeneration(config), processor


def glm4v():
    """GLM-4.1V: its own vision tower, rotary positions of three kinds."""
    signs = ["<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"]
    made = tokenizer(*signs, image_token="<|image|>", video_token="<|video|>")
    processor = t.Glm4vProcessor(
        image_processor=t.Glm4vImageProcessor(**QWEN_PICTURE), tokenizer=made,
        video_processor=t.Glm4vVideoProcessor(**QWEN_PICTURE),
        chat_template=template("<|begin_of_image|><|image|><|end_of_image|>"),
    )  # fmt: skip
    begin, end, begin_video, end_video = made.convert_tokens_to_ids(signs)
    config = t.Glm4vConfig(
        text_config={**text(made), "rope_parameters": {**ROPE, "partial_rotary_factor": 1.0}},
        vision_config={**QWEN_VISION, "image_size": 16}, image_token_id=_id(made, "<|image|>"),
        video_token_id=_id(made, "<|video|>"), image_start_token_id=begin, image_end_token_id=end,
        video_start_token_id=begin_video, video_end_token_id=end_video,
    )  # fmt: skip
    return t.Glm4vForConditionalGeneration(config), processor


ARCHITECTURES: dict[str, Callable] = {
    **families.FAMILIES,
    **{made.__name__: made for made in (
        qwen2_5_vl, qwen3_vl, qwen3_5, llava_next, llava_onevision, vipllava, internvl, paligemma,
        idefics2, smolvlm, mllama, mistral3, lfm2_vl, aya_vision, cohere2_vision, glm4v,
    )},
}  # fmt: skip
# Tried by each run of the tests: a prompt shared and a prompt copied, layers with a state,
# cross-attention, full attention over the question, pictures of any size.
FEW = ("qwen3_vl", "qwen3_5", "paligemma", "mllama", "mistral3", "lfm2_vl")


def build(name: str):
    """A tiny random model of an architecture and its processor."""
    torch.manual_seed(0)
    if name == "qwen2_5_vl":
        return qwen2_5_vl()  # its weights are large enough already
    return families.build(name, ARCHITECTURES[name])
