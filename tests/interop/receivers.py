"""Runs the receivers that docs/pipelines.md and docs/alerts.md show, from their own text: those that verify with PyPI's
standardwebhooks, and the commands that alerts are given to.

receivers.py HEARTBEATD: a flow sends them records, and one that fails makes alerts. Ends with 'N passed, N failed' and with 1
if any failed.
"""

import base64
import contextlib
import json
import secrets
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support import Tally, block, free_port, serve

HEARTBEATD = sys.argv[1]
FAILS = 'run_interval = "1h"\n[command]\nargv = ["false"]\n'


def until(holds, what):
    give_up = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < give_up, f"not within 30 s: {what}"
        time.sleep(0.02)


def heartbeatd(box, *arguments):
    command = [HEARTBEATD, "--config", box / "heartbeatd.toml", *arguments]
    return subprocess.run(command, check=False, capture_output=True, encoding="utf-8").stdout


@contextlib.contextmanager
def daemon(box):
    with open(box / "log", "w") as log:
        process, _ = serve(HEARTBEATD, box / "heartbeatd.toml", log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
        (box / "port").unlink()


@contextlib.contextmanager
def receiver(folder, document, words):
    """The receiver of a document at work: its port, and the file of what it prints."""
    text, port = block(document, "python", words), free_port()
    assert '("", 8080)' in text, "the port that the text names"
    (folder / "receiver.py").write_text(text.replace('("", 8080)', f'("127.0.0.1", {port})'))
    printed = folder / "printed"
    with open(printed, "w") as out, open(folder / "receiver.log", "w") as log:
        process = subprocess.Popen([sys.executable, "-u", "receiver.py"], cwd=folder, stdout=out, stderr=log)
    try:

        def listens():
            assert process.poll() is None, (folder / "receiver.log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens, "the receiver listens")
        yield port, printed
    finally:
        process.terminate()
        process.wait(30)


def new_box(folder):
    box = Path(folder) / "box"
    subprocess.run([HEARTBEATD, "init", box, "--listen", "127.0.0.1:0"], check=True, capture_output=True)
    (box / "flows" / "example.toml").unlink()
    return box


def new_secret(path):
    path.touch(0o600)
    path.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() + "\n")


def alerts(box, to):
    """Has each failure told."""
    config = box / "heartbeatd.toml"
    config.write_text(config.read_text().replace("\n[alerts]\n", f"\n[alerts]\n{to}\nafter_failures = 1\n"))


def takes_records(tally, box):
    """Each record is in the receiver's table; one that it cannot take is a dead letter."""
    new_secret(box / "receiver.secret")
    with receiver(box, "pipelines.md", "Idempotency-Key") as (port, _), daemon(box):
        (box / "flows" / "send.toml").write_text(
            f'run_interval = "1h"\n[source]\ntype = "file"\npath = "{box}/in.jsonl"\n[batch]\nrecords = 1\n'
            f'[sink]\ntype = "http"\nurl = "http://127.0.0.1:{port}/readings"\nsecret_file = "{box}/receiver.secret"\n'
        )
        records = [{"sensor": "door", "value": 20.5}, {"sensor": "roof", "value": -3.0}]
        (box / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in [*records, {"other": 1}]))
        heartbeatd(box, "reload")
        heartbeatd(box, "flow", "run", "send", "--wait")

        def rows(sql):
            with contextlib.closing(sqlite3.connect(box / "received.db")) as received:
                return received.execute(sql).fetchall()

        tally.check("records", rows("SELECT sensor, value FROM reading"), [("door", 20.5), ("roof", -3.0)])
        run = json.loads(heartbeatd(box, "--json", "runs", "show", "1"))
        tally.check("a dead letter", (run["records_written"], run["records_rejected"]), (2, 1))
        tally.check("keys", len(rows("SELECT key FROM batch")), 2)


def takes_alerts(tally, box):
    with receiver(box, "alerts.md", "webhook.verify") as (port, printed):
        new_secret(box / "alert-secret")
        alerts(box, f'url = "http://127.0.0.1:{port}/"\nsecret_file = "alert-secret"')
        (box / "flows" / "fails.toml").write_text(FAILS)
        with daemon(box):
            heartbeatd(box, "flow", "run", "fails", "--wait")
            until(lambda: printed.read_text().endswith("\n"), "the alert is told")
        told = printed.read_text()
        tally.check("an alert", ("fails" in told, len(told.splitlines())), (True, 1))


def gives_alerts_to_commands(tally, box):
    """`sendmail` is a program that keeps what it gets, and ntfy a server of one request."""
    sendmail = box / "sendmail"
    sendmail.write_text(f'#!/bin/sh\n{{ echo "To: $1"; cat; }} > {box}/mail.new && mv {box}/mail.new {box}/mail\n')
    sendmail.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as ntfy:
        phone = block("alerts.md", "sh", "ntfy.sh")
        assert "https://ntfy.sh/" in phone
        scripts = {
            "by-mail": block("alerts.md", "sh", "sendmail").replace(" sendmail ", f" {sendmail} "),
            "to-a-phone": phone.replace("https://ntfy.sh", f"http://127.0.0.1:{ntfy.getsockname()[1]}"),
        }
        plain = (box / "heartbeatd.toml").read_text()
        for name, script in scripts.items():
            (box / name).write_text(script)
            (box / name).chmod(0o755)
            (box / "heartbeatd.toml").write_text(plain)
            alerts(box, f'command = ["./{name}"]')
            (box / "flows" / f"{name}.toml").write_text(FAILS)
            with daemon(box):
                heartbeatd(box, "flow", "run", name, "--wait")
                if name == "by-mail":
                    until((box / "mail").exists, "the mail is sent")
                    mail = (box / "mail").read_text()
                    head = f"To: operator@example.org\nSubject: [{socket.gethostname()}] flow.failing\n\n"
                    tally.check("a mail", (mail.startswith(head), name in mail), (True, True))
                else:
                    ntfy.settimeout(30)
                    connection, _ = ntfy.accept()
                    with connection:
                        request = connection.makefile("rb").readline().decode()
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    tally.check("a topic", request.rstrip(), "POST /your-secret-topic HTTP/1.1")


def main():
    tally = Tally()
    for what in (takes_records, takes_alerts, gives_alerts_to_commands):
        with tempfile.TemporaryDirectory(prefix="heartbeat-receivers-") as folder:
            what(tally, new_box(folder))
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
