"""Values are data: in the notebook's parameter cell, in a shell, in Snakemake, never code."""

from __future__ import annotations

import json
import math
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill.parameterize
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks import refused
from conftest import RESULTS, write_notebook
from medrl.studies import execution, plan, sweep
from medrl_core import plain

# HIT is the folder that a payload makes where the value runs as code.
HOSTILE = [
    "it's \"quoted\"", 'a"; import os; os.mkdir(HIT); b="', "a'; import os; os.mkdir(HIT); b='",
    'a\\"; import os; os.mkdir(HIT); #', "a\\", "a\nimport os; os.mkdir(HIT)",
    "a\r\nimport os; os.mkdir(HIT)", '"""\nimport os; os.mkdir(HIT)\n"""', "''' + 1 + '''",
    "{__import__('os').mkdir(HIT)}", "{{ cycler }} {% raw %}", "%s %(a)s %d %%", "$(mkdir HIT)",
    "`mkdir HIT`", "a; mkdir HIT", "a && mkdir HIT", "a | mkdir HIT", "a > HIT", "$HOME ${HOME} ~",
    "!mkdir HIT", "%system mkdir HIT", "?os", "a\u2028import os", "a\u2029b", "a\x85b",
    "a\x0b\x0cb", "a\tb", "a\x7fb", "a\x00b", "\N{ROCKET}\N{STAFF OF AESCULAPIUS}",
    "\\\N{ROCKET}\\ud83d", "\u202egpj", "\ufeffa", "e\u0301", "None", "True", "1e5", "-1", ".inf",
    "nan", "2001-01-01", "~", "yes", "=", "!!python/name:os.system", "&a", "*a", "<<", "- a",
    "? a", ": a", "a: b", "[a", "{a", "# a", " a ", "-p", "--help", "\\u0000", "\\N{BULLET}", "@a",
    "|", ">", "run", "runs:02",
]  # fmt: skip


@pytest.fixture
def hostile(hit):
    return [text.replace("HIT", repr(str(hit))) for text in HOSTILE]


@pytest.mark.fault(
    "Untrusted input",
    "`-p` values that would run as code in the notebook's parameter cell, executed by Papermill",
    "each arrives as the same value, and none runs",
)
def test_the_parameter_cell_holds_data(toy, hostile, tried):
    write_notebook(
        "07_vqa",
        "import json, pathlib\npathlib.Path(out, 'got.json').write_text(json.dumps(sources))\n"
        + RESULTS.format(k="n_items"),
    )
    Path("notebooks/studies/toy.yaml").write_text("title: T\nlabel: L\nruns: {07_vqa: {}}\n")
    loaded = plan.load_study("toy")
    given = {text: text for text in hostile}
    words = [f"sources={plain.line(given)}"]
    read = {k: plain.parse_yaml(v, k) for k, v in plan.assignments(words).items()}
    values = plan.resolve(loaded, "07_vqa", read)
    folder = plan.run_folder(loaded, "07_vqa", values)
    with tried(2 * len(given)):
        execution.execute(loaded, "07_vqa", values, folder)
        assert json.loads((folder / "got.json").read_text()) == given
    assert [path.name for path in Path("runs/toy").iterdir()] == [folder.name]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TRICKS = st.lists(
    st.sampled_from(['"', "'", "\\", "\n", "\r", "{", "}", "$", "`", "#", '"""', "\u2028", "\x85",
                     "\x00", ";", " ", "import os", "(", ")", "\N{ROCKET}", "a"]), max_size=8
).map("".join)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | TRICKS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | TRICKS, inner, max_size=4),
    max_leaves=8,
)


def same(a, b) -> bool:
    """Whether two values are equal, nan to nan, and whole numbers to whole numbers."""
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, list | dict):
        pairs = zip(a, b, strict=True) if isinstance(a, list) else ((a[k], b[k]) for k in a)
        return type(a) is type(b) and len(a) == len(b) and all(same(*pair) for pair in pairs)
    return type(a) is type(b) and a == b


@pytest.mark.fault(
    "Fuzzed",
    "parameter cells that Papermill writes of random nested values full of quotes and line ends",
    "the cell sets the same value and does nothing else",
)
def test_any_value_arrives_in_the_parameter_cell(tried):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cell = nbformat.v4.new_code_cell("value = 0", metadata={"tags": ["parameters"]})
    metadata = {"kernelspec": kernel, "papermill": {}}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata=metadata)

    @settings(max_examples=tried.times(150, 20_000), derandomize=True)
    @given(VALUES)
    def one(value):
        with tried():
            made = papermill.parameterize.parameterize_notebook(notebook, {"value": value})
            names = {}
            exec(made.cells[1].source, names)
            assert set(names) == {"__builtins__", "value"} and same(names["value"], value)

    one()


