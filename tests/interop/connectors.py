"""Holds the connectors of pipelines to other people's servers.

connectors.py HEARTBEATD: runs pipelines of `http` sources and sinks, by `heartbeatd serve` and `flow run --wait`, against
Python's own http.server, a server of PyPI's jsonrpcserver, a receiver that verifies with PyPI's standardwebhooks, and
nginx where it is installed; and that receiver gets alerts. Ends with 'N passed, N failed' and with 1 if any failed.
"""

import base64
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import standardwebhooks
from jsonrpcserver import Error, Success, dispatch, method
from support import Tally, free_port, serve

HEARTBEATD = sys.argv[1]
RECORDS = [{"n": number, "text": f"ünï-码 {number}"} for number in range(2_500)]


class Box:
    """A box in a temporary folder with a daemon and no flow but those that are given."""

    def __init__(self, folder, flows, settings):
        self.folder = Path(folder) / "box"
        self.run("init", self.folder, "--listen", "127.0.0.1:0")
        (self.folder / "flows" / "example.toml").unlink()
        for name, text in flows.items():
            text = text.replace("DIR", str(self.folder)).replace("NAME", name)
            (self.folder / "flows" / f"{name}.toml").write_text(f'run_interval = "1h"\n{text}')
        self.log = open(self.folder / "log", "w")
        self.daemon, _ = serve(HEARTBEATD, self.folder / "heartbeatd.toml", self.log, os.environ | settings)

    def run(self, *arguments):
        command = [HEARTBEATD, *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True).stdout.decode()

    def flow(self, name):
        """Runs a flow, and returns the run."""
        config = self.folder / "heartbeatd.toml"
        command = [HEARTBEATD, "--config", config, "--json", "flow", "run", name, "--wait"]
        subprocess.run(command, check=False, capture_output=True)
        runs = self.run("--config", config, "--json", "runs", "list", "--flow", name).splitlines()
        newest = max((json.loads(line) for line in runs), key=lambda run: run["id"])
        return json.loads(self.run("--config", config, "--json", "runs", "show", newest["id"]))

    def out(self, name):
        """What has arrived of a flow's records."""
        path = self.folder / f"{name}.out"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def stop(self):
        self.daemon.terminate()
        return self.daemon.wait(30)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes signed batches, JSON-RPC calls, and asks for records by JSON-RPC."""

    protocol_version = "HTTP/1.1"
    secret = ""
    alert_secret = ""
    taken = []
    verdicts = []
    alerts = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/rpc":
            return self.reply(200, dispatch(body))
        if self.path == "/alerts":
            # The first try of each is refused, so that the second has a signature of its own.
            webhook = standardwebhooks.Webhook(self.alert_secret)
            self.alerts.append(webhook.verify(body, dict(self.headers.items())))
            return self.reply(503 if len(self.alerts) % 2 else 204, "")
        try:
            standardwebhooks.Webhook(self.secret).verify(body, dict(self.headers.items()))
            verdict = self.headers["Idempotency-Key"] == self.headers["webhook-id"]
        except standardwebhooks.WebhookVerificationError as error:
            verdict = str(error)
        self.verdicts.append(verdict)
        self.taken.extend(json.loads(body))
        self.reply(200, "{}")

    def reply(self, status, text):
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@method
def readings(after=0, limit=100):
    """A page of records after a number, and the number to go on from."""
    page = RECORDS[after : after + limit]
    following = after + len(page) if after + len(page) < len(RECORDS) else None
    return Success({"items": page, "next": following})


@method
def store(records):
    if any(record["n"] == 7 for record in records):
        return Error(4711, "seven is not wanted")
    Receiver.taken.extend(records)
    return Success(len(records))


def serve_http(handler):
    """A server in a thread: its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def nginx(folder, root):
    """nginx with static files, one of them slow: its port and process; none where it is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        return None
    port = free_port()
    configuration = Path(folder) / "nginx.conf"
    configuration.write_text(f"""
