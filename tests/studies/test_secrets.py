"""Secrets planted in the environment: none is in any byte of what a run or the book leaves."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from conftest import RESULTS, ROOT, write_notebook
from medrl.book import assembly, origin
from medrl.commands import main as cli
from medrl.studies import credentials
from medrl.studies.parameters import NOTEBOOKS

# The signs that base64, JSON and URLs write in other ways are among them.
PLANTED = {
    "HF_TOKEN": "hf_planted/One+1==",
    "HUGGING_FACE_HUB_TOKEN": "hf_plantedTwo22",
    "WANDB_API_KEY": "plantedthree333",
    "AWS_SECRET_ACCESS_KEY": 'planted"four\\4444',
    "OPENAI_API_KEY": "sk-planted-five-55555",
    "GITHUB_TOKEN": "ghp_planted6666666",
    "SMTP_PASSWORD": "planted-seven é777",
    "HTTPS_PROXY": "http://someone:plantedEight8@127.0.0.1:9",
    "DATABASE_URL": "postgres://someone:planted%40nine9@db/x",
}
SECRETS = [*(value for value in PLANTED.values() if "://" not in value), "plantedEight8",
           "planted%40nine9", "planted@nine9"]  # fmt: skip
LOUD = """
import os, sys, pathlib
print(dict(os.environ))
print(*os.environ.values(), file=sys.stderr)
pathlib.Path(out, "note.md").write_text("\\n".join(os.environ.values()))
pathlib.Path(out, "figures").mkdir(exist_ok=True)
pathlib.Path(out, "figures/a.csv").write_text("\\n".join(os.environ.values()))
dict(os.environ)
"""


@pytest.fixture
def planted(monkeypatch):
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)


def forms(text: str) -> set[bytes]:
    """Return how files write a text."""
    return {text.encode(), json.dumps(text)[1:-1].encode(), repr(text)[1:-1].encode(),
            json.dumps(repr(text)[1:-1])[1:-1].encode()}  # fmt: skip


def told(folder: Path, texts: list[str]) -> list[str]:
    """Return the files below a folder that hold one of the texts in their bytes or their name."""
    searched = {form for text in texts for form in forms(text)}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [
        f"{path}: {form}"
        for path in files
        for form in searched
        if form in path.read_bytes() or form in str(path).encode()
    ]


def medrl(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.app(words)
    return ended.value.code


@pytest.mark.fault(
    "Untrusted input",
    "tokens, keys and passwords in the environment of a run that ends well, prints all, or fails",
    "in no byte of the run's folder, of what is kept of a failure, and of what is printed",
)
def test_no_secret_is_left_by_a_run(toy, planted, tried, capsys):
    kinds = {
        "quiet": RESULTS.format(k="k"),
        "loud": RESULTS.format(k="k") + LOUD,
        "failed": LOUD + "raise RuntimeError(f'no answer from {os.environ}')",
        "refused": LOUD + "from medrl_core.errors import UserError\n"
        "raise UserError(f'no {os.environ[\"HTTPS_PROXY\"]} and {os.environ[\"HF_TOKEN\"]}')",
    }
    for kind, code in kinds.items():
        shutil.rmtree("runs", ignore_errors=True)
        write_notebook("02_support", code)
        with tried(len(PLANTED)):
            ended = medrl("run", "02_support", "--study", "toy")
            assert ended == {"failed": 1, "refused": 2}.get(kind, 0)
            assert told(Path("runs"), SECRETS) == []
            said = capsys.readouterr()
            assert not any(secret in said.out + said.err for secret in SECRETS)
        kept = list(Path("runs").rglob("executed.ipynb"))
        assert len(kept) == 1
        if kind != "quiet":
            assert "[HF_TOKEN]" in kept[0].read_text() and "PATH" in kept[0].read_text()


@pytest.mark.fault(
    "Untrusted input",
    "secrets, host name, user name, home and working folder, looked for in a run and in its book",
    "in no byte of the run's folder, and of the pages that the book is built from",
)
def test_a_run_and_its_book_tell_nothing_of_the_machine(toy, planted, tried, monkeypatch):
    Path("plantedhome").mkdir()
    monkeypatch.setenv("HOME", str(toy / "plantedhome"))
    monkeypatch.setenv("USER", "plantedjane")
    monkeypatch.setenv("LOGNAME", "plantedjane")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'tests'}:{ROOT}")
    code = "from pathlib import Path\nfrom made_runs import write_run\n"
    code += "import warnings\nwarnings.warn(f'{Path.cwd()}/a.py and {Path.home()}/b')\n"
    write_notebook("02_support", code + "write_run(Path(out), study, '02_support')")
    there = ["book", "data", "_config.yml", "CITATION.cff", "notebooks/studies/paper.yaml"]
    there += ["medrl_core", *(f"notebooks/{name}.ipynb" for name in NOTEBOOKS)]
    for name in there:
        if not Path(name).exists():
            Path(name).symlink_to(ROOT / name)
    host = socket.gethostname()
    machine = [str(toy), "plantedjane", str(ROOT), *([host] if len(host) > 5 else [])]
    with tried(2 * (len(machine) + len(PLANTED))):
        assert medrl("run", "02_support", "--study", "toy") == 0
        assert "a.py and ~/b" in Path("runs/toy/02_support/executed.ipynb").read_text()
        assert told(Path("runs"), [*machine, *SECRETS]) == []
        assembly.assemble("toy", Path("_build/stage"))
        origin._kind.cache_clear()  # other tests know no study toy
        assert Path("_build/stage/runs/02_support.ipynb").is_file()
        assert told(Path("_build"), [*machine, *SECRETS]) == []


@pytest.mark.parametrize(
    ("name", "value", "counts"),
    [
        ("TOKENIZERS_PARALLELISM", "falsefalse", False),
        ("MONKEY", "monkeymonkey", False),
        ("HF_TOKEN", "short", False),
        ("my_secret_2", "longenough", True),
        ("ANY_URL", "https://longenough@host/", True),
        ("ANY_URL", "https://user:longenough@host:8/", True),
        ("ANY_URL", "https://host/a@b", False),
    ],
)
def test_what_counts_as_a_secret(monkeypatch, name, value, counts):
    monkeypatch.setattr("os.environ", {name: value})
    assert (credentials.hidden(f"a {value} b") != f"a {value} b") == counts
