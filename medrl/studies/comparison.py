"""One page that compares all runs of a grid: a table, small multiples, and what failed.

Made by `medrl sweep`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jinja2
import pandas as pd

from medrl.studies import manifest, plan
from medrl_core.errors import UserError
from medrl_core.files import write_text
from medrl_core.report import figures, results, tables

MOST_SERIES = 10  # more colours cannot be told apart


@dataclass(frozen=True)
class Row:
    """One run of the grid: what was set, where it lies, how to make it, what became of it."""

    settings: dict[str, Any]
    folder: Path
    command: str
    outcome: Literal["finished", "failed", "not run"]
    why: str = ""

    @property
    def name(self) -> str:
        """The settings as text, e.g. "k = 4, temperature = 0.5"."""
        return ", ".join(f"{name} = {said(value)}" for name, value in self.settings.items())


def said(value: Any) -> str:
    """Return a parameter value as a reader writes it."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def check(axes: dict[str, list]) -> None:
    """Refuse a grid that no figure can show: a second parameter with too many values."""
    _, by, _ = _roles(axes)
    if by and len(axes[by]) > MOST_SERIES:
        raise UserError(
            f"{by} has {len(axes[by])} values; beside a longer list at most {MOST_SERIES} can be "
            "told apart in a figure: make two sweeps"
        )


def write(
    folder: Path,
    study: plan.Study,
    notebook: str,
    axes: dict[str, list],
    command: str,
    rows: list[Row],
) -> None:
    """Write index.html, comparison.csv and the figure with its numbers into the sweep's folder.

    Arguments: `axes` are the values that each parameter takes; `command` makes the sweep again.
    """
    wide, tall = numbers(rows)
    write_text(folder / "comparison.csv", tables.csv(wide))
    figure = draw(tall, axes, rows)
    if figure is not None:
        alt = f"A panel for each of {tall.number.nunique()} numbers of {notebook}, "
        alt += f"against {' and '.join(axes)}."
        figures.save(figure, folder, "multiples", tall, alt=alt)
    page = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(PAGE)
    pictures = sorted({name for row in rows for name in _pictures(row)})
    text = page.render(
        study=study,
        notebook=notebook,
        command=command,
        rows=rows,
        made={row.name: manifest.read(row.folder) for row in rows if row.outcome == "finished"},
        shown=_shown(tall),
        cells={row.name: _cells(row) for row in rows},
        figure=figure,
        pictures={name: [(row, name in _pictures(row)) for row in rows] for name in pictures},
        link=lambda path: Path(os.path.relpath(path, folder)).as_posix(),
    )
    write_text(folder / "index.html", text)


