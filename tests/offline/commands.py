"""Commands of medrl one after another in one process: name, exit code and last line of each.

`python commands.py FILE` reads a JSON list of lists of words.
"""

import json
import sys
from pathlib import Path

from typer.testing import CliRunner

from medrl.commands import main as cli

for words in json.loads(Path(sys.argv[1]).read_text()):
    done = CliRunner().invoke(cli.app, words)
    said = (done.stderr or done.stdout).splitlines() or [""]
    print(json.dumps([words[0], done.exit_code, repr(done.exception), said[-1]]), flush=True)
