// The page while it stays open: it changes when a run ends, leaves alone what somebody does with it, and says when it is
// cut off.
import { open, rows, same } from "./browser.mjs";
import { until } from "./box.mjs";
import { FEW } from "./flows.mjs";

const word = (page) => page.$eval("#live", (element) => (element.checkVisibility() ? element.textContent.trim() : ""));
const isLive = async (page) => /^live\b/i.test(await word(page));

/** What a row tells of the flow's last run: its time, and that of its last error. */
const told = (page, flow) =>
  page.$eval(`#f-${flow}`, (row) =>
    [row.querySelector(".when time")?.dateTime, row.querySelector(".err a")?.href].join(" "),
  );

/** Starts a flow as an operator does, and waits until its row tells of its end. */
async function runAndSee(page, box, flow) {
  const before = await told(page, flow);
  box.command("flow", "run", flow);
  await until(`the row of ${flow} changes`, async () => (await told(page, flow)) !== before);
}

export async function checkLive(tally, browser, box) {
  const page = await open(browser, box.url);
  await page.evaluate(() => {
    window.stayed = true;
  });
  await tally.check("live: the page says that it is", async () => {
    await until("it says so", () => isLive(page), 10).catch(async (error) => {
      throw new Error(`${error.message}: "${await word(page)}"`);
    });
  });
  await tally.check("live: a run's start and end change its row, without a reload", async () => {
    const before = await told(page, "check-ups");
    box.command("flow", "run", "check-ups");
    await until("its row says running", () =>
      page.$eval("#f-check-ups .st", (text) => text.textContent.includes("running")),
    );
    await until(
      "its row says fine",
      async () =>
        (await told(page, "check-ups")) !== before &&
        page.$eval("#f-check-ups .st", (text) => text.textContent.includes("fine")),
    );
    return page.evaluate(() => window.stayed === true);
  });
  await checkUndisturbed(tally, page, box);
  await tally.check("live: nothing complains", () => page.faults);
  await checkOthers(tally, browser, box);
  await page.bringToFront();
  await checkCut(tally, page, box);
  await page.close();
}

/** What somebody did with the page is as it was after it changed. */
async function checkUndisturbed(tally, page, box) {
  const isOpen = () => page.$eval("#f-upload-readings details", (details) => details.open);
  await tally.check("live: what was folded stays so, and the focus stays", async () => {
    await page.click("#f-upload-readings summary");
    await page.focus("#f-upload-readings h2 a");
    const before = await isOpen();
    await runAndSee(page, box, "upload-readings");
    return [
      same(await isOpen(), before),
      same(await page.evaluate(() => document.activeElement.getAttribute("href")), "/flows/upload-readings"),
    ];
  });
  await tally.check("live: what was unfolded stays so", async () => {
    await page.click("#f-upload-readings summary");
    const before = await isOpen();
    await runAndSee(page, box, "upload-readings");
    return same(await isOpen(), before);
  });
  await tally.check("live: where one has scrolled to is where one stays", async () => {
    await page.evaluate(() => scrollTo(0, 300));
    const before = await page.evaluate(() => scrollY);
    await runAndSee(page, box, "check-ups");
    const after = await page.evaluate(() => scrollY);
    await page.evaluate(() => scrollTo(0, 0));
    return same(after, before);
  });
  await tally.check("live: what is typed stays, with its focus and caret, and goes on filtering", async () => {
    await page.type("#q", "check");
    await page.keyboard.press("ArrowLeft");
    await until("only what matches is shown", async () => same(await rows(page), ["check-ups"]) === "");
    await runAndSee(page, box, "check-ups");
    const found = await page.evaluate(() => [
      document.activeElement.id,
      document.activeElement.value,
      document.activeElement.selectionStart,
    ]);
    return [same(found, ["q", "check", 4]), same(await rows(page), ["check-ups"])];
  });
  await page.$eval("#q", (input) => {
    input.value = "";
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await tally.check("live: all of that was one and the same page", () => page.evaluate(() => window.stayed === true));
}

/** The page of a flow lists the run that ended meanwhile, and what stands on the system page stays so. */
async function checkOthers(tally, browser, box) {
  const [system, flow] = [await open(browser, `${box.url}/system`), await open(browser, `${box.url}/flows/check-ups`)];
  await tally.check("live: a flow's page shows the run that ended", async () => {
    box.command("flow", "run", "check-ups", "--wait");
    const { id } = box.lastRun("check-ups");
    await until(`run ${id} is there`, () => flow.$(`main a[href="/runs/${id}"]`));
    return flow.faults;
  });
  await tally.check("live: the system page says that it is", async () => {
    // A browser lets rest what is not in front.
    await system.bringToFront();
    await until("it says so", () => isLive(system));
    return system.faults;
  });
  for (const page of [system, flow]) await page.close();
}

/** The daemon goes and comes back. */
async function checkCut(tally, page, box) {
  await box.stop();
  await tally.check("live: it says when it is no more", async () => {
    await until("it says so", async () => !(await isLive(page)));
    const text = await word(page);
    console.log(`        it says: ${text}`);
    return text === "" ? "it says nothing" : "";
  });
  await tally.check("live: it stays to be read meanwhile", async () => same((await rows(page)).length, FEW.length));
  await box.start();
  await tally.check("live: it is again when the daemon is back, by itself", async () => {
    await until("it says so", () => isLive(page), 60);
    await runAndSee(page, box, "check-ups");
    return page.evaluate(() => window.stayed === true);
  });
}
