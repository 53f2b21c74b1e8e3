"""Real lines, files and words, changed at random: what reads them gives a value or one line.

`pytest tests/commands/test_fuzz.py --faults FILE` tries tens of thousands of each.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import ROOT
from made_runs import write_run
from medrl.studies import manifest, parameters, plan, sweep
from medrl_core import plain
from medrl_core.data import own
from medrl_core.data.own import read_items
from medrl_core.data.rows import Row
from medrl_core.errors import UserError
from medrl_core.report import results
from medrl_core.score.parsing import format_ok, parse

# What JSON, YAML and a careless reader take for more than a sign, and the values around limits.
SIGNS = ["{", "}", "[", "]", '"', "'", ":", ",", "\\", "\n", "\r", "\t", "\0", "#", "&a ", "*a ",
         "!", "!!int ", "!!python/name:os.system ", "<<: ", "|", ">", "%", "@", "`", "- ", "? ",
         "null", "true", "NaN", "Infinity", "-", "1e999", "1e-4", "0x", "9" * 30, "9" * 5000,
         "2001-99-99", "12:61:99", "\ufeff", "\u2028", "\x85", "\N{ROCKET}", "\ud800", "../",
         "/etc/passwd", "~", "[" * 1100, "run:", "=", " ", ""]  # fmt: skip
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6),
    st.sampled_from(SIGNS), st.sampled_from([[], {}, [[]], [None], {"A": None}, {"": {}}, [{}, 1]]),
)  # fmt: skip
NEW = st.sampled_from(SIGNS) | st.text(max_size=3)
EDITS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 6), NEW), max_size=4)


def edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    """Put other signs in place of a few."""
    for place, length, new in edits:
        place %= len(text) + 1
        text = text[:place] + new + text[place + length :]
    return text


def as_bytes(text: str) -> bytes:
    """Signs that UTF-8 does not hold are left as the bytes that a damaged file would have."""
    return text.encode("utf-8", "surrogatepass")


def a_value_or_one_line(call: Callable[[], object]) -> None:
    """Call it; anything but a value or a UserError of one line fails."""
    try:
        call()
    except UserError as error:
        said = str(error)
        assert said and said.isprintable(), repr(said)[:300]


def fuzz(tried, *strategies, many=20_000):
    """Decorate a function of one example: run it often, each counted as tried."""

    def run(one):
        @settings(max_examples=tried.times(120, many), derandomize=True)
        @given(st.tuples(*strategies))
        def example(drawn):
            with tried():
                one(*drawn)

        example()

    return run


CASES = yaml.safe_load((ROOT / "tests/score/parsing_cases.yaml").read_text(encoding="utf-8"))


@pytest.mark.fault(
    "Fuzzed",
    "the parser on real completions, changed at random",
    "never an error",
)
def test_the_parser(tried):
    @fuzz(tried, st.sampled_from(CASES["cases"]), EDITS, st.integers(1, 40))
    def _(case, edits, times):
        text = edited(case[1] * times, edits)
        item = CASES["items"][case[0]]
        answer, rule = parse(text, **item)
        format_ok(text)
        assert rule and answer != ""
        if item["answer_format"] == "mcq" and answer is not None:
            assert answer in string.ascii_uppercase[: len(item["options"])]


LINE = {"dataset_name": "pmc_vqa", "dataset_index": 7, "image_paths": ["images/one.png"],
        "question": "Which organ?", "options": {"A": "liver", "B": "heart"}, "answer_label": "B",
        "answer": "Heart"}  # fmt: skip


@pytest.fixture
def items(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images/one.png")
    return tmp_path


def changed(row: dict, odd: list[tuple[int, object]]) -> dict:
    """Put odd values in place of a row's own."""
    names = list(row)
    return row | {names[place % len(names)]: value for place, value in odd}


ROW = st.lists(st.tuples(st.integers(0, 20), ODD), max_size=2)


@pytest.mark.fault(
    "Fuzzed",
    "JSONL of the official kit, lines and values changed at random",
    "a value, or one line that says what is wrong",
)
@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.filterwarnings("ignore:left out")
def test_jsonl(items, tried, skip_bad):
    path = items / "items.jsonl"

    @fuzz(tried, ROW, EDITS, many=10_000)
    def _(odd, edits):
        whole = json.dumps(LINE)
        text = edited(json.dumps(changed(LINE, odd)) + "\n" + whole.replace("7", "8"), edits)
        path.write_bytes(as_bytes(text))
        a_value_or_one_line(lambda: read_items(path, skip_bad=skip_bad))


@pytest.mark.fault(
    "Fuzzed",
    "VQA-RAD's file, signs and values changed at random",
    "a value, or one line that says what is wrong",
)
def test_vqa_rad(items, tried):
    row = {"id": 3, "image": "images/one.png", "question": "is it?", "answer": "yes"}

    @fuzz(tried, ROW, EDITS)
    def _(odd, edits):
        text = edited(json.dumps([changed(row, odd), row]), edits)
        (items / "test.json").write_bytes(as_bytes(text))
        a_value_or_one_line(lambda: read_items(items / "test.json"))