daemon off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off; default_type application/json;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port}; root {root};
    location /slow/ {{ alias {root}/; limit_rate 1k; }}
    location /moved/ {{ return 301 /records.json; }}
    location /zipped/ {{ alias {root}/; gzip on; gzip_types application/json; gzip_min_length 1; }}
  }}
}}
""")
    process = subprocess.Popen([program, "-p", folder, "-c", configuration, "-e", "stderr"], stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return port, process
        except OSError:
            time.sleep(0.02)
    raise AssertionError("nginx does not start")


def source(url, more=""):
    sink = '[sink]\ntype = "file"\npath = "DIR/NAME.out"\n'
    return f'[source]\ntype = "http"\nurl = "{url}"\n{more}\n{sink}'


def sink(url, more=""):
    return f'[source]\ntype = "file"\npath = "DIR/in.jsonl"\n[sink]\ntype = "http"\nurl = "{url}"\n{more}\n'


def flows(static, rpc, nginx_port):
    answer = {
        "python-json": source(f"http://127.0.0.1:{static}/records.json"),
        "python-jsonl": source(f"http://localhost:{static}/records.jsonl", 'format = "jsonl"'),
        "python-404": source(f"http://127.0.0.1:{static}/nothing"),
        "rpc-all": source(
            f"http://127.0.0.1:{rpc}/rpc",
            'pointer = "/items"\njson_rpc = { method = "readings", params = { limit = 100000 } }',
        ),
        "rpc-paged": source(
            f"http://127.0.0.1:{rpc}/rpc",
            'pointer = "/items"\nnext = { pointer = "/next", parameter = "after" }\n'
            'json_rpc = { method = "readings", params = { limit = 100 } }',
        ),
        "rpc-wrong": source(f"http://127.0.0.1:{rpc}/rpc", 'json_rpc = { method = "no_such" }'),
        "signed": sink(f"http://127.0.0.1:{rpc}/webhook", 'secret_file = "DIR/secret"'),
        "rpc-sink": sink(f"http://127.0.0.1:{rpc}/rpc", 'format = "json-rpc"\nmethod = "store"\n[batch]\nrecords = 100'),
    }
    if nginx_port is not None:
        base = f"http://127.0.0.1:{nginx_port}"
        answer |= {
            "nginx": source(f"{base}/records.json"),
            "nginx-slow": source(f"{base}/slow/records.json", 'timeout = "300ms"'),
            "nginx-moved": source(f"{base}/moved/"),
            "nginx-followed": source(f"{base}/moved/", "follow_redirects = true"),
            "nginx-identity": source(f"{base}/zipped/records.json"),
        }
    return answer


def succeeded(run):
    return run["status"], run["records_written"]


def sources(box, tally, has_nginx):
    whole = ["python-json", "python-jsonl", "rpc-all", "rpc-paged"]
    whole += ["nginx", "nginx-followed", "nginx-identity"] if has_nginx else []
    for name in whole:
        tally.check(name, succeeded(box.flow(name)), ("success", len(RECORDS)))
        tally.check(f"{name}: what arrived", box.out(name), RECORDS)
    failures = {"python-404": "404", "rpc-wrong": "Method not found"}
    if has_nginx:
        failures |= {"nginx-slow": "is not whole within 300ms", "nginx-moved": "redirects are not followed"}
    for name, why in failures.items():
        run = box.flow(name)
        tally.check(name, (run["status"], run["error_kind"]), ("failed", "source"))
        tally.check(f"{name}: {run['error_message']}", why in run["error_message"], True)
        tally.check(f"{name}: what arrived", box.out(name), [])
    again = ["python-json", "rpc-paged"] + (["nginx"] if has_nginx else [])
    for name in again:
        # http.server knows If-Modified-Since, nginx ETags, and a page is not taken twice.
        tally.check(f"{name}: nothing new", succeeded(box.flow(name)), ("success", 0))
        tally.check(f"{name}: what arrived again", box.out(name), RECORDS)


def sinks(box, tally):
    lines = "".join(json.dumps(record) + "\n" for record in RECORDS)
    (box.folder / "in.jsonl").write_text(lines)
    tally.check("signed", succeeded(box.flow("signed")), ("success", len(RECORDS)))
    tally.check("signed: what arrived", Receiver.taken, RECORDS)
    tally.check("signed: verdicts", Receiver.verdicts, [True] * 3)
    Receiver.taken.clear()
    run = box.flow("rpc-sink")
    tally.check("rpc-sink", (*succeeded(run), run["records_rejected"]), ("success", len(RECORDS) - 100, 100))
    tally.check("rpc-sink: what arrived", Receiver.taken, RECORDS[100:])
    dead = (box.folder / "dead-letter" / "rpc-sink.jsonl").read_text().splitlines()
    tally.check("rpc-sink: dead letters", len(dead), 100)
    tally.check("rpc-sink: why", all("seven is not wanted" in line for line in dead), True)


def alerts(box, tally):
    """A flow that fails for the third time in a row."""
    for _ in range(2):
        box.flow("python-404")
    give_up = time.monotonic() + 30
    while len(Receiver.alerts) < 2 and time.monotonic() < give_up:
        time.sleep(0.05)
    told = [(alert["type"], alert["data"]["flow"], alert["data"]["error_kind"]) for alert in Receiver.alerts]
    tally.check("alerts", told, [("flow.failing", "python-404", "source")] * 2)
    tally.check("alerts: the same at each try", Receiver.alerts[0], Receiver.alerts[1])


def main():
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="heartbeat-connectors-") as folder:
        root = Path(folder) / "static"
        root.mkdir()
        os.chmod(folder, 0o755)
        (root / "records.json").write_text(json.dumps(RECORDS))
        (root / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
        # What was changed just now may change again within the second, and is not asked for by its time.
        for name in ("records.json", "records.jsonl"):
            os.utime(root / name, (1_000_000_000, 1_000_000_000))
        quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
        static, rpc = serve_http(partial(quiet, directory=root)), serve_http(Receiver)
        started = nginx(folder, root)
        port, process = started or (None, None)
        # One of its own: whoever gets alerts cannot start flows.
        alert_secret = Path(folder) / "alert-secret"
        alert_secret.touch(mode=0o600)
        alert_secret.write_text("whsec_" + base64.b64encode(os.urandom(32)).decode())
        settings = {
            "HEARTBEATD_ALERTS__URL": f"http://127.0.0.1:{rpc}/alerts",
            "HEARTBEATD_ALERTS__SECRET_FILE": str(alert_secret),
        }
        box = Box(folder, flows(static, rpc, port), settings)
        Receiver.secret = (box.folder / "secret").read_text().split()[0]
        Receiver.alert_secret = alert_secret.read_text()
        try:
            sources(box, tally, port is not None)
            sinks(box, tally)
            alerts(box, tally)
        except BaseException:
            box.daemon.kill()
            print((box.folder / "log").read_text()[-4000:])
            raise
        finally:
            if process is not None:
                process.terminate()
        tally.check("the daemon ends with 0", box.stop(), 0)
        if tally.failed:
            print((box.folder / "log").read_text()[-4000:])
    print(f"{tally.passed} passed, {tally.failed} failed")
    sys.exit(1 if tally.failed else 0)


main()