@pytest.mark.fault(
    "Fuzzed",
    "`-p` words written of random nested values, cut up by a shell's rules and read as YAML",
    "the same value comes back",
)
def test_any_value_survives_the_command_line(tried):
    finite = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False,
        allow_infinity=False) | TEXTS | TRICKS  # fmt: skip
    values = st.recursive(
        finite,
        lambda v: st.lists(v, max_size=4) | st.dictionaries(TEXTS | TRICKS, v, max_size=4),
        max_leaves=8,
    )

    @settings(max_examples=tried.times(150, 20_000), derandomize=True)
    @given(values)
    def one(value):
        with tried():
            (word,) = shlex.split(shlex.join([f"k={plain.line(value)}"]))
            (text,) = plan.assignments([word]).values()
            assert text.isascii() and same(plain.parse_yaml(text, "k"), value)

    one()


def told_by_a_shell(command: str) -> list[str]:
    """Let bash read a command line, with printf in place of its first word."""
    first = shlex.split(command)[0]
    assert command.startswith(shlex.quote(first))
    line = "printf '%s\\0'" + command[len(shlex.quote(first)) :]
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.fault(
    "Untrusted input",
    "commands that a manifest, a failure or a page of a sweep tells, pasted into bash",
    "bash reads them as the same values and runs nothing else",
)
def test_commands_to_paste_are_safe_in_a_shell(toy, hostile, tried):
    loaded = plan.load_study("toy")
    for text in hostile:
        with tried(2):
            values = plan.resolve(loaded, "02_support", {"model": text})
            *_, word = told_by_a_shell(execution.command_line(loaded, "02_support", values))
            assert plain.parse_yaml(word.removeprefix("model="), "x") == text
            grid = sweep.Grid(notebook="02_support", axes={"model": [text, "b"]})
            *_, word = told_by_a_shell(grid.command("toy"))
            assert sweep.read_words("02_support", [word]) == grid


def told_by_snakemake(said: str) -> list[list[str]]:
    """Let bash read each command that Snakemake has printed."""
    python = f"{shlex.quote(sys.executable)} -m medrl.commands.main "
    commands = [python + part.split("\n")[0].rstrip() for part in said.split(python)[1:]]
    return [told_by_a_shell(command) for command in commands]


@pytest.mark.fault(
    "Untrusted input",
    "values of a sweep that a shell or Snakemake would fill in or run, in the shell of each step",
    "bash reads them as the same values and runs nothing else",
)
def test_snakemake_passes_on_the_values_of_a_sweep(toy, hostile, tried, capfd):
    loaded = plan.load_study("toy")
    grid = sweep.Grid(notebook="02_support", axes={"model": hostile})
    Path("grid.json").write_text(grid.model_dump_json())
    runs = sweep.planned(loaded, grid)
    targets = [execution.made(loaded, name) for name in runs]
    with tried(len(hostile)):
        options = ["--dry-run", "--printshellcmds"]
        execution.snakemake(loaded, targets, options, grid=(Path("grid.json"), runs))
        told = told_by_snakemake(capfd.readouterr().err)
        given = [word for words in told for word in words if word.startswith("model=")]
        values = [plain.parse_yaml(word.removeprefix("model="), "model") for word in given]
        assert sorted(values) == sorted(hostile)


@pytest.mark.fault(
    "Untrusted input",
    "study in a folder whose name holds `$(...)`, backticks, quotes, braces or YAML",
    "refused in one line; a name with spaces reaches the shell of each step whole",
)
def test_snakemake_passes_on_the_path_of_a_study(toy, hit, tried, capfd):
    text = Path("notebooks/studies/toy.yaml").read_text()
    for name in ["$(mkdir hit)", "`mkdir hit`", "it's", 'q"q', "{study}", "a: b", "[a", "%s", "- a",
                 "a;mkdir hit", "a&b", "#a", "a #b", "a\\b", "~", "$HOME", "*", "!a", "-x", "a=b",
                 "a\nb", " a", "a\tb", "a|b", "a>b", "a,b", "\N{ROCKET}"]:  # fmt: skip
        path = Path(name, "toy.yaml")
        path.parent.mkdir()
        path.write_text(text)
        with tried():
            refused(lambda path=path: plan.load_study(path.as_posix()), "the path", "use letters")
    path = Path("a b  c/\u00fc/../\u00fc./-/toy.yaml")
    Path("a b  c/\u00fc").mkdir(parents=True)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with tried():
        loaded = plan.load_study(path.as_posix())
        execution.snakemake(loaded, ["all", "book"], ["--dry-run", "--printshellcmds"])
        told = told_by_snakemake(capfd.readouterr().err)
        assert sorted(words[2] for words in told) == ["book", "run", "run"]
        assert all(words[words.index("--study") + 1] == path.as_posix() for words in told)
    assert not Path("hit").exists()
