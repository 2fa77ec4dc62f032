"""Runs the programs of docs/signing.md that need packages, from its own text: PyPI's and npm's standardwebhooks.

signing.py HEARTBEATD: each must be heard by a daemon, and refused with another secret. Ends with 'N passed, N failed' and
with 1 if any failed.
"""

import base64
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from support import Tally, block, serve

HEARTBEATD = sys.argv[1]
PROGRAMS = {"python": ("beat.py", [sys.executable, "beat.py"]), "js": ("beat.mjs", ["node", "beat.mjs"])}


def run(box, port, language):
    """The first word that the program prints, which is the status, and the rest."""
    file, command = PROGRAMS[language]
    text = block("signing.md", language, "standardwebhooks")
    assert "127.0.0.1:8787" in text, "the default address"
    (box / file).write_text(text.replace(":8787", f":{port}"))
    ended = subprocess.run(command, cwd=box, capture_output=True, encoding="utf-8", timeout=60)
    return (ended.stdout + ended.stderr).split(" ", 1)


def main():
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="heartbeat-signing-") as folder:
        box = Path(folder) / "box"
        subprocess.run([HEARTBEATD, "init", box, "--listen", "127.0.0.1:0"], check=True, capture_output=True)
        # node looks for packages beside the program.
        (box / "node_modules").symlink_to(Path(os.environ["NODE_LIBRARIES"]) / "node_modules")
        right = (box / "secret").read_text()
        wrong = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() + "\n"
        with open(box / "log", "w") as log:
            daemon, port = serve(HEARTBEATD, box / "heartbeatd.toml", log)
        try:
            for language in PROGRAMS:
                for secret, status, word in ((right, "200", "flows_due"), (wrong, "401", "signature_mismatch")):
                    (box / "secret").write_text(secret)
                    found = run(box, port, language)
                    tally.check(f"{language} {status}", (found[0], word in found[-1]), (status, True))
        finally:
            daemon.terminate()
            daemon.wait(30)
    print(f"{tally.passed} passed, {tally.failed} failed")
    sys.exit(1 if tally.failed else 0)


main()
