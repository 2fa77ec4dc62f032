"""Holds the daemon to GitHub's own library as a signer (npm's @octokit/webhooks-methods), and to Python's hmac as Grafana.

agents.py HEARTBEATD: ends with 'N passed, N failed' and with 1 if any failed.
"""

import hashlib
import hmac
import http.client
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support import Tally, serve

HEARTBEATD = sys.argv[1]
BODIES = ["{}", '{"ref":"refs/heads/main","note":"ünï-码 🫀"}', "payload=%7B%7D", "x" * 60_000]
AGENTS = {"hub": "It's a Secret to Everybody", "grafana": secrets.token_hex(32)}


class Box:
    def __init__(self, folder):
        self.folder = Path(folder)
        settings = 'listen = ["127.0.0.1:0"]\n[limits]\nfailed_signatures_per_minute = 10000\n'
        for name, secret in AGENTS.items():
            path = self.folder / name
            path.write_text(secret + "\n")
            path.chmod(0o600)
            scheme = "github" if name == "hub" else name
            settings += f'[[agents]]\nname = "{name}"\nscheme = "{scheme}"\nsecret_files = ["{name}"]\n'
        config = self.folder / "heartbeatd.toml"
        config.write_text(settings)
        self.log = open(self.folder / "log", "w")
        self.daemon, self.port = serve(HEARTBEATD, config, self.log)

    def post(self, headers, body):
        """The status, and the error or whether it was known already."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", "/data_flows/heartbeat", body.encode(), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer.get("error", answer.get("duplicate"))


class GitHub:
    """npm's library, in a node process of its own."""

    name = "octokit"

    def __init__(self):
        script = Path(__file__).with_name("github.mjs")
        self.process = subprocess.Popen(
            ["node", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def headers(self, body, secret=AGENTS["hub"]):
        self.process.stdin.write(json.dumps({"secret": secret, "body": body}) + "\n")
        self.process.stdin.flush()
        signature = json.loads(self.process.stdout.readline())["signature"]
        return {"X-Hub-Signature-256": signature, "X-GitHub-Delivery": secrets.token_hex(16), "X-GitHub-Event": "push"}


class Grafana:
    """What Grafana's HMAC round tripper does, with Python's hmac."""

    name = "grafana"

    def headers(self, body, secret=AGENTS["grafana"]):
        timestamp = str(int(time.time()))
        code = hmac.new(secret.encode(), f"{timestamp}:{body}".encode(), hashlib.sha256).hexdigest()
        return {"X-Grafana-Alerting-Signature": code, "X-Grafana-Alerting-Timestamp": timestamp}


def judge(box, sender, tally):
    for index, body in enumerate(BODIES):
        headers = sender.headers(body)
        tally.check(f"{sender.name} body {index}", box.post(headers, body), (200, False))
        tally.check(f"{sender.name} body {index} again", box.post(headers, body), (200, True))
        tally.check(f"{sender.name} body {index} tampered", box.post(headers, body + " "), (401, "signature_mismatch"))
    foreign = sender.headers("{}", "another secret than ours")
    tally.check(f"{sender.name} foreign", box.post(foreign, "{}"), (401, "signature_mismatch"))


def main():
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="heartbeat-agents-") as folder:
        os.chmod(folder, 0o700)
        box = Box(folder)
        try:
            for sender in (GitHub(), Grafana()):
                judge(box, sender, tally)
        finally:
            box.daemon.terminate()
        tally.check("the daemon ends with 0", box.daemon.wait(30), 0)
        if tally.failed:
            print((box.folder / "log").read_text()[-4000:])
    print(f"{tally.passed} passed, {tally.failed} failed")
    sys.exit(1 if tally.failed else 0)


main()
