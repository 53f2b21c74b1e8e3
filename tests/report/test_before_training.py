"""What is said of a base before training: claims in their world, dials, reach, gallery."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from medrl_core.report import claimed, dials, gallery, grids, labels, reach, results, sight
from medrl_core.report.results import Results
from medrl_core.score.intervals import Estimate

ESTIMATE = Estimate(0.25, 0.2, 0.3, 8)


def test_a_claim_number_counts_in_its_own_world_only(tmp_path):
    res = Results(tmp_path, notebook="02_support", study="toy")
    numbers = {"h2": ESTIMATE, "h2_blind": None}
    claimed.keep(res, numbers, ["strips:bloodmnist:x"], world="drawn", levels=["h2_blind"])
    res.save()
    kept = results.read(tmp_path)["numbers"]
    assert kept["h2"]["value"] is None and kept["h2_strips"]["value"] == 0.25
    assert kept["h2_blind"]["value"] is None and kept["h2_blind_strips"]["unit"] == "percent"
    claimed.keep(res, numbers, ["drawn:chest film", "drawn:head CT"], world="drawn")
    res.save()
    assert results.read(tmp_path)["numbers"]["h2"] == {
        "value": 0.25, "low": 0.2, "high": 0.3, "n": 8, "unit": "points",
    }  # fmt: skip


def test_groups_of_two_kinds_are_mixed():
    assert claimed.world_of(["drawn:chest film", "vqa:SLAKE"]) == "mixed"
    assert claimed.world_of(["mine.jsonl"]) == "own"


def test_one_group_a_cause_in_the_order_of_causes():
    asked = ["vqa:SLAKE", "drawn:blood smear", "drawn:chest film", "drawn:head CT"]
    assert dials.one_a_cause(asked) == ["drawn:chest film", "drawn:blood smear"]


def dial_table(**columns):
    table = {
        "group": ["one", "two", "three"], "cause": ["habit", "habit", "words"],
        "intended": [0.1, 0.01, 0.0], "value": [0.1, 0.001, 1e-5], "low": [0.05, 0.0, 0.0],
        "high": [0.2, 0.01, 1e-4], "floor": [0.001] * 3, "acc": [0.0, 0.9, 0.0],
        "information": [5.0, 5.0, 0.0],
    }  # fmt: skip
    return pd.DataFrame({**table, **columns})


def test_the_error_of_dials_is_in_powers_of_ten_and_leaves_dials_at_zero_out():
    assert dials.error(dial_table()) == pytest.approx(0.5)  # the median of 0 and 1
    assert "4.0 powers of ten" in dials.title(dial_table())
    assert "In 1 of 3 groups" in dials.finding(dial_table())
    assert "reaches from" in dials.title(dial_table(intended=np.nan))


def test_a_dial_figure_draws_each_group_once():
    fig = dials.dial_figure(dial_table())
    drawn = [line for line in fig.axes[0].lines if line.get_marker() in "os^Dv"]
    assert sum(len(line.get_xdata()) for line in drawn) == 3


def test_a_gallery_marks_wrong_words():
    row = {"picture": np.zeros((4, 4, 3)), "question": "Report.", "cause": "habit"}
    shown = pd.DataFrame([{**row, "right": "ring left", "says": "ring right"}])
    texts = [text.get_text() for text in gallery.gallery(shown).axes[1].texts]
    assert "ring" in texts and "[right]" in texts


def reached(group: str, **columns) -> reach.Reach:
    rows = {"greedy": 0.0, "vote": 0.0, "pass": 0.0, "pass_best": 0.0, "pass_blind": 0.0} | columns
    items = pd.DataFrame(rows, index=range(4))
    return reach.Reach(group, None, 1.0, None, items, floor=0.01, floor_labels=0.1)


def test_the_gap_is_to_the_better_of_greedy_and_majority_and_counts_habit_alone():
    chest = reached("drawn:chest film", **{"pass": 0.8, "greedy": 0.1, "vote": 0.3})
    noisy = reached("drawn:breast ultrasound", **{"pass": 0.9})  # habit and sight
    assert reach.by_habit([chest, noisy]) == [chest]
    assert reach.gap_items(chest).tolist() == pytest.approx([0.5] * 4)
    found = reach.claims([[chest, noisy]])
    assert found["h2"].value == pytest.approx(0.5)
    assert found["h2_floor"].value == pytest.approx(0.1)
    assert set(reach.claims([[noisy]]).values()) == {None}


def test_two_bases_count_the_same():
    first, second = (reached("drawn:chest film", **{"pass": p}) for p in (0.2, 0.6))
    assert reach.claims([[first], [second]])["h2"].value == pytest.approx(0.4)


def study(weak_p: float) -> labels.LabelStudy:
    class Answers:
        exact = True

        def __init__(self, p):
            self.p, self.right = np.full(4, p), np.array([p > 0.5] * 4)

        def pass_items(self, k):
            return self.p

    class Lab:
        k = 16

    made = labels.LabelStudy(Lab(), None, seeds=[1], labels=[4, 64])
    before = reached("drawn:tissue slide")
    made.before["drawn:tissue slide"] = reach.Reach(
        **{**vars(before), "base": Answers(weak_p), "floor": 0.0}
    )
    made.after["drawn:tissue slide", labels.CLEAN, 64] = [Answers(0.75)]
    return made


def test_h4_counts_groups_that_were_weak_and_words_apart():
    found = study(0.005).claims()
    assert found["h4"].value == pytest.approx(0.745)
    assert found["h4_words"].value == pytest.approx(0.745)
    assert found["h4_shuffled"] is None and found["h4_sight"] is None
    strong = study(0.25).claims()
    assert strong["h4"] is None and strong["h4_words"].value == pytest.approx(0.5)


def test_controls_have_the_number_of_labels_nearest_to_64():
    assert labels.LabelStudy(None, None, seeds=[1], labels=[4, 16, 256]).controls_at == 16


def test_tower_claims_are_paired_differences_and_none_without_their_tower():
    eyes = sight.Towers(None, "drawn:chest film", labels=4, completions=64, n_train=8)
    eyes.slot_names["g"] = ["kind"]
    for tower, right in {"base": [1, 1, 0], "pixels": [1, 0, 0], "random": [0, 0, 0]}.items():
        eyes.right["g", tower, 1] = np.array(right, dtype=bool)[:, None]
    found = eyes.claims()
    assert found["h1_base"].value == pytest.approx(1 / 3)  # against pixels, the better of the two
    assert found["h1"] is None and found["h1_cnn"] is None
    for seed, right in ((1, [1, 0, 0]), (2, [0, 0, 0])):
        eyes.right["g", "rl", seed] = np.array(right, dtype=bool)[:, None]
    assert eyes.claims()["h1_rl"].value == pytest.approx(-0.5)


def recorded_runs(**of_labels) -> grids.Grid:
    """Seeds 100 and 101 of one modality by words, weak before, and one that was strong."""
    before, rows = [0.0, 0.0], []
    for modality, p in (("tissue slide", 0.001), ("chest film", 0.2)):
        for arm, seed, after in (("sft", 100, [1.0, 0.0]), ("sft", 101, [1.0, 1.0]),
                                 ("shuffled", 100, [0.0, 0.0]), ("shuffled", 101, [0.0, 0.0])):
            rows.append({
                "run": len(rows), "base": 11, "modality": modality, "arm": arm, "seed": seed,
                "labels": 64, "completions": 0, "first": "", "mixed": 0.0, "base_p": p,
                "base_test_p": before, "test_p": after, **of_labels,
            })  # fmt: skip
    return grids.Grid("drawn", {"runs": pd.DataFrame(rows)})


def test_h4_of_recorded_trainings_is_over_weak_modalities(monkeypatch):
    monkeypatch.setattr(labels, "trainings", lambda *_: pd.DataFrame({"run": range(8)}))
    monkeypatch.setattr(labels, "change", lambda *_: None)
    found = labels.recorded(recorded_runs())
    # Half of the items at one seed, all at the other, from none: 3/4 of Pass@16; the floor is the
    # same before and after, and 1 - (1 - 1/1152)^16 of the room lies below it.
    room = (1 - 1 / 1152) ** 16
    assert found["h4"].value == pytest.approx(0.75 / room)
    assert found["h4_words"].value == pytest.approx(0.75 / room)
    assert found["h4_shuffled"].value == 0 and found["h4_sight"] is None
    other = labels.recorded(recorded_runs(mixed=0.2))
    assert other["h4"] is None and labels.recorded(grids.Grid("drawn"))["h4"] is None
