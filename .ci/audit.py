"""Ask for known holes of the pinned packages (`make audit`); one that a newer version mends fails.

Exceptions, each with a reason and a date, are in audit.toml beside this file. Where the service
that knows the holes does not answer, the last line says what was not audited, and nothing fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONSTRAINTS = HERE.parent / "constraints.txt"
TOOL = HERE.parent / ".audit"  # an environment of its own: what is pinned stays as it is
PIN = "pip-audit==2.10.1"


def exceptions(path: Path = HERE / "audit.toml") -> dict[tuple[str, str], dict[str, str]]:
    """Read the exceptions: by package and id of the hole, the reason and the last day."""
    found = {}
    for one in tomllib.loads(path.read_text(encoding="utf-8")).get("exception", []):
        if set(one) != {"package", "id", "why", "until"} or not all(map(str, one.values())):
            raise SystemExit(f"{path}: an exception needs package, id, why and until: {one}")
        found[one["package"].lower(), one["id"]] = {**one, "until": str(one["until"])}
    return found


def judge(dependencies: list[dict], allowed: dict, today: str) -> tuple[list[str], bool]:
    """Judge what pip-audit found.

    Arguments: `dependencies` of its JSON; `allowed` as `exceptions` gives them; `today` in ISO.
    Returns: lines to print, and whether the pinned set may stay as it is.
    """
    lines, good, used = [], True, set()
    skipped = [one for one in dependencies if "skip_reason" in one]
    for one in dependencies:
        for hole in one.get("vulns", []):
            name = f"{one['name']} {one['version']}: {hole['id']}"
            ids = {hole["id"], *hole.get("aliases", [])}
            keys = {(one["name"].lower(), known) for known in ids} & allowed.keys()
            known = min(keys, default=None)
            used |= keys
            if known and allowed[known]["until"] >= today:
                lines.append(f"{name}: let through until {allowed[known]['until']}: "
                             f"{allowed[known]['why']}")  # fmt: skip
            elif hole["fix_versions"]:
                late = " (its exception has ended)" if known else ""
                lines.append(f"FAILED: {name} is mended in {', '.join(hole['fix_versions'])}{late}")
                good = False
            else:
                lines.append(f"{name}: no version mends it yet")
    looked_at = {one["name"].lower() for one in dependencies if "skip_reason" not in one}
    for package, hole in allowed.keys() - used:
        if package in looked_at:
            lines.append(f"FAILED: {package} has {hole} no more: remove the exception")
            good = False
    lines.append(f"audited: {len(dependencies) - len(skipped)} of {len(dependencies)} packages")
    if skipped:
        names = ", ".join(one["name"] for one in skipped)
        what = "NOTHING WAS AUDITED" if len(skipped) == len(dependencies) else names
        lines.append(f"NOT AUDITED: {what} ({skipped[0]['skip_reason']})")
    return lines, good


def main() -> int:
    """Install the tool, run it and judge; 1 where a hole that can be mended is found."""
    python = TOOL / "bin/python"
    with tempfile.TemporaryDirectory() as place:
        report = Path(place, "report.json")
        tool = [python, "-m", "pip_audit", "--requirement", CONSTRAINTS, "--no-deps"]
        tool += ["--disable-pip", "--progress-spinner", "off", "--format", "json", "-o", report]
        try:
            if not python.is_file():
                venv.create(TOOL, with_pip=True)
            pip = [python, "-m", "pip", "install", "--quiet", PIN]
            subprocess.run(pip, check=True, capture_output=True, text=True)
            subprocess.run(tool, check=False, capture_output=True, text=True)
            dependencies = json.loads(report.read_text())["dependencies"]
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:]
            print(f"NOT AUDITED: NOTHING WAS AUDITED ({' '.join(said)})")
            return 0
    lines, good = judge(dependencies, exceptions(), date.today().isoformat())
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
