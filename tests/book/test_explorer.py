"""The boundary explorer says what the decision rule says, in a real browser, by keyboard too."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from made_runs import ROOT, raw_html, write_rollouts, write_run
from medrl.book import explorer
from medrl.book.chapter import Chapter
from medrl_core.sample import rollouts
from medrl_core.score.boundary import decide, paper_rule
from medrl_core.score.intervals import Estimate
from medrl_core.score.statistics import score

# Each item: its greedy answer, then four samples. One set for each decision at usual thresholds.
SETS = {
    "low": [[0, 0, 0, 0, 0]] * 12,
    "full": [[1, 1, 1, 1, 1]] * 12,
    "hidden": [[0, 1, 1, 0, 1]] * 12,
    "mixed": [[1, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]] * 3,
    "one item": [[0, 1, 0, 0, 0]],  # no interval
}
# Sets each combination in the form as a reader would, and reads what the page then says.
DRIVE = """([modalities, ks, taus, deltas]) => {
  const form = document.getElementById("explorer"), said = [];
  const put = (name, value) => {
    form.elements[name].value = value;
    form.elements[name].dispatchEvent(new Event("input", { bubbles: true }));
  };
  for (const modality of modalities) {
    put("modality", modality);
    for (const k of ks) {
      put("k", k);
      for (const tau of taus) {
        put("tau", tau);
        for (const delta of deltas) {
          put("delta", delta);
          said.push([modality, k, tau, delta, form.elements.decision.dataset.action,
            form.querySelector(".paper").dataset.action]);
        }
      }
    }
  }
  return said;
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("explorer")
    run = top / "runs/toy/02_support"
    write_run(run, "toy", "02_support")
    write_rollouts(run, SETS)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["parameters"] = {"seed": 0}
    (run / "manifest.json").write_text(json.dumps(manifest))
    explorer.write(Chapter("toy", top / "runs", top / "records", ROOT / "data"), top / "explore")
    shutil.copy(ROOT / "book/extra/explore/explorer.js", top / "explore")
    shutil.copy(ROOT / "book/_static/book.css", top)
    head = '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="book.css">'
    (top / "index.html").write_text(head + raw_html("explore.md"))
    return top


def cases(folder: Path) -> list[dict]:
    text = (folder / "explore/scores.js").read_text()
    return json.loads(text.removeprefix("window.medrlScores = ").removesuffix(";\n"))["cases"]


def test_the_numbers_are_those_of_the_scores(folder: Path) -> None:
    found = score(rollouts.read(folder / "runs/toy/02_support"))
    found = found[found.scope == "dataset"].set_index(["name", "metric", "k"])
    assert len(cases(folder)) == len(SETS)
    for case in cases(folder):
        name = re.search(r"\((.*)\)", case["modality"])[1]
        assert case["n"] == len(SETS[name])
        assert list(case["k"]) == ["1", "2", "4"]
        for k, numbers in case["k"].items():
            wanted = [
                found.loc[(name, metric, int(k)), end]
                for metric in ("pass@k", "excess_support@k", "gap@k")
                for end in ("value", "low", "high")
            ]
            wanted.append(found.loc[(name, "guess_floor@k", int(k)), "value"])
            numbers = [float("nan") if number is None else number for number in numbers]
            assert numbers == pytest.approx(wanted, abs=1e-6, nan_ok=True)


def test_the_page_decides_as_the_rule_does(page: Page, folder: Path) -> None:
    known = {case["modality"]: case for case in cases(folder)}
    steps = [n / 10 for n in range(11)]
    said = page.evaluate(DRIVE, [list(known), [1, 2, 4], steps, steps])
    assert len(said) == len(SETS) * 3 * 11 * 11
    nan = float("nan")
    for modality, k, tau, delta, ours, papers in said:
        case = known[modality]
        numbers = [nan if number is None else number for number in case["k"][str(k)]]
        support, gap = (Estimate(*numbers[at : at + 3], case["n"]) for at in (3, 6))
        limits = {"tau_support": tau, "delta_gap": delta}
        assert ours == decide(support, gap, **limits).action, (modality, k, tau, delta)
        assert papers == paper_rule(numbers[0], case["acc"][0], **limits).action
    assert {one[4] for one in said} == {"bridge", "sharpen", "stop", "undecided"}


def test_a_key_moves_a_threshold_and_the_decision_follows(page: Page) -> None:
    page.get_by_label("Modality").select_option("blood smear (full)")
    decision = page.locator("output[name=decision]")
    # No gap in any item still leaves a gap of .11 possible, which is over the .1 that starts.
    expect(decision).to_have_text(re.compile("^undecided: "))
    slider = page.get_by_label("delta_gap")
    slider.focus()
    page.keyboard.press("End")
    expect(decision).to_have_text(re.compile("^stop: "))
    page.keyboard.press("Home")
    expect(decision).to_have_text(re.compile("^undecided: "))
    page.get_by_role("button", name="Back to the book's values").press("Enter")
    expect(slider).to_have_value("0.1")


def test_the_curves_have_size_and_say_what_they_show(page: Page) -> None:
    for name in ("curve", "rule"):
        chart = page.locator(f"[data-chart={name}]")
        expect(chart.locator("svg .mark-rule path, svg .mark-rule line").first).to_be_attached()
        assert chart.locator("svg").bounding_box()["width"] > 200
    chart = page.locator("[data-chart=curve]")
    before = chart.locator("svg").inner_html()
    page.get_by_label("Modality").select_option("blood smear (low)")
    expect(chart).to_have_attribute("aria-label", re.compile("Pass@K is 0.00"))
    page.wait_for_function(
        "before => document.querySelector('[data-chart=curve] svg').innerHTML !== before",
        arg=before,
    )


def test_without_javascript_the_page_says_what_to_do(browser: Browser, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "index.html").as_uri())
    expect(page.locator("#explorer")).to_be_hidden()
    expect(page.get_by_text("This page needs JavaScript")).to_be_visible()
    context.close()
