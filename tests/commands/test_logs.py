"""`medrl score`, `diagnose` and `compare` on logs: what they print, write, withhold and refuse."""

from __future__ import annotations

import json
import random

import pandas as pd
import pytest

from made_logs import (
    COUNTS,
    QUESTIONS,
    inspect_eval,
    inspect_header,
    inspect_samples,
    lines,
    lm_eval_rows,
    table_frame,
    trl_frame,
    verl_rows,
)
from running import medrl, said


def refused(*words) -> str:
    done = medrl(*words)
    assert done.exit_code == 2, done.output
    assert done.stdout == "" and len(done.stderr.strip().splitlines()) == 1
    return done.stderr.strip()


@pytest.fixture
def sampled(tmp_path):
    return inspect_eval(tmp_path / "sampled.eval", inspect_header(), inspect_samples())


@pytest.fixture
def greedy(tmp_path):
    samples = [one for one in inspect_samples() if one["epoch"] == 1]
    return inspect_eval(tmp_path / "greedy.eval", inspect_header(0.0, run_id="g"), samples)


def many(path, n=60, k=4, chance=0.6, seed=0, **columns):
    """A table of n items with even labels, of which a share of samples is right."""
    rng = random.Random(seed)
    rows = []
    for item in range(n):
        gold = item % 4
        for _ in range(k):
            right = rng.random() < chance
            answer = gold if right else (gold + rng.randrange(1, 4)) % 4
            rows.append({"item_id": f"i{item}", "options": "w|x|y|z", "gold": "ABCD"[gold],
                         "text": f"Answer: {'ABCD'[answer]}", **columns})  # fmt: skip
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_items_are_written_as_a_table_that_can_be_scored_again(sampled, tmp_path):
    table = tmp_path / "items.csv"
    text = said("score", sampled, "--per-item", table)
    frame = pd.read_csv(table)
    assert {r.item_id: (r.n, r.correct) for r in frame.itertuples()} == COUNTS
    assert text.splitlines()[-1] == str(table)
    again = said("score", table)
    for name in ("Pass@1", "Pass@3"):
        rows = [[line.split() for line in of.splitlines() if line.startswith(f"{name}   ")]
                for of in (text, again)]  # fmt: skip
        assert rows[0] == rows[1] and len(rows[0]) == 1


def test_without_greedy_answers_pass_at_1_takes_the_place_of_acc_at_1(sampled, greedy):
    text = said("score", sampled)
    assert "Acc@1 is withheld (no greedy answers); Pass@1 takes its place" in text
    assert text.count("greedy answers") == 2  # once as a count, once as what is withheld
    assert "\nAcc@1" not in text and "Pass@3 - Pass@1" in text
    both = said("score", sampled, "--greedy", greedy)
    assert "withheld" not in both and "\nAcc@1" in both and "Pass@3 - Acc@1" in both
    assert "4 items, 12 sampled and 4 greedy answers" in both
    assert "The greedy answer is right for 75.0%" in both


def test_a_greedy_log_alone_has_no_pass_at_k(greedy, sampled):
    text = said("score", greedy)
    assert "Pass@K, support and the decision are withheld (no sampled answers)" in text
    assert "no decision: the log has no samples" in text
    assert "is sampled at temperature 0.7" in refused("score", sampled, "--greedy", sampled)


def test_without_options_there_is_no_uniform_floor(tmp_path):
    path = tmp_path / "a.csv"
    table_frame()[["item_id", "text", "gold"]].to_csv(path, index=False)
    text = said("score", path)
    assert "the uniform guess floor is withheld (no options)" in text
    assert "uniform floor" not in text and "label floor@3" in text


def test_uneven_samples_go_as_far_as_all_have_them(tmp_path):
    path = many(tmp_path / "a.csv", n=30, k=4)
    frame = pd.read_csv(path).iloc[1:]
    frame.to_csv(path, index=False)
    text = said("score", path)
    assert "items have 3 to 4 samples: K ends at 3, which all have; 29 of 30 items" in text
    assert "Pass@3" in text and "Pass@4" not in text


def test_differing_verdicts_are_counted_and_shown(sampled, tmp_path):
    samples = inspect_samples()
    samples[0]["scores"]["choice"]["value"] = "I"
    path = inspect_eval(tmp_path / "b.eval", inspect_header(), samples)
    text = said("score", path)
    assert "differ in 1 of 12: 1 only our reading calls right, 0 only the log" in text
    assert "  q1: log wrong, read as B, gold B: I weigh it. <answer>B</answer>" in text
    table = tmp_path / "items.csv"
    said("score", path, "--trust", "stored", "--per-item", table)
    assert pd.read_csv(table).set_index("item_id").correct["q1"] == 2
    assert "--trust x is unknown" in refused("score", path, "--trust", "x")


def test_a_series_is_a_table_of_steps(tmp_path):
    for step in (0, 5, 9):
        trl_frame(step).to_parquet(tmp_path / f"completions_{step:05d}.parquet")
    table = tmp_path / "items.csv"
    text = said("score", tmp_path, "--per-item", table)
    rows = [line.split()[:2] for line in text.splitlines() if line.strip()[:1].isdigit()]
    rows = [row for row in rows if row[0] in ("0", "5", "9")]
    assert rows == [["0", "4"], ["5", "4"], ["9", "4"]]
    assert "a series of 3 training steps, each another policy" in text
    assert set(pd.read_csv(table).step) == {9} and len(pd.read_csv(table)) == 4
    said("score", tmp_path, "--step", 0, "--per-item", table)
    assert set(pd.read_csv(table).step) == {0}
    assert "has no step 7; it has 0, 5, 9" in refused("score", tmp_path, "--step", 7)
    assert "is a series of 3 steps; compare the files" in refused("compare", tmp_path, tmp_path)


