"""`medrl score A B`, `medrl diagnose` and `medrl probe`, and what each of them refuses.

The model is tiny and random, so that nothing here rests on what it answers.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tiny
from conftest import ROOT
from made_rollouts import rollouts
from medrl.commands import scores as module
from medrl_core.models import hub
from medrl_core.sample.rollouts import COLUMNS, RolloutStore
from medrl_core.vision import probe
from running import medrl, said


def refused(*words) -> str:
    """The one line of a refusal; progress of loading a model may stand before it."""
    done = medrl(*words)
    assert done.exit_code == 2, done.output
    assert done.stdout == "" and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("medrl: ")
    return line


def keep(folder: Path, *groups) -> Path:
    """A folder with rollouts of the helper of test_score."""
    more = {"seed": 0, "text": "", "n_tokens": 1, "logprob": -1.0, "model": "m"}
    rows = [more | row for group in groups for row in group]
    RolloutStore(folder).append([{name: row[name] for name in COLUMNS} for row in rows])
    return folder


def many(dataset, greedy, samples, n=12, **more):
    """The same answers to n items of a data set, A for right, with the letters of each item turned.

    So no label is commoner than another.
    """
    def turned(answer, i):
        return "ABCD"[("ABCD".index(answer) + i) % 4] if answer in list("ABCD") else answer

    return [
        row for i in range(n)
        for row in rollouts(
            f"{dataset}/test/{i}", turned(greedy, i), [turned(one, i) for one in samples],
            dataset=dataset, gold=turned("A", i), **more,
        )
    ]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return hub.save(*tiny.build(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    """A JSONL file of the official kit's format: two questions, an mcq and an open one."""
    folder = tmp_path_factory.mktemp("items")
    for index, item in enumerate(tiny.items("open", 2)):
        item.images[0].save(folder / f"{index}.png")
    choice = {"options": {"A": "cat", "B": "dog"}, "answer_label": "B", "answer": "dog"}
    lines = [
        {"dataset_name": name, "dataset_index": 0, "image_paths": [f"{i}.png"]}
        | {"question": "Is it?"} | answer
        for i, (name, answer) in enumerate([("toy", choice), ("plain", {"answer": "yes"})])
    ]
    (folder / "items.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return folder / "items.jsonl"


def test_score_writes_three_equal_files_and_tells_the_last_k(tmp_path):
    folder = keep(tmp_path, many("d", "A", ["A", "A", "B"]), many("e", "B", ["B", "B", "B"]))
    text = said("score", folder)
    table = pd.read_parquet(folder / "scores.parquet")
    assert sorted(set(table.k)) == [0, 1, 2, 3]
    as_csv = pd.read_csv(folder / "scores.csv")
    pd.testing.assert_frame_equal(as_csv, table, check_dtype=False)
    as_json = pd.DataFrame(json.loads((folder / "scores.json").read_text()))
    pd.testing.assert_frame_equal(as_json[table.columns], table, check_dtype=False)
    assert not list(folder.glob(".*"))
    lines = text.splitlines()
    assert lines[0] == "m, mcq, temperature=1.0,top_p=1.0,top_k=0"
    assert "Pass@3" in lines[1] and "Acc@1" in lines[1] and "excess support@3" in lines[1]
    assert lines[2].split()[:4] == ["all", "items", "24", "50.0%"]
    assert lines[3].split()[:3] == ["d", "12", "100.0%"]


def test_score_keeps_models_formats_and_samplings_apart(tmp_path):
    hot = {"decoding": "temperature=2,top_p=1,top_k=0"}
    folder = keep(
        tmp_path,
        many("d", "A", ["A", "B"]),
        [row | hot for row in many("d", "-", ["B", "B"])],
        many("q", "A", ["A"], answer_format="open"),
        many("d", "B", ["B", "B"], model="other", model_hash="h2"),
    )
    said("score", folder)
    table = pd.read_csv(folder / "scores.csv")
    overall = table[(table.scope == "overall") & table.metric.isin(["acc@1", "gap@k"])]
    kinds = overall.groupby(["model", "answer_format", "decoding", "k"]).value.last()
    first = "temperature=1.0,top_p=1.0,top_k=0"
    # The greedy answers of the model count beside both of its samplings: Pass@2 less Acc@1.
    assert kinds["m", "mcq", first, 2] == 0
    assert kinds["m", "mcq", hot["decoding"], 2] == -1
    assert kinds["m", "open", first, 1] == 0
    assert kinds["other", "mcq", first, 2] == 0


def test_equal_weights_under_two_names_are_one_model(tmp_path):
    copied = [row | {"model": "copy", "sample_index": 1} for row in many("d", "-", ["B"])]
    folder = keep(tmp_path, many("d", "A", ["A"]), copied)
    said("score", folder)
    table = pd.read_csv(folder / "scores.csv")
    assert set(table.model) == {"copy"} and set(table.k) == {0, 1, 2}


def test_nothing_is_half_written(tmp_path, monkeypatch):
    folder = keep(tmp_path, many("d", "A", ["A"]))

    def full(self, *args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(pd.DataFrame, "to_json", full)
    with pytest.raises(OSError, match="no space"):
        module.score_folder(folder)
    assert [path.name for path in folder.iterdir()] == ["rollouts"]


def test_two_folders_are_compared_item_by_item(tmp_path):
    a = keep(tmp_path / "a", many("d", "A", ["A"]), many("e", "A", ["B"]))
    b = keep(tmp_path / "b", many("d", "B", ["A"], model="n", model_hash="h2"),
             many("e", "A", ["B"], n=10, model="n", model_hash="h2"))
    lines = said("compare", a, b).splitlines()
    assert lines[0] == "mcq, items of one side only: 2"
    assert lines[1].startswith("A: m, ") and lines[2].startswith("B: n, ")
    assert lines[-3:] == [
        f"{name}: the Pass@K curves do not cross" for name in ("all items", "d", "e")
    ]
    assert lines[-4].startswith("Ledger from A to B at K = 1: of 22 items 12 kept, 0 lost")
    assert len(lines) == 4 + 6 + 1 + 3  # all items, d and e, each with Acc@1 and Pass@1
    d = next(line for line in lines if line.split()[0] == "d" and "Acc@1" in line)
    # Twelve items differ the same way: p = 2 / 2^12 = 0.0005; six tests.
    value, low, high, *p = d.replace("[", "").replace("]", "").replace(",", "").split()[3:]
    assert (value, high, p) == ("+100.0", "+100.0", ["0.0005", "0.0029"]) and 40 < float(low) < 80


def test_the_k_at_which_the_curves_cross_is_told(tmp_path):
    half = [row for i in range(12) for row in rollouts(f"i{i}", "A", ["A" if i % 2 else "B"] * 4)]
    broad = [row for i in range(12) for row in rollouts(f"i{i}", "A", ["A", "B", "B", "B"])]
    a, b = keep(tmp_path / "a", half), keep(tmp_path / "b", broad)
    said_of_all = next(line for line in said("compare", a, b).splitlines() if "cross at" in line)
    assert said_of_all.startswith("all items: the Pass@K curves cross at K = 3 [2, 4], in ")
    text = said("score", b)
    assert "K to 50%" in text and "majority vote" in text and "Acc@1 / Pass@4" in text
    table = pd.read_csv(b / "scores.csv")
    assert set(table.value[table.metric == "k_to@0.5"]) == {2}
    assert set(table.k[table.metric == "pass@k"]) == {1, 2, 3, 4}


def test_folders_that_cannot_be_compared_are_refused(tmp_path):
    a = keep(tmp_path / "a", many("d", "A", ["A"]))
    two = keep(tmp_path / "two", many("d", "A", ["A"]), many("d", "A", ["A"], model_hash="h2"))
    opened = keep(tmp_path / "open", many("d", "A", ["A"], answer_format="open"))
    assert "holds several models" in refused("compare", a, two)
    assert "share no answer format" in refused("compare", a, opened)
    assert "there is no " in refused("compare", a, tmp_path / "nowhere")


def test_diagnose_says_one_sentence_a_data_set(tmp_path):
    folder = keep(
        tmp_path,
        many("sharp", "B", ["A", "A"], n=60, n_options=4),
        many("weak", "B", ["B", "B"], n=60, n_options=4),
        many("done", "A", ["A", "A"], n=60, n_options=4),
    )
    lines = said("diagnose", folder, "-k", 2).splitlines()
    assert lines[-1] == str(folder / "diagnosis.json")
    assert lines[-2].startswith("A run of 200 steps of 64 prompts of 8 answers samples 102,400")
    assert all(line.startswith("  the paper's rule") for line in lines[1:-2:2])
    found = {line.split(" ")[0]: line for line in lines[:-2:2]}
    assert {name: line.split("): ")[1].split(",")[0] for name, line in found.items()} == {
        "sharp": "sharpen", "weak": "bridge", "done": "stop", "m": "sharpen"}
    assert "because excess support -0.78 [-0.78, -0.7" in found["weak"]
    told = json.loads((folder / "diagnosis.json").read_text())
    assert (told["k"], told["tau_support"], told["delta_gap"]) == (2, 0.2, 0.1)
    assert [(row["scope"], row["name"], row["paper_action"]) for row in told["decisions"]] == [
        ("dataset", "done", "stop"), ("dataset", "sharp", "sharpen"), ("dataset", "weak", "bridge"),
        ("modality", "m", "sharpen"),  # of all three data sets
    ]
    assert [row["more_items"] for row in told["decisions"]] == [0, 0, 0, 0]
    few = keep(tmp_path / "few", many("few", "B", ["A", "A"], n=19, n_options=4))
    assert "undecided, because too few items to say: 19" in said("diagnose", few, "-k", 2)


@pytest.mark.parametrize(("words", "why"), [
    (["-k", 8], "Pass@8 needs as many samples"),
    (["-k", 2, "--tau-support", 1.5], "tau_support must lie in [0, 1]"),
])
def test_diagnose_refuses_and_writes_nothing(tmp_path, words, why):
    folder = keep(tmp_path, many("d", "A", ["A", "B"]))
    assert why in refused("diagnose", folder, *words)
    assert not (folder / "diagnosis.json").exists()
    missing = keep(tmp_path / "sampled", many("d", "-", ["A", "B"]))
    assert "lack" in refused("diagnose", missing, "-k", 2)


def test_evaluate_then_score_and_diagnose(model, items, tmp_path):
    out = tmp_path / "out"
    words = ["evaluate", "--model", model, "--items", items, "--out", out, "--max-new-tokens", 4]
    first = said(*words, "-k", 1)
    assert f"{model}, mcq," in first and f"{model}, closed," in first
    assert "Pass@2" in said(*words, "-k", 2)  # goes on where it stopped
    assert len(pd.read_parquet(out / "rollouts.parquet")) == 2 * 3
    assert "undecided" in said("diagnose", out, "-k", 2)  # one image tells nothing for sure
    kept = (out / "rollouts.parquet").read_bytes()
    assert "seed 0, asked for is seed 1" in refused(*words, "-k", 2, "--seed", 1)
    reworded = items.with_name("reworded.jsonl")
    reworded.write_text(items.read_text().replace("Is it?", "Was it?"))
    words[words.index(items)] = reworded
    said(*words, "-k", 2)  # other prompts are sampled anew, the answers to the old ones wait aside
    assert (out / "rollouts.parquet").read_bytes() != kept
    words[words.index(reworded)] = items
    said(*words, "-k", 2)
    assert (out / "rollouts.parquet").read_bytes() == kept


def test_what_was_judged_is_judged_again_and_scores_cover_the_items_given(model, items, tmp_path):
    """Golds of all items swapped, then one of two items: a fresh folder says the same."""
    out, other = tmp_path / "out", items.with_name("other.jsonl")
    words = ["--model", model, "-k", 2, "--max-new-tokens", 4]
    said("evaluate", *words, "--items", items, "--out", out)
    swapped = items.read_text().replace('"B", "answer": "dog"', '"A", "answer": "cat"')
    other.write_text(swapped.replace('"answer": "yes"', '"answer": "no"'))
    again = said("evaluate", *words, "--items", other, "--out", out)
    fresh = said("evaluate", *words, "--items", other, "--out", tmp_path / "fresh")
    assert again.splitlines()[:-1] == fresh.splitlines()[:-1]
    frames = [pd.read_parquet(folder / "rollouts.parquet") for folder in (out, tmp_path / "fresh")]
    pd.testing.assert_frame_equal(*(frame.drop(columns="logprob") for frame in frames))
    assert set(frames[0].gold) == {"A", "no"}
    other.write_text(swapped.splitlines()[0])
    shorter = said("evaluate", *words, "--items", other, "--out", out)
    assert "closed" not in shorter and "mcq" in shorter
    assert set(pd.read_csv(out / "scores.csv").query("scope == 'dataset'").name) == {"toy"}
    assert pd.read_parquet(out / "rollouts.parquet").item_id.nunique() == 1
    assert len(RolloutStore(out).keys()) == 2 * 3  # what was sampled is still there


def test_bad_lines_are_listed_before_anything_and_can_be_left_out(model, items, tmp_path):
    words = ["evaluate", "--model", "no/such/model", "--items", items.with_name("bad.jsonl")]
    words += ["--out", tmp_path / "out", "-k", 1, "--max-new-tokens", 4]
    good = items.read_text().splitlines()
    items.with_name("bad.jsonl").write_text("\n".join(["{", good[0], "[]", good[1]]))
    line = refused(*words)  # before the model is looked for
    assert "2 bad: line 1: no JSON; line 3: no JSON object: fix them" in line
    assert "--skip-bad" in line and not (tmp_path / "out").exists()
    done = medrl(*words, "--skip-bad", "--model", model)
    assert done.exit_code == 0 and done.stderr.splitlines()[0].endswith(
        "bad.jsonl: 2 bad: line 1: no JSON; line 3: no JSON object"
    )
    assert pd.read_parquet(tmp_path / "out" / "rollouts.parquet").item_id.nunique() == 2


def test_exact_support_stands_beside_the_sampled_one(items, tmp_path):
    words = ["evaluate", "--model", "data/drawn-base", "--items", items, "--out", tmp_path / "out"]
    words += ["-k", 4, "--max-new-tokens", 40]
    assert "exact, at least" not in said(*words)
    text = said(*words, "--exact")
    # The drawn base names no option after its reasoning, so there is no column of that.
    assert all(title in text for title in ("exact, at least Pass@4", "at most Pass@4"))
    assert said("score", tmp_path / "out") == text  # from the kept rows, without the model
    table = pd.read_parquet(tmp_path / "out" / "exact.parquet")
    assert set(table.item_id) == {"toy/test/0"} and set(table.option) == {"A", "B"}
    assert "take top_p 1" in refused(*words, "--exact", "--top-p", 0.9)


@pytest.mark.parametrize(("change", "why"), [
    (("--model", "no/such/model"), "model 'no/such/model' cannot be loaded"),
    (("--items", "nowhere.jsonl"), "nowhere.jsonl is not there"),
    (("--temperature", "0"), "temperature 0.0: must be above 0"),
    (("--top-p", "2"), "top_p 2.0"),
])
def test_evaluate_refuses_before_it_writes(model, items, tmp_path, monkeypatch, change, why):
    monkeypatch.chdir(tmp_path)
    words = ["evaluate", "--model", model, "--items", items, "--out", "out", *change]
    assert why in refused(*words)
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_a_file_is_refused(model, items, tmp_path):
    (tmp_path / "file").touch()
    words = ["evaluate", "--model", model, "--items", items, "--out", tmp_path / "file"]
    assert "is a file: name a folder" in refused(*words)


def test_probe_says_word_by_word_what_is_read_and_the_same_again(model):
    words = ["--data", "drawn:chest film", "--n-train", 24, "--n-test", 12]
    text = said("probe", "--model", model, *words)
    lines = text.splitlines()
    assert lines[0] == f"{model} on chest film, 12 test items, words read in %"
    assert lines[1].split() == ["value", "low", "high", "floor"]
    assert [line.split()[0] for line in lines[3:]] == [
        "kind", "side", "level", "size", "density", "count", "all",
    ]
    assert text == said("probe", "--model", model, *words)
    assert text != said("probe", "--model", "pixels", *words)


def test_probe_on_real_breastmnist_in_one_command():
    root = os.environ.get("MEDMNIST_ROOT") or ROOT.parent / "shared/medmnist"
    if not (Path(root) / "breastmnist.npz").is_file():
        pytest.skip(f"no breastmnist.npz in {root}: set MEDMNIST_ROOT to run on real images")
    text = said("probe", "--model", ROOT / "data/drawn-base", "--data", "breastmnist",
                "--root", root)
    first, header, *rows = text.splitlines()
    assert "on breastmnist (official), 156 test images" in first
    assert header.split() == ["metric", "linear", "paper", "knn", "commonest", "class"]
    assert [row.split()[0] for row in rows] == ["accuracy", "auc", "balanced_accuracy", "ece"]
    assert all(row.count("[") == 3 for row in rows[:3]) and "[" not in rows[3]
    accuracy = float(rows[0].split()[1])
    assert 114 / 156 < accuracy < 1  # more than always naming the commonest class


@pytest.mark.parametrize(("words", "why"), [
    (["--model", "pixels", "--data", "drawn:liver"], "liver"),
    (["--model", "pixels", "--data", "liver"], "no data set 'liver'"),
    (["--model", "pca:9999", "--data", "drawn:chest film"], "number of components"),
    (["--model", "random", "--data", "drawn:chest film", "--layer", "top"], "layer 'top'"),
    (["--model", "resnet18", "--data", "drawn:chest film"], "resnet18 learns one label"),
])
def test_probe_refuses(words, why):
    assert why in refused("probe", *words, "--n-train", 24, "--n-test", 12)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_metric_intervals_agree_with_metrics_on_drawn_images(task):
    rng = np.random.default_rng(1)
    n, classes = 40, {"binary": 2, "multiclass": 3, "multilabel": 3}[task]
    labels = rng.integers(2, size=(n, 3)) if task == "multilabel" else rng.integers(classes, size=n)
    scores = rng.random((n, classes)).round(1)  # with ties
    if task != "multilabel":
        scores = (scores + 0.05) / (scores + 0.05).sum(axis=1, keepdims=True)
    found = probe.metric_intervals(scores, labels, task, draws=100, seed=5).set_index("metric")
    assert dict(found.value) == probe.metrics(scores, labels, task)
    weights = np.random.default_rng(5).multinomial(n, np.full(n, 1 / n), 100)
    drawn = [np.repeat(np.arange(n), row) for row in weights]
    again = pd.DataFrame(probe.metrics(scores[rows], labels[rows], task) for rows in drawn)
    for name in ("auc", "balanced_accuracy"):
        expected = again[name].quantile([0.025, 0.975])
        assert tuple(found.loc[name, ["low", "high"]]) == pytest.approx(tuple(expected)), name
    assert found.loc["ece", ["low", "high"]].isna().all()
