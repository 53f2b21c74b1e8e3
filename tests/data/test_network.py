"""Without a network nothing waits for one; with one that stalls, a line says what was asked.

Nobody outside this machine is asked.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import constants
from medmnist.info import INFO

import small_book
import tiny
from conftest import ROOT
from damaging import refused
from medrl_core.data import network
from medrl_core.data.own import read_items
from medrl_core.errors import UserError
from medrl_core.models import hub, towers

OFFLINE = Path(__file__).parents[1] / "offline"
HASH = "0" * 40


class Silent:
    """A server on this machine that takes what it is asked and answers with a part, or nothing."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.asked: list[str] = []
        self.answer = b""
        self.held: list[socket.socket] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                caller, _ = self.server.accept()
            except OSError:  # closed at the end of the test
                return
            self.held.append(caller)
            self.asked.append(caller.recv(4096).split(b"\r\n")[0].decode())
            caller.sendall(self.answer)

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        for one in (*self.held, self.server):
            one.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.close()


@pytest.fixture
def hub_stalls(silent, monkeypatch, tmp_path) -> Iterator[Silent]:
    """The hub is the silent server, its cache is empty, and it is not switched off."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", silent.address)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.hf_api.HfApi, "__init__", _at(silent.address))
    huggingface_hub.close_session()
    yield silent
    huggingface_hub.close_session()


def _at(address: str):
    """HfApi reads its address when it is imported."""
    before = huggingface_hub.hf_api.HfApi.__init__

    def init(self, *rest, **more):
        before(self, *rest, **{"endpoint": address} | more)

    return init


@pytest.mark.fault(
    "Network", "a model hub that takes every question and never answers",
    "ends by its library's time limit, in one line with what was asked and what to do",
)  # fmt: skip
def test_a_hub_that_stalls(hub_stalls, tried, tmp_path):
    def asked_for(what: str, line: str) -> None:
        assert f"{what}: the hub {hub_stalls.address} gives no answer (ReadTimeout)" in line
        assert "within 1 s: go online and try again, or name a local folder" in line
        assert "HF_HUB_DOWNLOAD_TIMEOUT" in line and "\n" not in line

    with tried():
        with pytest.raises(UserError) as error:
            hub.load("owner/model")
        asked_for("model 'owner/model'", str(error.value))
    with tried(), pytest.raises(towers.NoTower, match="owner/seeing .* not fetched .ReadTimeout"):
        towers.open_tower("owner/seeing", tiny.image_set())
    with tried():
        with pytest.raises(UserError) as error:
            read_items(f"owner/rows@{HASH}", name="PathVQA")
        asked_for("data set 'owner/rows'", str(error.value))
    with tried():
        question = {"dataset_name": "d", "dataset_index": 0, "image_paths": [], "question": "Is?"}
        (tmp_path / "items.jsonl").write_text(json.dumps(question | {"answer": "yes"}))
        words = ("--items", tmp_path / "items.jsonl", "--out", tmp_path / "out")
        asked_for("model 'owner/model'", refused("evaluate", "--model", "owner/model", *words))
        assert not (tmp_path / "out").exists()
    told = [line.split()[1] for line in hub_stalls.asked if "agent-harnesses" not in line]
    model, seeing = "/api/models/owner/model", "/api/models/owner/seeing"
    assert told == [model, seeing, "/api/datasets/owner/rows", model]  # once each, not file by file


@pytest.mark.fault(
    "Network", "a model hub that stalls, for a model that is in its cache",
    "the model is taken from the cache, and a line on stderr says so",
)  # fmt: skip
def test_a_cached_model_needs_no_answer(hub_stalls, tried, monkeypatch, tmp_path, capsys):
    kept = tmp_path / "cache/models--owner--model/snapshots" / HASH
    hub.save(*tiny.build(), kept)
    refs = kept.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(HASH)
    for module in ("huggingface_hub.file_download", "transformers.utils.hub"):
        if hasattr(sys.modules[module], "HF_HUB_CACHE"):
            monkeypatch.setattr(f"{module}.HF_HUB_CACHE", str(tmp_path / "cache"))
    with tried():
        model, _ = hub.load("owner/model")
        assert tiny.same(tiny.weights(model), tiny.weights(tiny.build()[0]))
        assert "model owner/model is taken from its cache" in capsys.readouterr().err
    assert len([line for line in hub_stalls.asked if "agent-harnesses" not in line]) == 1


@pytest.mark.fault(
    "Network", "a hub that answers the first question and is silent at a file, as long as it may",
    "no request waits longer than the limit, whatever its library asks for",
)  # fmt: skip
def test_every_request_has_a_limit(hub_stalls, tried):
    for given in (None, 60.0):
        with tried():
            network._limit_all(1)
            session = huggingface_hub.get_session()
            with pytest.raises(httpx2.ReadTimeout):
                session.get(f"{hub_stalls.address}/owner/model/resolve/main/x", timeout=given)


ANSWERS = [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nPK half of it"]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.fault(
    "Network", "a server of MedMNIST that never answers, or stops in the middle of the file",
    "ends by a time limit, in one line with address and remedy; no half file stays",
)  # fmt: skip
def test_a_download_that_stalls(silent, tried, monkeypatch, tmp_path, answer):
    silent.answer = answer
    monkeypatch.setattr(network, "SILENCE", 0.5)
    monkeypatch.setitem(INFO["breastmnist"], "url", f"{silent.address}/breastmnist.npz")
    with tried():
        line = refused("data", "fetch", "breastmnist", "--root", tmp_path / "medmnist")
        assert f"could not be fetched from {silent.address}/breastmnist.npz (TimeoutError)" in line
        assert "MEDMNIST_ROOT" in line
        assert list((tmp_path / "medmnist").iterdir()) == []
        assert socket.getdefaulttimeout() is None
    assert set(silent.asked) == {"GET /breastmnist.npz HTTP/1.1"}


@pytest.mark.fault(
    "Network", "all commands with a local model on a machine without a network, no variable set",
    "each ends as usual, and nothing outside the machine is asked",
)  # fmt: skip
def test_commands_ask_nobody(toy, tried):
    model = hub.save(*tiny.build(), toy / "model")
    question = {"dataset_name": "d", "dataset_index": 0, "image_paths": [], "question": "Is it?"}
    Path("items.jsonl").write_text(json.dumps(question | {"answer": "yes"}))
    (toy / "home").mkdir()
    commands = [
        ["doctor"],
        ["data", "list"],
        ["evaluate", "--model", str(model), "--items", "items.jsonl", "--out", "out", "-k", "2"]
        + ["--max-new-tokens", "8"],
        ["score", "out"],
        ["diagnose", "out", "-k", "2"],
        ["probe", "--model", str(model), "--data", "drawn:OCT scan", "--n-train", "40"]
        + ["--n-test", "20"],
        ["run", "02_support", "--study", "toy"],
        ["data", "fetch", "breastmnist", "--root", "none"],
        ["evaluate", "--model", "owner/model", "--items", "items.jsonl", "--out", "none"],
    ]
    if tried.many:
        small_book.write()
        commands.insert(0, ["book", "--study", "toy", "--only"])
    Path("commands.json").write_text(json.dumps(commands))
    off = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    known = {name: value for name, value in os.environ.items() if name not in off}
    paths = [str(OFFLINE), str(ROOT)]
    known |= {"PYTHONPATH": os.pathsep.join(paths), "MEDRL_HEARD": str(toy / "heard")}
    known |= {"HOME": str(toy / "home"), "HF_HOME": str(toy / "home/hf")}
    with tried(len(commands)):
        done = subprocess.run(
            [sys.executable, OFFLINE / "commands.py", "commands.json"],
            env=known, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        ended = [json.loads(line) for line in done.stdout.splitlines()]
        codes = {name: code for name, code, *_ in ended[:-2]}
        assert codes.pop("doctor") in (0, 1)  # it finds no clone here
        assert set(codes.values()) == {0}, ended
        assert [code for _, code, *_ in ended[-2:]] == [2, 2]
        assert "could not be fetched from https://" in ended[-2][3]
        assert "gives no answer" in ended[-1][3] and "model 'owner/model'" in ended[-1][3]
        # Only what was asked for by name.
        heard = set(Path("heard").read_text().split())
        assert heard == {"zenodo.org", "huggingface.co"}, heard
