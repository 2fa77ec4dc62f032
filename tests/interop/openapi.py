"""Holds the control socket to its description with Schemathesis.

openapi.py HEARTBEATD SCHEMATHESIS: serves a box with flows, runs and heartbeats, reaches its socket through socat, and has
Schemathesis (PyPI) make requests from docs/openapi.json, right and wrong ones, from one seed. No answer may be a 5xx, nor
have a status, a type, a field or content that is not described. Ends with the number of cases, and with 1 if anything was
found or the cases were too few.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from support import free_port, serve

HEARTBEATD, SCHEMATHESIS = sys.argv[1:3]
HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "docs" / "openapi.json"
SEED = 20261123
CASES_MIN = 2_000
# Of each operation and phase, at most.
EXAMPLES = 150
TIME_MAX_S = 240
FLOWS = {
    "quick": 'run_interval = "1h"\n[command]\nargv = ["echo", "hello"]\n',
    "fails": 'run_interval = "1h"\nretry = { attempts = 2, backoff = "1s" }\n[command]\nargv = ["false"]\n',
    "slow": 'run_interval = "1h"\n[command]\nargv = ["sleep", "0.2"]\n',
    "moves": 'run_interval = "1h"\n[source]\ntype = "file"\npath = "../in.jsonl"\n[sink]\ntype = "file"\npath = "../out.jsonl"\n',
    "keeps": 'run_interval = "1h"\n[source]\ntype = "file"\npath = "../in.jsonl"\n'
    '[sink]\ntype = "sqlite"\ndatabase = "../kept.db"\ntable = "kept"\ncreate = true\n',
}
# Requests to files beyond the box are turned to ones within it (openapi_hooks.py); the rest of the document stays as it is.
CONFIG = """
seed = {seed}
continue-on-failure = true

[generation]
max-examples = {examples}
database = "none"
# Text that no HTTP client may send is not what is tested here.
codec = "utf-8"

[[operations]]
include-name = "POST /flows"
# A flow file that is text and no flow is right by its schema.
[operations.checks.positive_data_acceptance]
expected-statuses = {accepted_or_422}

[[operations]]
include-name = "PUT /flows/{{name}}/cursor"
# What a cursor looks like only its source knows.
[operations.checks.positive_data_acceptance]
expected-statuses = {accepted_or_400}

[phases.examples]
enabled = true
[phases.coverage]
enabled = true
[phases.fuzzing]
enabled = true
[phases.stateful]
enabled = true
"""


ACCEPTED = ["2xx", "404", "409"]
FLOW = 'name = "added"\nrun_interval = "1h"\n[command]\nargv = ["echo", "added"]\n'


def patched(document):
    """The same document for this box: names, ids and flows that there are, most of the time."""
    parameters = document["components"]["parameters"]
    parameters["Name"]["schema"] = {"type": "string", "enum": [*FLOWS, "added", "nothing"]}
    parameters["Id"]["schema"]["maximum"] = 60
    posted = document["paths"]["/flows"]["post"]["requestBody"]["content"]["application/json"]
    files = posted["schema"]["properties"]["files"]
    files["maxItems"] = 3
    files["items"]["properties"]["text"] = {"anyOf": [{"const": FLOW}, {"type": "string"}]}
    posted["examples"] = {"added": {"value": {"files": [{"path": "/media/added.toml", "text": FLOW}]}}}
    for name in ("Name", "Id"):
        parameters[name]["example"] = {"Name": "quick", "Id": 1}[name]
    return document


def prepare(folder):
    """A box, and what makes it beat."""
    box = folder / "box"
    subprocess.run([HEARTBEATD, "init", box, "--listen", "127.0.0.1:0"], check=True, capture_output=True)
    (box / "flows" / "example.toml").unlink()
    for name, text in FLOWS.items():
        (box / "flows" / f"{name}.toml").write_text(text)
    (box / "in.jsonl").write_text("".join(f'{{"n":{number}}}\n' for number in range(100)))
    (box / "backup").mkdir()
    return box


def beat(box, port):
    url = f"http://127.0.0.1:{port}/data_flows/heartbeat"
    command = [HEARTBEATD, "--config", box / "heartbeatd.toml", "beat", "--url", url, "--wait", "10"]
    subprocess.run(command, check=True, capture_output=True)


def order_runs(box):
    """Some history, and a run that is open."""
    for name in ["quick", "fails", "moves", "keeps"] * 5 + ["slow"]:
        with socket.socket(socket.AF_UNIX) as operator:
            operator.connect(str(box / "heartbeatd.sock"))
            operator.sendall(
                f"POST /flows/{name}/runs HTTP/1.0\r\nPrefer: wait=1\r\nContent-Length: 0\r\n\r\n".encode()
            )
            while operator.recv(4096):
                pass


def run(folder, box, port):
    """Whether Schemathesis found nothing, in how many cases."""
    document = folder / "openapi.json"
    document.write_text(json.dumps(patched(json.loads(DOCUMENT.read_text()))))
    config = folder / "schemathesis.toml"
    accepted = {f"accepted_or_{other}": json.dumps([*ACCEPTED, other]) for other in ("400", "422")}
    config.write_text(CONFIG.format(seed=SEED, examples=EXAMPLES, **accepted))
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "openapi_hooks",
        "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BACKUP_FOLDER": str(box / "backup"),
    }
    command = [SCHEMATHESIS, "--config-file", config, "run", document, "--url", f"http://127.0.0.1:{port}"]
    ran = subprocess.run(
        [*command, "--no-color"], env=environment, cwd=folder, timeout=TIME_MAX_S, stdout=subprocess.PIPE, text=True
    )
    print(ran.stdout)
    cases = re.search(r"(\d+) generated", ran.stdout)
    return ran.returncode == 0, int(cases[1]) if cases else 0


def main():
    with tempfile.TemporaryDirectory(prefix="heartbeat-openapi-") as name:
        folder = Path(name)
        box = prepare(folder)
        log = open(folder / "log", "w")
        # Whoever asks to wait for an hour is answered all the same.
        environment = os.environ | {"HEARTBEATD_LIMITS__WAIT": "1s"}
        daemon, heartbeat_port = serve(HEARTBEATD, box / "heartbeatd.toml", log, environment)
        port = free_port()
        listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=64"
        bridge = subprocess.Popen(["socat", listen, f"UNIX-CONNECT:{box / 'heartbeatd.sock'}"])
        try:
            beat(box, heartbeat_port)
            order_runs(box)
            found_nothing, cases = run(folder, box, port)
        finally:
            bridge.terminate()
            bridge.wait(10)
            daemon.terminate()
            ended = daemon.wait(30)
        faults = [line for line in (folder / "log").read_text().splitlines() if " ERROR " in line or "panicked" in line]
        print(*faults[:20], sep="\n")
        print(f"{cases} cases; the daemon ended with {ended}")
        sys.exit(0 if found_nothing and cases >= CASES_MIN and ended == 0 else 1)


main()
