// The browser, pages in it that are watched, and the tally of what was checked.
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.NODE_LIBRARIES, "here.cjs"));
const puppeteer = require("puppeteer-core");
const axe = require("axe-core");

export const DESKTOP = { width: 1280, height: 860 };
export const PHONE = { width: 360, height: 780, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const TAGS = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];

export function launch() {
  const executablePath = process.env.CHROMIUM ?? execFileSync("which", ["chromium"], { encoding: "utf8" }).trim();
  // Chromium's own sandbox refuses root, who runs the checks in containers.
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return puppeteer.launch({ executablePath, headless: true, args: [...args, "--disable-gpu", "--hide-scrollbars"] });
}

/** A page at a URL, and in `faults` what went wrong in it: words in its console, errors, what it wanted from elsewhere. */
export async function open(browser, url, { viewport = DESKTOP, scheme = "light", script = true, forgive = [] } = {}) {
  const page = await browser.newPage();
  page.faults = [];
  const fault = (text) => page.faults.push(text);
  page.on("console", (message) => {
    if (["error", "warn", "assert"].includes(message.type())) fault(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => fault(`error: ${error.message}`));
  page.on("request", (request) => {
    const target = request.url();
    if (!target.startsWith("data:") && new URL(target).origin !== new URL(url).origin) fault(`request to ${target}`);
  });
  await page.exposeFunction("reportViolation", (what) => fault(`policy violated: ${what}`));
  await page.evaluateOnNewDocument(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.reportViolation(`${event.violatedDirective} by ${event.blockedURI} ${event.sample}`);
    });
  });
  await page.setJavaScriptEnabled(script);
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: scheme },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
  await page.setViewport(viewport);
  const answer = await page.goto(url, { waitUntil: "load" });
  page.status = answer.status();
  // Two frames: what the script does at once is done, and drawn. Without scripts no frame is told.
  if (script)
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  page.faults = page.faults.filter((text) => !forgive.some((part) => text.includes(part)));
  return page;
}

/** What axe-core finds, a line each. */
export async function violations(page) {
  await page.evaluate(axe.source);
  const { violations: found } = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags }), TAGS);
  return found.map(({ id, help, nodes }) => {
    const [first] = nodes;
    return `${id} (${help}), ${nodes.length} times: ${first.target.join(" ")}: ${first.failureSummary.replace(/\s+/g, " ")}`;
  });
}

/** By how many CSS pixels a page is wider than its screen, and by which elements. */
export function overflow(page) {
  // A phone's browser widens `innerWidth` to what does not fit.
  return page.evaluate((width) => {
    const wide = document.documentElement.scrollWidth - width;
    if (wide <= 0) return "";
    const name = (element) => `${element.localName}.${element.className.baseVal ?? element.className}`;
    const isGuilty = (element) => element.getBoundingClientRect().right > width + 0.5;
    const guilty = [...document.querySelectorAll("body *")].filter(isGuilty);
    return `${wide} px too wide, by ${guilty.slice(0, 4).map(name).join(", ")}`;
  }, page.viewport().width);
}

/** Names of the flows whose rows are to be seen. */
export function rows(page) {
  return page.$$eval(".flow[id^='f-']", (found) =>
    found.filter((row) => row.checkVisibility()).map((row) => row.id.slice(2)),
  );
}

export class Tally {
  passed = 0;
  failed = 0;

  /** One check: what it finds wrong (text or texts) is told; nothing, or `true`, is well. */
  async check(name, examine) {
    let wrong;
    try {
      wrong = await examine();
    } catch (error) {
      wrong = error.message;
    }
    if (wrong === false) wrong = "it is not so";
    const texts = [wrong].flat().filter((text) => text && text !== true);
    if (texts.length === 0) {
      this.passed += 1;
      console.log(`ok      ${name}`);
      return;
    }
    this.failed += 1;
    console.log(`FAILED  ${name}`);
    for (const text of texts) console.log(`        ${text}`);
  }
}

/** For a check: nothing if both are the same, else what differs. */
export function same(found, wanted) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
  return left === right ? "" : `found ${left}, wanted ${right}`;
}
