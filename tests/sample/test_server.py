"""A server as a model: asked as often as needed and no more; every fault is one line."""

from __future__ import annotations

import base64
import io
import json
import signal
import subprocess
import sys
import threading
import time

import pytest
from fake_server import answer, serving
from PIL import Image

from medrl_core.errors import UserError
from medrl_core.sample.completions import GREEDY, Decoding, rollout_key
from medrl_core.sample.server import Server, Spent
from running import medrl
from tiny import plain_item

DECODING = Decoding(0.7, 0.9, 0, 8)
ITEMS = [plain_item(n_images=n, item_id=f"item-{n}") for n in (1, 0)]


def right(body, number):
    return answer([f"<answer>A</answer>{number}"] * body["n"])


def drawn(fake, items=ITEMS, k=3, done=(), **options):
    server = Server(fake.url, "tiny", **{"retries": 2, **options})
    found = []
    for part in server.sample(items, k=k, decoding=DECODING, seed=5, model_hash="h", done=done):
        found += part
    return found


def test_each_item_gets_a_greedy_answer_and_k_samples():
    with serving(right) as fake:
        found = drawn(fake)
    assert sorted((one.item.item_id, one.sample_index) for one in found) == sorted(
        (item.item_id, index) for item in ITEMS for index in (GREEDY, 0, 1, 2)
    )
    greedy = [body for body in fake.asked if body["temperature"] == 0]
    sampled = [body for body in fake.asked if body["temperature"] == 0.7]
    assert [body["n"] for body in greedy] == [1, 1] and [body["n"] for body in sampled] == [3, 3]
    assert all(body["top_p"] == 0.9 and body["max_tokens"] == 8 for body in sampled)
    assert len({body["seed"] for body in fake.asked}) == 4
    assert fake.keys == ["Bearer none"] * 4


def test_pictures_go_as_they_are_and_an_item_without_one_as_text():
    with serving(right) as fake:
        drawn(fake, k=1)
    seen, blind = (
        next(body for body in fake.asked if isinstance(body["messages"][0]["content"], kind))
        for kind in (list, str)
    )
    picture, text = seen["messages"][0]["content"]
    data = picture["image_url"]["url"].removeprefix("data:image/png;base64,")
    sent = Image.open(io.BytesIO(base64.b64decode(data)))
    assert sent.tobytes() == ITEMS[0].images[0].tobytes()
    assert text["text"] == blind["messages"][0]["content"].replace(
        ITEMS[1].question, ITEMS[0].question
    )


def test_a_server_that_ignores_n_is_asked_for_the_rest(capsys):
    with serving(lambda body, number: answer([str(number)])) as fake:
        found = drawn(fake, items=ITEMS[:1], k=3)
    assert len(found) == 4 and len(fake.asked) == 4
    assert [body["n"] for body in fake.asked if body["temperature"]] == [3, 2, 1]
    assert len({body["seed"] for body in fake.asked}) == 4  # else it would repeat itself
    assert "gives 1 answers where 3 are asked" in capsys.readouterr().err


def test_tokens_and_ends_of_several_choices():
    with serving(lambda body, number: answer(["a"] * body["n"], tokens=12)) as fake:
        found = drawn(fake, items=ITEMS[:1], k=3)
    assert {(one.n_tokens, one.ended) for one in found if one.sample_index >= 0} == {(4, True)}
    with serving(lambda body, _: answer(["a"] * body["n"], 8, "length")) as fake:
        found = drawn(fake, items=ITEMS[:1], k=1)
    assert {(one.n_tokens, one.ended) for one in found} == {(8, False)}


def test_reasoning_kept_apart_and_a_refusal_are_texts():
    def reply(body, number):
        said = answer([None])
        if body["temperature"] == 0:
            said["choices"][0]["message"] |= {"content": "A", "reasoning_content": "it is red"}
        return said

    with serving(reply) as fake:
        found = {one.sample_index: one.text for one in drawn(fake, items=ITEMS[:1], k=1)}
    assert found == {GREEDY: "<think>it is red</think>A", 0: ""}


@pytest.mark.parametrize("fault", [
    (429, {"error": {"message": "slow down"}}, {"Retry-After": "0.2"}),
    (500, {"error": {"message": "oops"}}, {"Retry-After": "0.1"}),
    None,  # the connection is cut
])  # fmt: skip
def test_what_passes_is_asked_again(fault):
    with serving(lambda body, number: fault if number == 1 else right(body, number)) as fake:
        found = drawn(fake, items=ITEMS[:1], k=1, at_once=1)
    assert len(found) == 2 and len(fake.asked) == 3


