"""The `medrl` command: one line and exit code 2 for a user's mistake, values as data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from medrl.commands import doctor
from medrl.commands import main as cli
from medrl_core.errors import UserError
from medrl_core.report import results

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126))
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def medrl(*words: str):
    return CliRunner().invoke(cli.app, list(words))


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom medrl.commands import main as cli\n"
        "assert CliRunner().invoke(cli.app, ['--help']).exit_code == 0\n"
        "heavy = {'torch', 'transformers', 'pandas', 'numpy', 'pydantic', 'papermill', 'grimp'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(PLAIN)
def test_a_value_written_as_json_arrives_as_it_is(value):
    assert cli._values([f"name={json.dumps(value)}"]) == {"name": value}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["k"], "-p k: write -p name=value"),
        (["=3"], "-p =3: write -p name=value"),
        (["k=[1"], "-p k=[1 is not YAML"),
        (["k=!!python/name:os.system"], "is not YAML"),
        (["k=1", "k=2"], "-p k is given twice"),
    ],
)
def test_a_wrong_assignment_is_refused(words, said):
    with pytest.raises(UserError) as caught:
        cli._values(words)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "02_support", "--study", "toy", "-p", "temprature=1"], "'temperature'"),
        (["run", "02_support", "--study", "toy", "-p", "k=many"], "k = 'many' is refused"),
        (["run", "02_support", "--study", "tiy"], "no study 'tiy'; did you mean 'toy'"),
        (["run", "02", "--study", "toy"], "no notebook '02'"),
        (["study", "tiy"], "no study 'tiy'"),
        (["book", "--study", "tiy"], "no study 'tiy'"),
        (["book", "--edition", "teacher"], "no edition 'teacher': use one of student, instructor"),
        (["labs", "--out", "new"], "no lab in book/labs here"),
        (["data", "verify", "blodmnist"], "blodmnist"),
    ],
)
def test_a_mistake_ends_with_one_line_and_exit_code_2_and_leaves_nothing(toy, words, said):
    before = sorted(Path().rglob("*"))
    done = medrl(*words)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("medrl: ")
    assert said in done.stderr
    assert done.stdout == ""
    assert sorted(Path().rglob("*")) == before


def test_a_run_with_parameters_gets_its_own_folder_and_is_made_once(toy):
    words = ["run", "02_support", "--study", "toy", "-p", "k=8", "-p", "temperature=1.2"]
    done = medrl(*words)
    assert done.exit_code == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.name.startswith("02_support@")
    assert not Path("runs/toy/02_support").exists()
    assert results.read(folder)["numbers"]["k"]["value"] == 8
    made = (folder / "manifest.json").stat().st_mtime_ns
    assert medrl(*words).stdout == done.stdout
    assert (folder / "manifest.json").stat().st_mtime_ns == made


def test_data_list_names_what_is_there(tmp_path):
    (tmp_path / "bloodmnist.npz").touch()
    lines = medrl("data", "list", "--root", str(tmp_path)).stdout.splitlines()
    (blood,) = (line for line in lines if line.startswith("bloodmnist"))
    (derm,) = (line for line in lines if line.startswith("dermamnist"))
    assert str(tmp_path / "bloodmnist.npz") in blood
    assert "medrl data fetch dermamnist" in derm


def test_doctor_names_a_remedy_for_each_problem(toy, monkeypatch):
    monkeypatch.setenv("MEDMNIST_ROOT", str(toy))
    lines = [str(finding) for finding in doctor.findings()]
    assert any(line.startswith("problem  no constraints.txt here: run medrl in") for line in lines)
    assert any(line.startswith("problem  no MedMNIST file in") for line in lines)
    assert "ok       studies: toy" in lines
    assert medrl("doctor").exit_code == 1