def numbers(rows: list[Row]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the numbers of all runs of a grid.

    Returns: one row a run (settings, outcome, wall_seconds, then each number with its ends), and
    one row a run and number that has an interval (settings, outcome, number, unit, value, low,
    high). A run that did not finish is there without numbers.
    """
    found = [_entries(row) for row in rows]
    wide = []
    for row, entries in zip(rows, found, strict=True):
        line = {name: said(value) for name, value in row.settings.items()}
        line |= {"outcome": row.outcome, "wall_seconds": None}
        if row.outcome == "finished":
            line["wall_seconds"] = manifest.read(row.folder).wall_seconds
        for name, entry in entries.items():
            line |= {
                name: entry["value"],
                f"{name}_low": entry["low"],
                f"{name}_high": entry["high"],
            }
        wide.append(line)
    units = {
        name: entry["unit"]
        for entries in found
        for name, entry in entries.items()
        if None not in (entry["value"], entry["low"], entry["high"])
    }
    tall = [
        {
            **{key: said(value) for key, value in row.settings.items()},
            "outcome": row.outcome,
            "number": name,
            "unit": unit,
            **{part: entries.get(name, {}).get(part) for part in ("value", "low", "high")},
        }
        for name, unit in units.items()
        for row, entries in zip(rows, found, strict=True)
    ]
    columns = [*rows[0].settings, "outcome", "number", "unit", "value", "low", "high"]
    return pd.DataFrame(wide), pd.DataFrame(tall, columns=columns)


def draw(tall: pd.DataFrame, axes: dict[str, list], rows: list[Row]):
    """Return the small multiples, a panel a number; None without numbers to draw."""
    if tall.empty:
        return None
    x, by, others = _roles(axes)
    names = tall.number.str.replace("_", " ")
    panel = [
        ", ".join([name, *(f"{one} = {row[one]}" for one in others)])
        for name, (_, row) in zip(names, tall.iterrows(), strict=True)
    ]
    return figures.multiples(tall.assign(panel=panel), x=x, by=by, panel="panel")


def _roles(axes: dict[str, list]) -> tuple[str, str | None, list[str]]:
    """Return the parameter of the horizontal axis, that of the colour, and those of the panels.

    The longest list goes along the axis, the next gives the colours; one value needs no place.
    """
    moved = sorted((name for name in axes if len(axes[name]) > 1), key=lambda n: -len(axes[n]))
    first = moved[0] if moved else next(iter(axes))
    return first, moved[1] if len(moved) > 1 else None, moved[2:]


def _entries(row: Row) -> dict[str, dict[str, Any]]:
    return results.read(row.folder)["numbers"] if row.outcome == "finished" else {}


def _shown(tall: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(tall.number))


def _cells(row: Row) -> dict[str, str]:
    return {
        name: tables.interval(entry["value"], entry["low"], entry["high"], entry["unit"])
        for name, entry in _entries(row).items()
    }


def _pictures(row: Row) -> list[str]:
    return [path.name for path in row.folder.glob("figures/*.svg")] * (row.outcome == "finished")


PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ notebook }}: {{ rows | length }} runs compared</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #8886; text-align: left;
  white-space: nowrap; }
th:first-child { position: sticky; left: 0; background: Canvas; white-space: normal;
  min-width: 8rem; }
img { background: white; width: 100%; height: auto; }
pre { overflow-x: auto; padding: .6rem; background: #8882; }
.few { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1rem; }
.few figure { margin: 0; } .no { border: 1px dashed; padding: 1rem; }
</style>
<h1>{{ notebook }}: {{ rows | length }} runs compared</h1>
<p>Study <b>{{ study.name }}</b> ({{ study.label }}).
{% set done = rows | selectattr("outcome", "equalto", "finished") | list | length %}
{{ done }} of {{ rows | length }} finished.</p>
<p>Each number carries the 95% interval of its own run. Runs of one grid ask the same items, so two
intervals that overlap may still differ: <code>medrl score A B</code> compares two run folders pair
by pair. The best of many runs looks better than it is: choose on validation data.</p>
<h2>All runs</h2>
<div class="wide" tabindex="0"><table>
<tr><th scope="col">run</th><th scope="col">outcome</th><th scope="col">time</th>
{% for name in shown %}<th scope="col">{{ name | replace("_", " ") }}</th>{% endfor %}</tr>
{% for row in rows %}
<tr><th scope="row">{{ row.name }}</th><td>
{% if row.outcome == "finished" %}<a href="{{ link(row.folder) }}/executed.ipynb">finished</a></td>
<td>{{ "%.0f" | format(made[row.name].wall_seconds) }} s</td>
{% else %}<b>{{ row.outcome }}</b></td><td>n/a</td>{% endif %}
{% for name in shown %}<td>{{ cells[row.name].get(name, "n/a") }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
<p><a href="comparison.csv">all numbers, also those without an interval (CSV)</a></p>
{% if done < rows | length %}
<h2>What did not finish</h2>
{% for row in rows if row.outcome != "finished" %}
<p><b>{{ row.name }}</b>: {{ row.outcome }}: {{ row.why }}
{% if row.outcome == "failed" %}
(<a href="{{ link(row.folder) }}/executed.ipynb">notebook as far as it came</a>)
{% endif %}</p>
<pre>{{ row.command }}</pre>
{% endfor %}
{% endif %}
{% if figure %}
<h2>Small multiples</h2>
<figure class="wide" style="margin: 0"><img src="multiples.svg" alt="{{ figure.alt }}">
<figcaption>A panel a number, values in percent, points or as the number's own. A cross on the lower
edge: failed or not run. <a href="multiples.csv">numbers (CSV)</a></figcaption></figure>
{% endif %}
{% if pictures %}
<h2>Figures of the runs</h2>
{% for name, shown in pictures.items() %}
<details><summary>{{ name }}</summary><div class="few">
{% for row, there in shown %}
<figure>{% if there %}<img loading="lazy" src="{{ link(row.folder) }}/figures/{{ name }}"
 alt="{{ name }} of {{ row.name }}">{% else %}<div class="no">{{ row.outcome }}</div>{% endif %}
<figcaption>{{ row.name }}</figcaption></figure>
{% endfor %}
</div></details>
{% endfor %}
{% endif %}
<h2>Where this came from</h2>
<p>Made again, with only what is missing or stale, by:</p>
<pre>{{ command }}</pre>
<div class="wide" tabindex="0"><table>
<tr><th scope="col">run</th><th scope="col">commit</th><th scope="col">started</th>
<th scope="col">files</th><th scope="col">made by</th></tr>
{% for row in rows if row.outcome == "finished" %}
{% set one = made[row.name] %}
<tr><th scope="row">{{ row.name }}</th>
<td>{{ (one.commit or "not under git")[:13] }}{{ " with changes" if one.dirty }}</td>
<td>{{ one.started }}</td>
<td><a href="{{ link(row.folder) }}/manifest.json">manifest</a>
<a href="{{ link(row.folder) }}/results.json">results</a></td>
<td><code>{{ row.command }}</code></td></tr>
{% endfor %}
</table></div>
</html>
"""
