from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
import transformers

import tiny
import trained
from medrl.studies import execution
from medrl_core.train import checkpoints, grpo, sft
from medrl_core.train.checkpoints import Checkpoints

TIMES = ("step_time", "train_runtime", "generate_time")


@pytest.fixture(scope="module")
def start():
    """Start a training in a process of its own."""
    patch = pytest.MonkeyPatch()
    here = str(Path(__file__).parents[1])
    patch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["trained"])

    def started(*arguments, **options):
        process = server.Process(target=trained.run, args=[str(a) if a else a for a in arguments],
                                 kwargs=options)
        process.start()
        return process

    yield started
    patch.undo()


def finish(process):
    process.join()
    assert process.exitcode == 0


def kill_after(process, folder, step, number, delay):
    """Send a signal to a training soon after the checkpoint of a step or a later one is there."""
    while not any(int(mark.parent.name.split("-")[1]) >= step for mark in
                  folder.glob("*/checkpoint-*/whole")):
        assert process.is_alive(), "the training ended before it could be killed"
        time.sleep(0.002)
    process.join(delay)
    assert process.exitcode is None, "the training ended before it could be killed"
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == -number


def result(path):
    weights, history = torch.load(path, weights_only=False)
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in history]
    return weights, rows


def tried_often(start, tmp_path, kind, tried):
    """Kill trainings of one kind at random steps, and compare what they end in after that."""
    finish(start(kind, None, tmp_path / "whole.pt"))
    draw = random.Random(kind)
    for number in range(tried.times(1, 6)):
        folder, out = tmp_path / f"kept{number}", tmp_path / f"{number}.pt"
        signals = [signal.SIGKILL, signal.SIGTERM]
        draw.shuffle(signals)
        with tried():
            # The second kill comes soon after the training has gone on.
            for step, one in zip((4, 2)[: tried.times(1, 2)], signals, strict=False):
                kill_after(start(kind, folder, out), folder, step, one, draw.uniform(0, 0.02))
            assert not out.exists()
            finish(start(kind, folder, out))
            (weights, history), (again, history_again) = map(result, (tmp_path / "whole.pt", out))
            assert tiny.same(weights, again)
            assert history == history_again
            assert [path.name for path in folder.glob("*/*")] == ["ended.pt"]


SAME = "the same training goes on and ends in the same weights, bit for bit, and the same log"


@pytest.mark.fault("Killed", "SFT killed by SIGKILL or SIGTERM between and within steps", SAME)
def test_sft_killed_ends_in_the_weights_of_an_undisturbed_one(start, tmp_path, tried):
    tried_often(start, tmp_path, "sft", tried)


@pytest.mark.fault(
    "Killed",
    "RL (GRPO and four variants) killed by SIGKILL or SIGTERM between and within steps",
    SAME,
)
@pytest.mark.parametrize("kind", [kind for kind in trained.KINDS if kind != "sft"])
def test_rl_killed_ends_in_the_weights_of_an_undisturbed_one(start, tmp_path, kind, tried):
    tried_often(start, tmp_path, kind, tried)


def test_an_ended_training_is_not_done_again(tmp_path, monkeypatch):
    options = {"steps": 4, "batch_size": 2, "checkpoints": Checkpoints(tmp_path, every=2)}
    model, processor = tiny.build()
    model, history = sft.train(model, processor, tiny.items("open", 4), **options)
    monkeypatch.setattr(sft.SFTTrainer, "train", lambda *_, **__: 1 / 0)
    again, history_again = sft.train(tiny.build()[0], processor, tiny.items("open", 4), **options)
    assert tiny.same(tiny.weights(model), tiny.weights(again))
    assert history == history_again


@pytest.mark.parametrize(
    "change", [{"steps": 5}, {"learning_rate": 1e-4}, {"seed": 1}, {"items": 5}, {"weights": 1}]
)
def test_another_training_starts_for_itself(tmp_path, change):
    def train(steps=4, items=4, weights=0, **options):
        model, processor = tiny.build()
        if weights:
            with torch.no_grad():
                next(model.parameters()).add_(1e-3)
        sft.train(
            model, processor, tiny.items("open", items), steps=steps, batch_size=2,
            checkpoints=Checkpoints(tmp_path), **options,
        )

    train()
    train(**change)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "change", [{"reward_k": 3}, {"tokens": 65}, {"learning_rate": 1e-3}, {"objective": "care"}]
)
def test_another_rl_starts_for_itself(tmp_path, monkeypatch, change):
    """Also where TRL's own configuration does not tell: 65 and 66 tokens are as many batches."""
    monkeypatch.setattr(transformers.Trainer, "train", lambda *_, **__: None)
    options = {
        "objective": "passk", "reward_k": 2, "tokens": 66, "num_generations": 4,
        "completions_per_step": 8, "max_new_tokens": 4, "checkpoints": Checkpoints(tmp_path),
    }  # fmt: skip
    for given in (options, {**options, **change}):
        grpo.train(*tiny.build(), tiny.items("open", 4), **given)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_checkpoint_cut_off_while_written_is_passed_over(tmp_path):
    for step in (8, 10, 12):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert checkpoints.newest(tmp_path) is None
    for step in (8, 10):
        (tmp_path / f"checkpoint-{step}" / checkpoints.MARK).touch()
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-10"


@pytest.mark.parametrize("name", ["04_rl", "04_rl@0a1b2c3d"])
def test_a_run_removes_the_checkpoints_of_its_notebook(name):
    folder = execution.checkpoint_folder(Path("runs/micro") / name)
    assert Checkpoints.of(f"runs/micro/.{name}.partial-123").folder == folder
    assert Checkpoints.of(f"runs/micro/{name}").folder == folder
