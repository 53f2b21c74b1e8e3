from __future__ import annotations

import pytest

import tiny
from medrl_core.models import hub, micro
from medrl_core.train.base import curriculum, pretrain


@pytest.fixture(scope="module")
def lessons():
    return curriculum.build(exposure={"blood": 12}, n_pictures=12, n_reading=40)


@pytest.fixture(scope="module")
def small():
    """A patch that makes the recipe train a narrow model."""
    patch = pytest.MonkeyPatch()
    build = micro.build_model
    patch.setattr(
        micro, "build_model", lambda tokenizer, seed: build(tokenizer, width=32, depth=1, seed=seed)
    )
    yield
    patch.undo()


def train(lessons, **options):
    return pretrain.train(lessons, batch_size=8, max_steps=4, **options)


def test_loss_covers_all_text_and_nothing_else(lessons):
    _, processor = tiny.build()
    collate = pretrain.LessonCollator(processor, lessons.images)
    text_only = next(x for x in lessons.questions if x.image is None)
    batch = collate([lessons.captions[0], text_only, lessons.captions[1]])
    ids, labels, mask = batch["input_ids"], batch["labels"], batch["attention_mask"].bool()
    image = ids == processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert image.sum() == 2 * 16
    assert (labels[image | ~mask] == -100).all()
    assert (labels == ids)[mask & ~image].all()
    assert not mask[:, -1].all() and mask[:, 0].all()  # padded on the right


def test_a_few_steps_and_a_folder_that_loads(lessons, small, tmp_path):
    model, processor, history = train(lessons, learning_rate=1e-3)
    loaded, _ = hub.load(str(hub.save(model, processor, tmp_path / "base")))
    assert tiny.same(tiny.weights(loaded), tiny.weights(model))
    assert not model.training
    assert isinstance(history, list)


def test_equal_seeds_give_equal_weights(lessons, small):
    first = tiny.weights(train(lessons)[0])
    assert tiny.same(first, tiny.weights(train(lessons)[0]))
    assert not tiny.same(first, tiny.weights(train(lessons, seed=1)[0]))


def test_captions_come_once_and_before_questions(lessons, small, monkeypatch):
    seen = []

    class Spy(pretrain.LessonCollator):
        def __call__(self, batch):
            seen.extend(batch)
            return super().__call__(batch)

    monkeypatch.setattr(pretrain, "LessonCollator", Spy)
    pretrain.train(lessons, batch_size=64, question_epochs=2)
    assert seen == lessons.captions + lessons.questions * 2
