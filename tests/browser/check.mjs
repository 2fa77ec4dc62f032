// check.mjs HEARTBEATD: the status page as people use it, in a real browser, of real daemons. One line a check; exit
// status 1 if any failed.
import { DESKTOP, PHONE, Tally, launch, open, overflow, rows, same, violations } from "./browser.mjs";
import { Box } from "./box.mjs";
import { FEW, LONG_NAME, MANY } from "./flows.mjs";
import { checkLive } from "./live.mjs";
import { checkKeyboard, checkPaging, checkPrint, checkSearch, checkText, checkTicks, checkWithoutScript } from "./use.mjs";

/** Every kind of page of a box, and what it is called in the checks. */
async function kinds(browser, few, many) {
  const page = await open(browser, few.url);
  const runOf = (name) => page.$eval(`#f-${name} a[href^="/runs/"]`, (link) => link.getAttribute("href"));
  const failed = await runOf("upload-readings");
  await page.close();
  return [
    ["overview", few.url],
    ["overview of 7 days", `${few.url}/?span=7d`],
    ["overview of 90 days", `${few.url}/?span=90d`],
    ["overview of problems", `${few.url}/?state=problems`],
    ["overview of nothing", `${few.url}/?q=nothing-is-called-so`],
    ["page of a failing flow", `${few.url}/flows/upload-readings`],
    ["page of a flow that is fine", `${few.url}/flows/read-meters`],
    ["page of a failed run", few.url + failed],
    ["page of a run that succeeded", `${few.url}/runs/${few.lastRun("check-ups").id}`],
    ["system page", `${few.url}/system`],
    ["page that is not there", `${few.url}/flows/nothing-is-called-so`, 404],
    ["overview of 1,000 flows", many.url],
    ["page of a flow with a long name", `${many.url}/flows/${LONG_NAME}`],
    ["page of a run with long lines", `${many.url}/runs/${many.lastRun(LONG_NAME).id}`],
  ].map(([name, url, status = 200]) => ({ name, url, status }));
}

/** Each page, light and dark, on a desktop and on a phone. */
async function checkLooks(tally, browser, pages) {
  for (const { name, url, status } of pages) {
    // Chromium tells of an answer's status in the console.
    const forgive = status === 200 ? [] : [`status of ${status}`];
    for (const [device, viewport] of [
      ["desktop", DESKTOP],
      ["phone", PHONE],
    ]) {
      for (const scheme of ["light", "dark"]) {
        const where = `${name}, ${device}, ${scheme}`;
        const page = await open(browser, url, { viewport, scheme, forgive });
        await tally.check(`${where}: loads by itself, and nothing complains`, () => [
          ...page.faults,
          same(page.status, status),
        ]);
        await tally.check(`${where}: not wider than the screen`, () => overflow(page));
        await tally.check(`${where}: axe-core finds nothing`, () => violations(page));
        await page.close();
      }
    }
  }
}

async function checkAll(tally, browser, few, many) {
  const page = await open(browser, few.url);
  await tally.check("every flow has a row", async () =>
    same((await rows(page)).sort(), FEW.map(({ name }) => name).sort()),
  );
  await page.close();
  const pages = await kinds(browser, few, many);
  await checkLooks(tally, browser, pages);
  await checkWithoutScript(tally, browser, few);
  await checkSearch(tally, browser, few);
  await checkTicks(tally, browser, few);
  await checkPaging(tally, browser, many);
  await checkKeyboard(tally, browser, few);
  await checkText(tally, browser, pages);
  await checkPrint(tally, browser, pages);
  await checkLive(tally, browser, few);
}

const [heartbeatd] = process.argv.slice(2);
const tally = new Tally();
const boxes = [];
let browser;
try {
  for (const flows of [FEW, MANY]) boxes.push(await Box.make(heartbeatd, flows));
  browser = await launch();
  await checkAll(tally, browser, ...boxes);
} finally {
  await browser?.close();
  for (const box of boxes) await box.remove();
}
console.log(`status page: ${tally.passed} checks passed, ${tally.failed} failed`);
process.exitCode = tally.failed === 0 ? 0 : 1;
