"""`medrl evaluate` killed at random moments, and two processes on one folder."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

import resumed
import tiny
from medrl_core.models import hub
from medrl_core.sample.rollouts import KEY

ITEMS = 16


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Start `medrl evaluate` into a folder in a process of its own."""
    folder = tmp_path_factory.mktemp("resume")
    hub.save(*tiny.build(), folder / "model")
    lines = [
        {"dataset_name": "toy", "dataset_index": i, "image_paths": [], "question": f"Is it {i}?"}
        | {"answer": "yes"}
        for i in range(ITEMS)
    ]
    (folder / "items.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    here = str(Path(__file__).parents[1])
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["resumed"])

    def started(out):
        words = ["evaluate", "--model", folder / "model", "--items", folder / "items.jsonl"]
        words += ["--out", out, "-k", 3, "--max-new-tokens", 24]
        error = folder / f"{out.name}.err"
        process = server.Process(target=resumed.medrl, args=([str(w) for w in words], str(error)))
        process.start()
        return process, error

    yield started
    patch.undo()


@pytest.mark.fault(
    "Killed",
    "`medrl evaluate` killed by SIGKILL or SIGTERM at random stages of sampling",
    "the same command goes on and ends with the same bytes",
)
def test_killed_at_random_moments_it_ends_like_an_undisturbed_run(start, tmp_path, tried):
    for name in ("first", "whole"):  # the first also starts the fork server
        process, error = start(tmp_path / name)
        process.join()
        assert process.exitcode == 0, error.read_text()
    whole = (tmp_path / "whole" / "rollouts.parquet").read_bytes()
    table = pd.read_parquet(tmp_path / "whole" / "rollouts.parquet")
    assert len(table) == ITEMS * 4 and not table.duplicated(list(KEY)).any()

    draw = random.Random(0)
    folders = [tmp_path / "0"]
    stages = set()

    def written(out):
        try:
            return sum(name.startswith("part-") for name in os.listdir(out / "rollouts"))
        except FileNotFoundError:  # not begun, or joined into one file at this moment
            return 0

    def finished(out):
        files = sorted(path.name for path in out.iterdir())
        scores = ["scores.csv", "scores.json", "scores.parquet"]
        assert files == ["items.parquet", "rollouts.parquet", *scores]
        assert (out / "rollouts.parquet").read_bytes() == whole
        assert (out / "scores.csv").read_bytes() == (tmp_path / "whole/scores.csv").read_bytes()

    for _ in range(tried.times(8, 32)):
        out = folders[-1]
        stage = written(out) + draw.randint(0, 3)
        process, error = start(out)
        # By what is written, not by the clock: a busy machine is killed at the same stages.
        while process.exitcode is None and written(out) < stage:
            time.sleep(0.001)
        process.join(draw.uniform(0, 0.05))
        if process.exitcode is None:
            with tried():
                os.kill(process.pid, draw.choice([signal.SIGKILL, signal.SIGTERM]))
                process.join()
                stages.add(written(out))
        else:
            assert process.exitcode == 0, error.read_text()
            finished(out)
            folders.append(tmp_path / str(len(folders)))
    assert len(stages) >= 3
    process, error = start(folders[-1])
    process.join()
    assert process.exitcode == 0, error.read_text()
    finished(folders[-1])
    assert not list(tmp_path.glob(".*"))


@pytest.mark.fault(
    "Disk and machine",
    "a second `medrl evaluate` into a folder that another process is writing",
    "the second says so in one line and touches nothing",
)
def test_a_second_process_on_a_folder_is_told_so_and_stops(start, tmp_path, tried):
    with FileLock(tmp_path / ".out.lock"), tried():
        process, error = start(tmp_path / "out")
        process.join()
        said = error.read_text()
        assert process.exitcode == 2 and said.count("\n") == 1
        assert "out is being made here by another process; wait for it" in said
        assert not (tmp_path / "out").exists()
