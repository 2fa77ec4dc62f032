// The flows of the boxes that are looked at, and what their past was like (history.py). `failing`: the last so many runs
// failed; `rare`: one of so many did before; `gap`: nothing ran for a few hours; `late_s`: due for so long; `open`: due at
// the first heartbeat.

const TRACEBACK = `reading /var/lib/readings/today.csv
connecting to 10.0.0.12:5432
Traceback (most recent call last):
  File "upload.py", line 41, in main
ConnectionRefusedError: [Errno 111] Connection refused <10.0.0.12:5432>
`;
// Nothing in it breaks by itself.
const LINE = `${"0123456789abcdef".repeat(60)}\n`;

// It comes first among those that fail.
export const LONG_NAME = `all-sites-${"x".repeat(118)}`;
export const SILENT_AGENT_FLOW = "forecast-river-level";

const flow = (name, description, interval, script, past = {}, more = "") => ({
  name,
  past,
  text: `name = "${name}"
description = "${description}"
run_interval = "${interval}"
${more}
[command]
shell = true
argv = '''${script}'''
`,
});

export const FEW = [
  flow(
    "upload-readings",
    "Sends the readings of the last minutes to the collector",
    "5m",
    `cat <<'END'\n${TRACEBACK}END\nexit 3`,
    { median_ms: 1300, failing: 4, rare: 60, gap: true, tail: TRACEBACK, error: "exited with status 3" },
  ),
  flow("mirror-firmware", "Fetches the vendor's index", "2h", "echo 'HTTP 503 from the vendor'; exit 3", {
    median_ms: 4200,
    failing: 2,
    rare: 20,
    tail: "HTTP 503 from the vendor\n",
    error: "exited with status 3",
  }),
  flow(SILENT_AGENT_FLOW, "Water levels for the pump plan", "1h", "echo 41 levels", { median_ms: 2600, late_s: 18000 }),
  flow("read-meters", "Asks every meter on the bus", "1m", "sleep 2; echo 41 meters", { median_ms: 740, rare: 300 }),
  flow("backup-database", "", "1d", "echo done", { median_ms: 61000, rare: 30 }),
  flow("check-ups", "How long the batteries would last", "10m", "sleep 2; echo 100 %", { median_ms: 210 }),
  flow("export-month", "A long one", "1d", "sleep 600", { median_ms: 1900000, open: true }),
  flow("plan-pumps", "Plans the pumps of the next day", "12h", "echo planned", { median_ms: 9400, rare: 25 }),
  flow("push-metrics", "", "5m", "echo pushed", { median_ms: 320, rare: 90, gap: true }),
  flow("rotate-camera-archive", "Deletes what is older than 30 days", "6h", "echo 12 files", { median_ms: 31000 }),
  flow("sync-clock-report", "How far the clock is off", "30m", "echo 0.3", { median_ms: 240, rare: 200 }),
  flow("count-visitors", "Not asked for any more", "1h", "echo 7", { median_ms: 900 }, "enabled = false"),
];

// A thousand, with what is too long for any column among those that fail and so come first.
export const MANY = [
  flow(LONG_NAME, LINE.trim().slice(0, 200), "10m", "exit 1", {
    median_ms: 86399000,
    failing: 3,
    tail: LINE.repeat(4),
    error: LINE.trim(),
  }),
  ...Array.from({ length: 999 }, (_, number) =>
    flow(`site-${String(number).padStart(4, "0")}-collect`, `Collects what site ${number} measured`, "10m", "exit 1", {
      median_ms: 2000 + number,
      failing: number % 3 === 0 ? 2 : 0,
      rare: 9,
      gap: number % 5 === 0,
      tail: TRACEBACK,
      error: "exited with status 3",
    }),
  ),
];