def test_all_right_and_few_items_decide_nothing(tmp_path):
    path = many(tmp_path / "a.csv", n=3, chance=1.0)
    text = said("diagnose", path)
    assert "too few items to say: 3 (items of one image count once), at least 20" in text
    score = said("score", path)
    line = next(line for line in score.splitlines() if line.startswith("Pass@4 "))
    value, low, high = line.replace("[", "").replace("]", "").replace(",", "").split()[1:]
    assert (value, high) == ("100.0%", "100.0") and 20 < float(low) < 60


def test_the_decision_and_what_a_budget_meets(tmp_path):
    path = many(tmp_path / "a.csv", n=200, k=8, chance=0.6)
    out = tmp_path / "d.json"
    text = said("diagnose", path, "--group", 4, "--steps", 10, "--prompts", 32, "--json", out)
    assert "All items: sharpen, because excess support" in text
    assert "and Pass@K exceeds Pass@1 by" in text
    assert "samples 1,280 completions" in text
    [log] = json.loads(out.read_text())["logs"]
    assert log["decisions"]["rows"][0]["action"] == "sharpen" and log["decisions"]["k"] == 4
    value, low, high = log["hits"]["hits"]
    assert low < value < high and 1280 * 0.55 < value < 1280 * 0.65
    assert "-k 9: some item has only 8 samples" in refused("diagnose", path, "-k", 9)
    assert "at least one of its group" in refused("diagnose", path, "--group", 0)


def test_models_that_ignore_the_picture_are_not_told_to_sharpen(tmp_path):
    path = tmp_path / "a.csv"
    always = {"options": "w|x|y|z", "text": "Answer: A"}
    rows = [{"item_id": i, "gold": "A" if i % 10 else "B"} | always
            for i in range(100) for _ in range(2)]  # fmt: skip
    pd.DataFrame(rows).to_csv(path, index=False)
    assert "labels are skewed" in said("diagnose", path)


def test_two_logs_are_compared_item_by_item_with_their_ledger(tmp_path):
    a = many(tmp_path / "a.csv", chance=0.7, seed=1)
    b = many(tmp_path / "b.csv", chance=0.2, seed=2)
    out = tmp_path / "c.json"
    text = said("compare", a, b, "--json", out)
    assert text.splitlines()[0] == "mcq, items of one side only: 0"
    assert "Ledger from A to B at K = 4: of 60 items" in text and "by chance" in text
    [found] = json.loads(out.read_text()).values()
    book = found["ledger"][0]
    assert book["kept"] + book["lost"] + book["new"] + book["never"] == 60
    row = found["rows"][0]
    assert row["metric"] == "pass@k" and row["low"] < row["value"] < row["high"] and row["p"] < 0.05


def test_logs_of_two_tools_on_the_same_items_are_compared(sampled, tmp_path):
    other = lines(tmp_path / "samples_x_2026-01-01T00-00-00.jsonl", lm_eval_rows())
    assert "items of one side only: 0" in said("compare", sampled, other)
    by_prompt = lines(tmp_path / "1.jsonl", verl_rows(1))  # no ids, the same questions
    others = [row | {"input": "Else?\nA. x\nB. y"} for row in verl_rows(2)]
    assert "share no item" in refused("compare", by_prompt, lines(tmp_path / "2.jsonl", others))
    swapped = lm_eval_rows()
    swapped[0]["doc"]["options"] = QUESTIONS[0].options[::-1]
    swapped[0]["target"] = "C"
    assert "two gold answers" in refused("compare", sampled, lines(other, swapped))


def test_several_logs_at_once(sampled, tmp_path):
    other = lines(tmp_path / "sub/samples_x_2026-01-01T00-00-00.jsonl", lm_eval_rows())
    table = tmp_path / "items.csv"
    text = said("score", sampled, other, "--per-item", table)
    assert f"{sampled}: inspect, bones" in text and f"{other}: lm-eval, x" in text
    assert pd.read_csv(table).log.tolist() == ["bones"] * 4 + ["x"] * 4
    assert "--greedy goes with one log" in refused("score", sampled, other, "--greedy", sampled)


def test_json_holds_everything_that_is_said(sampled, tmp_path):
    out = tmp_path / "r.json"
    said("score", sampled, "--json", out)
    [log] = json.loads(out.read_text())["logs"]
    assert log["format"] == "inspect" and log["counts"]["samples"] == 12
    assert log["solved"] == {"always": 1, "sometimes": 2, "never": 1}
    assert log["shares"]["right"] == 0.5 and len(log["items"]) == 4
    assert {row["metric"] for row in log["scores"]} >= {"pass@k", "guess_floor@k", "label_floor@k"}


def test_files_that_cannot_be_written_are_named(sampled, tmp_path):
    assert "there is no folder" in refused("score", sampled, "--json", tmp_path / "no" / "r.json")
    assert "is a folder: name a file" in refused("score", sampled, "--html", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sampled.eval"]


def test_texts_cannot_steer_the_terminal(tmp_path):
    path = tmp_path / "a.csv"
    frame = table_frame().assign(item_id="q\x1b[2J", text="\x1b[31mAnswer: A\x07", correct=True)
    frame.to_csv(path, index=False)
    text = said("score", path)
    assert "\x1b" not in text and "\x07" not in text