@pytest.mark.parametrize(("reply", "said"), [
    ((401, {"error": {"message": "bad key sk-secret"}}, {}), r"\$OPENAI_API_KEY was refused"),
    ((400, {"error": {"message": "4097 tokens, at most 4096"}}, {}), "with 400: .*at most 4096"),
    ((500, {"error": {"message": "oops"}}, {"Retry-After": "0"}), "with 500: .*oops"),
    ((200, b"<html>", {}), "something else than the protocol has"),
    ((200, b"<html>", {"Content-Type": "text/html"}), "without choices: <html>"),
    ({"choices": []}, "without choices"),
    ({"choices": [{"index": 0}]}, "without choices"),
])  # fmt: skip
def test_what_does_not_pass_is_one_line_without_the_key(monkeypatch, reply, said):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with serving(lambda *_: reply) as fake, pytest.raises(UserError, match=said) as caught:
        drawn(fake, items=ITEMS[:1], retries=1)
    assert set(fake.keys) == {"Bearer sk-secret"}
    assert "\n" not in str(caught.value) and "sk-secret" not in str(caught.value)


def test_a_server_that_hangs_or_is_not_there_is_one_line():
    release = threading.Event()
    with serving(lambda *_: release.wait(20)) as fake:
        with pytest.raises(UserError, match=r"did not answer item .* within 0.2 s"):
            drawn(fake, timeout=0.2, retries=0)
        release.set()
    with pytest.raises(UserError, match="cannot be reached"):
        drawn(fake, retries=0)
    with pytest.raises(UserError, match="--server ftp://x is no address"):
        Server("ftp://x", "tiny")


def test_no_more_requests_are_open_than_allowed():
    def slow(body, number):
        time.sleep(0.05)
        return right(body, number)

    with serving(slow) as fake:
        drawn(fake, items=[plain_item(n_images=0, item_id=f"i{n}") for n in range(8)], at_once=3)
    assert 1 < fake.most_open <= 3


def test_a_limit_of_requests_counts_retries_and_what_was_answered_is_kept():
    def reply(body, number):
        return (429, {}, {"Retry-After": "0"}) if number == 1 else right(body, number)

    found = []
    with serving(reply) as fake:
        server = Server(fake.url, "tiny", max_requests=3, at_once=1)
        with pytest.raises(Spent, match="3 requests are sent, as --max-requests allows"):
            for part in server.sample(ITEMS, k=1, decoding=DECODING, model_hash="h"):
                found += part
        assert len(fake.asked) == server.sent == 3 and len(found) == 2
        done = {
            rollout_key(one.item, one.prompt_hash, one.sample_index, DECODING, "h") for one in found
        }
        rest = drawn(fake, k=1, done=done)
    assert len(rest) == 2 and len(fake.asked) == 5


def test_the_fingerprint_is_of_what_lasts():
    with serving(right) as fake:
        first = Server(fake.url, "tiny").fingerprint()
        fake.models[0]["created"] = 2
        assert Server(fake.url, "tiny").fingerprint() == first
        fake.models[0]["root"] = "other-weights"
        assert Server(fake.url, "tiny").fingerprint() != first
        with pytest.raises(UserError, match="has no model 'large'; it has tiny"):
            Server(fake.url, "large").fingerprint()


def test_the_command_goes_on_where_it_was_stopped_and_writes_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    items = tmp_path / "items.jsonl"
    rows = [
        {"item_id": f"q{n}", "question": "Which?", "options": ["red", "blue"], "answer": "red",
         "answer_label": "A"}
        for n in range(4)
    ]  # fmt: skip
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    with serving(right) as fake:
        command = ["evaluate", "--server", fake.url, "--model", "tiny", "--items", items, "--out",
                   out, "-k", 2, "--key-variable", "MY_KEY", "--at-once", 1]  # fmt: skip
        stopped = medrl(*command, "--max-requests", 5)
        assert stopped.exit_code == 2 and "5 requests are sent" in stopped.output
        done = medrl(*command)
        assert done.exit_code == 0, done.output
        assert "100.0%" in done.output and len(fake.asked) == 8  # four items, two requests each
        again = medrl(*command)
        assert again.exit_code == 0 and len(fake.asked) == 8
    assert set(fake.keys) == {"Bearer sk-secret"}
    for path in out.rglob("*"):
        assert path.is_dir() or b"sk-secret" not in path.read_bytes()
    assert "sk-secret" not in stopped.output + done.output


def test_one_sigterm_ends_it_within_seconds_though_the_server_hangs(tmp_path):
    items = tmp_path / "items.csv"
    items.write_text("question,options,answer\nWhich?,red|blue,red\n")
    release = threading.Event()
    with serving(lambda *_: release.wait(60)) as fake:
        command = [sys.executable, "-m", "medrl.commands.main", "evaluate", "--server", fake.url,
                   "--model", "tiny", "--items", items, "--out", tmp_path / "out"]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while not fake.asked:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            assert process.wait(15) == 128 + signal.SIGTERM
            assert time.monotonic() - begun < 10
        release.set()
