"""What the checks against other people's programs share."""

import re
import socket
import subprocess
import time
from pathlib import Path

DOCUMENTS = Path(__file__).parents[2] / "docs"


class Tally:
    passed = 0
    failed = 0

    def check(self, what, found, wanted):
        if found == wanted:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}: wanted {wanted!r}, found {found!r}")


def serve(heartbeatd, config, log, environment=None):
    """A daemon that listens, and its port."""
    port_file = config.parent / "port"
    daemon = subprocess.Popen(
        [heartbeatd, "--config", config, "serve", "--port-file", port_file], stderr=log, env=environment
    )
    give_up = time.monotonic() + 30
    while not port_file.exists():
        assert daemon.poll() is None and time.monotonic() < give_up, "the daemon does not start"
        time.sleep(0.01)
    return daemon, int(port_file.read_text())


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def block(document, language, words):
    """A document's only block of a language with these words in it."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", (DOCUMENTS / document).read_text(), re.MULTILINE | re.DOTALL)
    (found,) = [text for text in blocks if words in text]
    return found
