"""Holds the daemon to the senders' own libraries.

check.py HEARTBEATD: prepares a box in a temporary folder, serves it, and for each library sends a heartbeat that must
be accepted, variants of it that must be refused with the right `error`, and gives the library what `heartbeatd sign`
prints. Ends with 'N passed, N failed' and with 1 if any failed.
"""

import base64
import http.client
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import standardwebhooks
from support import Tally, serve

HEARTBEATD = sys.argv[1]
ENDPOINT = "/data_flows/heartbeat"
BODIES = ["", "{}", '{"agent":"interop","note":"ünï-码 🫀"}', "a.b.c\n", "x" * 60_000]
# Standard Webhooks allows five minutes either way; the margin is for a slow machine.
TOLERANCE_S = 300
MARGIN_S = 60


class Python:
    """PyPI's standardwebhooks."""

    name = "python"

    def sign(self, secret, id, timestamp, body):
        when = datetime.fromtimestamp(timestamp, timezone.utc)
        return standardwebhooks.Webhook(secret).sign(id, when, body)

    def verify(self, secret, headers, body):
        try:
            standardwebhooks.Webhook(secret).verify(body, headers, json_parse=False)
        except standardwebhooks.WebhookVerificationError as error:
            return str(error)
        return None


class Node:
    """npm's standardwebhooks, in a node process of its own."""

    name = "node"

    def __init__(self):
        script = Path(__file__).with_name("signer.cjs")
        self.process = subprocess.Popen(
            ["node", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def sign(self, secret, id, timestamp, body):
        return self.ask(do="sign", secret=secret, id=id, timestamp=timestamp, body=body)["signature"]

    def verify(self, secret, headers, body):
        fields = {name.removeprefix("webhook-"): value for name, value in headers.items()}
        return self.ask(do="verify", secret=secret, body=body, **fields).get("error")


class Box:
    """A box in a temporary folder with a daemon on a free port."""

    def __init__(self, folder):
        self.folder = Path(folder) / "box"
        self.config = self.folder / "heartbeatd.toml"
        self.run("init", self.folder, "--listen", "127.0.0.1:0")
        flow = 'run_interval = "1s"\n[command]\nargv = ["echo", "beaten"]\n'
        (self.folder / "flows" / "every-second.toml").write_text(flow)
        self.secret = (self.folder / "secret").read_text().split()[0]
        # Every variant below comes from one address: more of them than a real sender's failures in a minute.
        environment = os.environ | {"HEARTBEATD_LIMITS__FAILED_SIGNATURES_PER_MINUTE": "10000"}
        self.log = open(self.folder / "log", "w")
        self.daemon, self.port = serve(HEARTBEATD, self.config, self.log, environment)

    def run(self, *arguments, input=None):
        command = [HEARTBEATD, *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, input=input).stdout.decode()

    def post(self, headers, body):
        """The status and the parsed answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", ENDPOINT, body.encode(), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer

    def stop(self):
        self.daemon.terminate()
        return self.daemon.wait(30)


def headers_of(id, timestamp, signature):
    return {"webhook-id": id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def new_secret():
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def without(headers, name):
    return {other: value for other, value in headers.items() if other != name}


def flip(signature):
    """Another signature of the same form."""
    raw = bytearray(base64.b64decode(signature.removeprefix("v1,")))
    raw[7] ^= 1
    return "v1," + base64.b64encode(bytes(raw)).decode()


def accepted(box, library, tally):
    for index, body in enumerate(BODIES):
        id = f"msg_{library.name}_{index}_{secrets.token_hex(8)}"
        timestamp = int(time.time())
        headers = headers_of(id, timestamp, library.sign(box.secret, id, timestamp, body))
        status, answer = box.post(headers, body)
        tally.check(f"{library.name} body {index}", (status, answer.get("heartbeat_id")), (200, id))
    for skew_s in (MARGIN_S - TOLERANCE_S, TOLERANCE_S - MARGIN_S):
        id, timestamp = f"msg_{secrets.token_hex(8)}", int(time.time()) + skew_s
        headers = headers_of(id, timestamp, library.sign(box.secret, id, timestamp, "{}"))
        tally.check(f"{library.name} skew {skew_s} s", box.post(headers, "{}")[0], 200)
    # A sender in rotation signs with both secrets.
    id, timestamp = f"msg_{secrets.token_hex(8)}", int(time.time())
    pair = [library.sign(secret, id, timestamp, "{}") for secret in (new_secret(), box.secret)]
    tally.check(f"{library.name} two signatures", box.post(headers_of(id, timestamp, " ".join(pair)), "{}")[0], 200)


def refused(box, library, tally):
    body, id, timestamp = '{"beat":1}', f"msg_{secrets.token_hex(8)}", int(time.time())
    good = headers_of(id, timestamp, library.sign(box.secret, id, timestamp, body))
    old, new = timestamp - TOLERANCE_S - MARGIN_S, timestamp + TOLERANCE_S + MARGIN_S
    foreign = library.sign(new_secret(), id, timestamp, body)
    variants = {
        "body": ("signature_mismatch", good, body + " "),
        "body emptied": ("signature_mismatch", good, ""),
        "id": ("signature_mismatch", good | {"webhook-id": id + "0"}, body),
        "timestamp": ("signature_mismatch", good | {"webhook-timestamp": str(timestamp + 1)}, body),
        "signature": ("signature_mismatch", good | {"webhook-signature": flip(good["webhook-signature"])}, body),
        "secret": ("signature_mismatch", good | {"webhook-signature": foreign}, body),
        "stale": ("timestamp_too_old", headers_of(id, old, library.sign(box.secret, id, old, body)), body),
        "early": ("timestamp_too_new", headers_of(id, new, library.sign(box.secret, id, new, body)), body),
        "unreadable": ("signature_malformed", good | {"webhook-signature": "v1,%%%"}, body),
        "no id": ("signature_missing", without(good, "webhook-id"), body),
        "no timestamp": ("signature_missing", without(good, "webhook-timestamp"), body),
        "no signature": ("signature_missing", without(good, "webhook-signature"), body),
    }
    for name, (error, headers, sent) in variants.items():
        status, answer = box.post(headers, sent)
        tally.check(f"{library.name} tampered: {name}", (status, answer.get("error")), (401, error))
    # The heartbeat that they were made from was never the trouble.
    tally.check(f"{library.name} untampered", box.post(good, body)[0], 200)


def signed_by_us(box, library, tally):
    """What `heartbeatd sign` prints is what the library takes and, byte for byte, what it would have made."""
    for index, body in enumerate(BODIES):
        printed = box.run("sign", "--secret-file", box.folder / "secret", "--body", "-", input=body.encode())
        headers = dict(line.split(": ", 1) for line in printed.splitlines())
        id, timestamp = headers["webhook-id"], int(headers["webhook-timestamp"])
        what = f"{library.name} takes our signature of body {index}"
        tally.check(what, library.verify(box.secret, headers, body), None)
        tally.check(what, library.sign(box.secret, id, timestamp, body), headers["webhook-signature"])
        tally.check(what, library.verify(box.secret, headers, body + "!") is None, False)


def main():
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="heartbeat-interop-") as folder:
        box = Box(folder)
        try:
            for library in (Python(), Node()):
                for part in (accepted, refused, signed_by_us):
                    part(box, library, tally)
        except BaseException:
            box.daemon.kill()
            raise
        runs = [json.loads(line) for line in box.run("--config", box.config, "--json", "runs", "list").splitlines()]
        tally.check("runs were recorded", len(runs) > 0, True)
        tally.check("the daemon ends with 0", box.stop(), 0)
        if tally.failed:
            print((box.folder / "log").read_text()[-4000:])
    print(f"{tally.passed} passed, {tally.failed} failed")
    sys.exit(1 if tally.failed else 0)


main()
