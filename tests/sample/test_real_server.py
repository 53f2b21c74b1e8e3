"""vLLM without a GPU answers as our own decoding does; `make serve-test` installs and asks it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

import numpy as np
import pytest

from conftest import ROOT
from medrl_core.data import groups
from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.sample.completions import Decoding
from medrl_core.sample.rollouts import RolloutStore
from medrl_core.sample.server import Server
from medrl_core.score.evaluate import evaluate, keep

PYTHON = ROOT / ".venv/serve/bin/python"
BASE = ROOT / "data/drawn-base"
K = 64
DECODING = Decoding(max_new_tokens=40)


# A client that was refused is left to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a vLLM that serves the micro base."""
    if not PYTHON.is_file():
        if os.environ.get("MEDRL_SERVE") == "required":
            pytest.fail(f"{PYTHON} is not there: make serve-test installs it")
        pytest.skip("no vLLM: make serve-test installs it and runs this")
    folder = tmp_path_factory.mktemp("served")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [
        PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", BASE,
        "--served-model-name", "drawn-base", "--dtype", "float32", "--enforce-eager",
        "--max-model-len", "512", "--host", "127.0.0.1", "--port", port,
        "--generation-config", "vllm",
        # On a CPU vLLM 0.32 ends at a seeded request whose prompt it reads in parts.
        "--max-num-batched-tokens", "16384",
    ]  # fmt: skip
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(word) for word in words], cwd=folder, env=env, stdout=stream, stderr=stream
        )
    try:
        url = f"http://127.0.0.1:{port}/v1"
        until = time.monotonic() + 300
        while True:
            try:
                Server(url, "drawn-base", retries=0).fingerprint()
                break
            except UserError:
                assert process.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
                time.sleep(1)
        yield url
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder)


def test_a_served_model_scores_as_our_own_decoding_does(served, tmp_path):
    """Over 32 items with 64 samples each, a paired difference within four standard errors."""
    items = groups.load("drawn:chest film", "test", n=16) + groups.load(
        "drawn:knee film", "test", n=16
    )
    server = Server(served, "drawn-base", at_once=8)
    how = {"k": K, "decoding": DECODING}
    of_server = {"model_name": "served", "model_hash": server.fingerprint(), **how}
    theirs = keep(server.sample, items, RolloutStore(tmp_path / "served"), **of_server)
    asked = server.sent
    net, processor = hub.load(str(BASE), device="cpu")
    ours = evaluate(
        net, processor, items, RolloutStore(tmp_path / "own"), model_name="own",
        model_hash="own", **how,
    )  # fmt: skip
    assert asked == 1 + 32 * 5 and len(theirs) == len(ours) == 32 * (K + 1)
    assert set(theirs.prompt_hash) == set(ours.prompt_hash)

    def sampled(rows):
        right = rows[rows.sample_index >= 0].pivot(
            index="item_id", columns="sample_index", values="correct"
        )
        return right.to_numpy(float)

    a, b = sampled(theirs), sampled(ours)
    spread = np.sqrt((a.var(1, ddof=1) / K + b.var(1, ddof=1) / K).sum()) / len(items)
    print(
        f"p {a.mean():.4f} served, {b.mean():.4f} own, standard error of the difference "
        f"{spread:.4f}; Pass@{K} {a.any(1).mean():.3f} and {b.any(1).mean():.3f}"
    )
    assert abs(a.mean() - b.mean()) <= 4 * spread
    # The greedy texts are the same but where two tokens are all but equally likely.
    served, own = (
        rows[rows.sample_index == -1].set_index("item_id").text.str.strip()
        for rows in (theirs, ours)
    )
    same = (served == own.reindex(served.index)).mean()
    print(f"greedy texts that are equal: {same:.3f}")
    assert same >= 0.9
    # The same again asks nothing.
    again = keep(server.sample, items, RolloutStore(tmp_path / "served"), **of_server)
    assert server.sent == asked and again.equals(theirs)
