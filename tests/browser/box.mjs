// A box as its owner makes it: `heartbeatd init`, flow files, `serve`, signed heartbeats by `beat`. Only its past is made
// up.
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { SILENT_AGENT_FLOW } from "./flows.mjs";

const HISTORY = path.join(import.meta.dirname, "history.py");

/** Waits until what is asked for is there, and returns it. */
export async function until(what, ask, patience_s = 20) {
  const end = Date.now() + patience_s * 1000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${patience_s} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

export class Box {
  /** Makes a box with these flows and their past, and serves it. */
  static async make(heartbeatd, flows) {
    const box = new Box();
    try {
      await box.prepare(heartbeatd, flows);
    } catch (error) {
      box.daemon?.kill("SIGKILL");
      throw error;
    }
    return box;
  }

  async prepare(heartbeatd, flows) {
    this.heartbeatd = heartbeatd;
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), "heartbeatd-browser-"));
    this.log = fs.openSync(path.join(this.folder, "log"), "a");
    // Its port stays the same when the daemon is started again, as a browser expects it.
    [this.port, this.statusPort] = [await freePort(), await freePort()];
    this.url = `http://127.0.0.1:${this.statusPort}`;
    this.command("init", ".");
    fs.rmSync(path.join(this.folder, "flows", "example.toml"));
    for (const { name, text } of flows) fs.writeFileSync(path.join(this.folder, "flows", `${name}.toml`), text);
    this.configure(flows);
    // The flows must be on record before they have a past, and two daemons must not write.
    await this.start();
    await this.stop();
    const pasts = Object.fromEntries(flows.map(({ name, past }) => [name, past]));
    execFileSync("python3", ["-B", HISTORY, path.join(this.folder, "heartbeat.db")], { input: JSON.stringify(pasts) });
    await this.start();
    this.command("beat", "--secret-file", "site-secret");
  }

  // The agent `weather` is silent, so that its flow is overdue while the other one beats.
  configure(flows) {
    const others = flows.map(({ name }) => name).filter((name) => name !== SILENT_AGENT_FLOW);
    for (const agent of ["site", "weather"]) {
      const secret = `whsec_${Buffer.alloc(32, agent).toString("base64")}\n`;
      fs.writeFileSync(path.join(this.folder, `${agent}-secret`), secret, { mode: 0o600 });
    }
    fs.writeFileSync(
      path.join(this.folder, "heartbeatd.toml"),
      `listen = ["127.0.0.1:${this.port}"]
shutdown_timeout = "1s"
kill_grace = "1s"
[status]
listen = "127.0.0.1:${this.statusPort}"
[[agents]]
name = "site"
scheme = "standard-webhooks"
secret_files = ["site-secret"]
flows = ${JSON.stringify(others)}
[[agents]]
name = "weather"
scheme = "standard-webhooks"
secret_files = ["weather-secret"]
flows = ${JSON.stringify([SILENT_AGENT_FLOW].filter(() => others.length < flows.length))}
`,
    );
  }

  /** Runs `heartbeatd` with these arguments, in the box. */
  command(...words) {
    return execFileSync(this.heartbeatd, words, {
      cwd: this.folder,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** The newest run of a flow. */
  lastRun(flow) {
    return JSON.parse(this.command("--json", "runs", "list", "--flow", flow, "--limit", "1"));
  }

  async start() {
    this.daemon = spawn(this.heartbeatd, ["serve"], { cwd: this.folder, stdio: ["ignore", this.log, this.log] });
    this.ended = new Promise((resolve) => this.daemon.once("exit", resolve));
    await until(
      "the daemon is ready",
      async () => {
        if (this.daemon.exitCode !== null) throw new Error(`the daemon ended:\n${this.tail()}`);
        return fetch(`${this.url}/readyz`).then(
          (answer) => answer.ok,
          () => false,
        );
      },
      60,
    );
  }

  async stop() {
    this.daemon.kill("SIGTERM");
    await this.ended;
  }

  tail() {
    return fs.readFileSync(path.join(this.folder, "log"), "utf8").slice(-2000);
  }

  async remove() {
    await this.stop();
    fs.closeSync(this.log);
    fs.rmSync(this.folder, { recursive: true });
  }
}