HOME_ROWS = {
    "PathVQA": {"image": {"bytes": None, "path": "images/one.png"}, "question": "Is it?",
                "answer": "yes"},
    "SLAKE": {"qid": 7, "img_name": "images/one.png", "q_lang": "en", "question": "Which?",
              "answer": "Liver"},
    "MMMU-medical": {"id": "1", "question": "<image 1> What?", "answer": "A",
                     "options": "['a', 'b']", "question_type": "multiple-choice",
                     "image_1": {"path": "images/one.png"}},
    "MedXpertQA-MM": {"id": "MM-1", "question": "Which?\nAnswer Choices: (A) a", "label": "B",
                      "options": {"A": "wait", "B": "act"}, "images": ["one.png"]},
    "PMC-VQA": {"Figure_path": "one.png", "Question": "What?", "Answer": "a", "Answer_label": "A",
                "Choice A": "A:a", "Choice B": "b", "Choice C": "c", "Choice D": "d"},
    "VQA-RAD": {"images": ["images/one.png"], "question": "Is it?",
                "options": "{'A': 'y', 'B': 'n'}", "answer_label": "B", "answer": "n",
                "dataset_name": "vqa_rad_closed", "dataset_index": 1},
}  # fmt: skip


@pytest.mark.fault(
    "Fuzzed",
    "rows of the six benchmarks' homes, values changed at random",
    "a value, or one line that says what is wrong",
)
@pytest.mark.parametrize("benchmark", HOME_ROWS)
def test_rows_as_published(items, tried, monkeypatch, benchmark):
    given = []
    monkeypatch.setattr(
        own, "rows",
        lambda *_, **__: iter([Row(one, "", "row", items) for one in given]),
    )
    source = str(items / "x.json")
    given[:] = [HOME_ROWS[benchmark]]
    assert len(read_items(source, name=benchmark)) == 1

    @fuzz(tried, ROW, st.booleans(), many=4_000)
    def _(odd, left_out):
        row = changed(HOME_ROWS[benchmark], odd)
        if left_out:
            row.pop(next(iter(row)))
        given[:] = [row, HOME_ROWS[benchmark]]
        a_value_or_one_line(lambda: read_items(source, name=benchmark))


WORDS = st.sampled_from(
    sorted({name for nb in parameters.NOTEBOOKS for name in parameters.defaults(nb)})
)


@pytest.mark.fault(
    "Fuzzed",
    "words of `-p` for each notebook, values changed at random",
    "a value, or one line that says what is wrong",
)
def test_words_of_p(tried):
    @fuzz(tried, st.sampled_from(sorted(parameters.NOTEBOOKS)), WORDS, ODD, EDITS)
    def _(notebook, name, odd, edits):
        usual = parameters.defaults(notebook)
        value = usual.get(name, odd) if edits else odd
        word = edited(f"{name}={json.dumps(value)}", edits)

        def read():
            given = plan.assignments([word])
            values = {k: plain.parse_yaml(text, f"-p {k}={text}") for k, text in given.items()}
            return parameters.check(notebook, values)

        a_value_or_one_line(read)


@pytest.mark.fault(
    "Fuzzed",
    "words of `medrl sweep`, lists and values changed at random",
    "a value, or one line that says what is wrong",
)
def test_words_of_a_sweep(toy, tried):
    loaded = plan.load_study("toy")

    @fuzz(tried, WORDS, st.lists(ODD, max_size=3), EDITS)
    def _(name, odd, edits):
        word = edited(f"{name}={','.join(map(json.dumps, odd))}", edits)
        a_value_or_one_line(lambda: sweep.points(loaded, sweep.read_words("02_support", [word])))


STUDIES = [(ROOT / f"notebooks/studies/{name}.yaml").read_text() for name in ("smoke", "micro")]


@pytest.mark.fault(
    "Fuzzed",
    "the YAML of real studies, signs changed at random",
    "a value, or one line that says what is wrong",
)
def test_yaml_of_a_study(toy, tried):
    path = Path("notebooks/studies/toy.yaml")

    @fuzz(tried, st.sampled_from(STUDIES), EDITS)
    def _(text, edits):
        path.write_bytes(as_bytes(edited(text, edits)))
        a_value_or_one_line(lambda: plan.load_study("toy"))


@pytest.mark.fault(
    "Fuzzed",
    "YAML texts put together of YAML's own signs",
    "a value, or one line that says what is wrong",
)
def test_yaml(tried):
    @fuzz(tried, st.lists(st.sampled_from(SIGNS) | st.text(max_size=3), max_size=12).map("".join))
    def _(text):
        a_value_or_one_line(lambda: plain.parse_yaml(text, f"-p k={text}"))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "toy/02_support"
    write_run(folder, "toy", "02_support")
    return folder


@pytest.mark.fault(
    "Fuzzed",
    "manifest, results and failure of a run, signs changed at random",
    "a value, or one line that says what is wrong",
)
@pytest.mark.parametrize("name", ["manifest.json", "results.json", "failure.json", "grid.json"])
def test_json_of_a_run(run_folder, tried, name):
    failure = manifest.Failure(error="a", command="b", started="c", wall_seconds=1.0)
    grid = sweep.Grid(notebook="02_support", axes={"k": [4, 8]})
    made = {"failure.json": failure.model_dump_json(), "grid.json": grid.model_dump_json()}
    path = run_folder / name
    text = made.get(name) or path.read_text()
    read = {
        "manifest.json": manifest.read,
        "results.json": results.read,
        "failure.json": manifest.read_failure,
        "grid.json": lambda _: sweep.read(path),
    }[name]

    @fuzz(tried, EDITS, many=5_000)
    def _(edits):
        path.write_bytes(as_bytes(edited(text, edits)))
        a_value_or_one_line(lambda: read(run_folder))

    path.write_text(text)
    assert read(run_folder) is not None
