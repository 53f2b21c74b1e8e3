"""Pretrain the micro base model on the curriculum and save it with its card.

`medrl pretrain --out data/micro-base` makes the committed checkpoint again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile

import torch
from transformers import Trainer, TrainingArguments, set_seed

from medrl_core.models import micro
from medrl_core.train import progress
from medrl_core.train.base import curriculum


class LessonCollator:
    """Turns lessons into a padded batch whose loss covers all text tokens.

    Arguments:
        processor: the micro model's processor.
        images: the curriculum's images.
    """

    def __init__(self, processor, images):
        self.processor, self.images = processor, images
        self.image_token_id = processor.tokenizer.convert_tokens_to_ids(processor.image_token)

    def __call__(self, lessons: list[curriculum.Lesson]) -> dict[str, torch.Tensor]:
        texts = self.processor.apply_chat_template(
            [lesson.messages for lesson in lessons], tokenize=False
        )
        images = [self.images[lesson.image] for lesson in lessons if lesson.image is not None]
        batch = self.processor(
            text=texts, images=images or None, padding=True, padding_side="right",
            return_tensors="pt",
        )
        labels = batch["input_ids"].clone()
        labels[(batch["attention_mask"] == 0) | (labels == self.image_token_id)] = -100
        return {**batch, "labels": labels}


def train(
    lessons: curriculum.Curriculum,
    *,
    seed: int = 0,
    batch_size: int = 64,
    learning_rate: float = 1.5e-3,
    question_epochs: int = 1,
    max_steps: int = -1,
    work_dir: str | os.PathLike | None = None,
):
    """Train a micro model from random weights: captions once, then questions.

    Arguments:
        lessons: the curriculum.
        seed: of the random weights.
        batch_size: lessons a step.
        learning_rate: peak; warm-up over 5% of the steps, then cosine to zero.
        question_epochs: passes over the second part.
        max_steps: stop after so many steps; -1 for the whole curriculum.
        work_dir: where the trainer may write; nothing is kept there.

    Returns:
        `(model, processor, history)`; history is the trainer's log, one row every 50 steps.
    """
    set_seed(seed)
    texts = (
        message["content"][-1]["text"]
        for lesson in [*lessons.captions[:8000], *lessons.questions[:8000]]
        for message in lesson.messages
    )
    processor = micro.build_processor(micro.train_tokenizer(texts))
    model = micro.build_model(processor.tokenizer, seed=seed)
    order = lessons.captions + lessons.questions * question_epochs
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(work_dir or tempfile.gettempdir()),
            per_device_train_batch_size=batch_size,
            learning_rate=learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            weight_decay=0.01,
            num_train_epochs=1,
            max_steps=max_steps,
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            logging_steps=50,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            use_cpu=not torch.cuda.is_available(),
        ),
        data_collator=LessonCollator(processor, lessons.images),
        train_dataset=order,
    )
    progress.attach(trainer, "pretrain")
    trainer.train()
    history = [row for row in trainer.state.log_history if "loss" in row]
    return model.eval(), processor, history


def data_hash(lessons: curriculum.Curriculum) -> str:
    """SHA-256 over every image and every lesson of a curriculum, in order."""
    digest = hashlib.sha256()
    for image in lessons.images:
        digest.update(image.tobytes())
    for lesson in [*lessons.captions, *lessons.questions]:
        digest.update(json.dumps([lesson.image, lesson.messages]).encode())
    return digest.hexdigest()
