// What people do with the page: without a script, by keyboard, with large letters, on paper.
import { DESKTOP, open, overflow, rows, same } from "./browser.mjs";
import { until } from "./box.mjs";
import { FEW, MANY } from "./flows.mjs";

/** `limits::PAGE_BYTES_MAX`. */
const PAGE_BYTES_MAX = 60 * 1024;

const matching = (text) =>
  FEW.filter(({ text: definition }) => {
    const [name, description] = definition.split("\n");
    return name.includes(text, 8) || description.toLowerCase().includes(text, 15);
  })
    .map(({ name }) => name)
    .sort();

/** Follows a link or sends a form, and waits for the page behind it. */
async function go(page, act) {
  await Promise.all([page.waitForNavigation({ waitUntil: "load" }), act()]);
}

export async function checkWithoutScript(tally, browser, box) {
  const page = await open(browser, box.url, { script: false });
  const names = FEW.map(({ name }) => name).sort();
  await tally.check("without a script: every flow is there", async () => same((await rows(page)).sort(), names));
  await tally.check("without a script: each row has a history for the ear", () =>
    page.$$eval(".flow", (found) => found.every((row) => row.querySelectorAll("table caption").length === 1)),
  );
  await tally.check("without a script: a last output unfolds", async () => {
    const details = await page.$(".err details");
    const before = await details.evaluate((element) => element.open);
    await (await details.$("summary")).click();
    return same(await details.evaluate((element) => element.open), !before);
  });
  await tally.check("without a script: the form searches", async () => {
    await page.type("#q", "pump");
    await go(page, () => page.keyboard.press("Enter"));
    return same((await rows(page)).sort(), matching("pump"));
  });
  await tally.check("without a script: the button searches, and what is sought stays there", async () => {
    await page.$eval("#q", (input) => {
      input.value = "read";
    });
    await go(page, () => page.click(".find button"));
    return [
      same((await rows(page)).sort(), matching("read")),
      same(await page.$eval("#q", (input) => input.value), "read"),
    ];
  });
  await page.goto(box.url);
  for (const [state, wanted] of [
    ["problems", FEW.filter(({ past }) => past.failing || past.late_s)],
    ["off", FEW.filter(({ text }) => text.includes("enabled = false"))],
  ]) {
    await tally.check(`without a script: the link "${state}" filters, and says so`, async () => {
      await go(page, () => page.click(`.chips a[href*="state=${state}"]`));
      const current = await page.$$eval(".chips a[aria-current]", (links) => links.map((link) => link.textContent));
      return [
        same((await rows(page)).sort(), wanted.map(({ name }) => name).sort()),
        current.some((text) => text.startsWith(state)) ? "" : `current: ${current}`,
      ];
    });
  }
  await tally.check("without a script: nothing complains", () => page.faults);
  await page.close();
}

export async function checkSearch(tally, browser, box) {
  const page = await open(browser, box.url);
  await page.evaluate(() => {
    window.stayed = true;
  });
  await tally.check("what is typed into the search filters at once", async () => {
    await page.type("#q", "pump");
    await until(
      "only what matches is shown",
      async () => same((await rows(page)).sort(), matching("pump")) === "",
      5,
    ).catch(async () => {
      throw new Error(`shown: ${await rows(page)}; wanted: ${matching("pump")}`);
    });
    return page.evaluate(() => window.stayed === true && document.activeElement.id === "q");
  });
  await tally.check("what is deleted from the search brings the others back", async () => {
    for (const _ of "pump") await page.keyboard.press("Backspace");
    await until("every flow is shown", async () => (await rows(page)).length === FEW.length, 5);
  });
  await tally.check("the search complains of nothing", () => page.faults);
  await page.close();
}

export async function checkTicks(tally, browser, box) {
  const page = await open(browser, box.url);
  await tally.check("a tick tells its time and what ran then", async () => {
    const told = [];
    const strips = await page.$$("#f-upload-readings .strip");
    const { x, y, width, height } = await strips[0].boundingBox();
    for (let part = 0; part < 96; part++) {
      await page.mouse.move(x + ((part + 0.5) * width) / 96, y + height / 2);
      told.push(await page.$eval("#f-upload-readings .hist", (hist) => hist.title));
    }
    if (new Set(told.map((text) => text.slice(0, 16))).size !== 96) return `not each has its time: ${told}`;
    const wrong = told.find((text) => !/^\d{4}-\d\d-\d\d \d\d:(00|15|30|45): \S/.test(text));
    if (wrong !== undefined) return `told: ${wrong}`;
    const missing = ["succeeded", "failed", "not all on record"].find((what) => !told.some((text) => text.includes(what)));
    return missing ? `nowhere: ${missing}, in ${told}` : "";
  });
  await page.close();
}

export async function checkPaging(tally, browser, box) {
  const page = await open(browser, box.url, { script: false });
  const seen = new Set();
  let pages = 1;
  await tally.check("1,000 flows: the link to further ones reaches each of them", async () => {
    for (; ; pages += 1) {
      for (const name of await rows(page)) seen.add(name);
      if (!(await page.$(".turn a[rel=next]")) || pages > MANY.length) break;
      await go(page, () => page.click(".turn a[rel=next]"));
    }
    return same(seen.size, MANY.length);
  });
  await tally.check("1,000 flows: and the way back", async () => {
    await go(page, () => page.click(".turn a[rel=prev]"));
    return same((await page.$(".turn a[rel=next]")) !== null, true);
  });
  await tally.check("1,000 flows: no page is larger than 60 KiB", async () => {
    let largest = [0, ""];
    for (let number = 1; number <= pages; number += 1) {
      for (const span of ["24h", "7d", "90d"]) {
        const target = `${box.url}/?span=${span}&page=${number}`;
        const { byteLength } = await (await fetch(target)).arrayBuffer();
        if (byteLength > largest[0]) largest = [byteLength, target];
      }
    }
    console.log(`        the largest of ${pages * 3}: ${largest[0]} bytes`);
    return largest[0] > PAGE_BYTES_MAX ? `${largest[1]} is ${largest[0]} bytes` : "";
  });
  await page.close();
}

/** What the key Tab stops at: what it is, whether it is to be seen that the focus is there, and whether it comes in order. */
async function stops(page) {
  const found = [];
  for (let count = 0; count < 400; count += 1) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === document.body || element === window.firstStop) return null;
      window.firstStop ??= element;
      const comesAfter =
        !window.lastStop ||
        Boolean(window.lastStop.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING);
      window.lastStop = element;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const box = element.getBoundingClientRect();
      const top = document.elementFromPoint(box.left + box.width / 2, box.top + Math.min(box.height / 2, 8));
      return {
        what: element.id
          ? `#${element.id}`
          : `${element.localName} ${element.getAttribute("href") ?? element.textContent.slice(0, 30)}`,
        comesAfter,
        isSeen:
          outlineStyle !== "none" &&
          parseFloat(outlineWidth) >= 2 &&
          box.width > 1 &&
          box.bottom > 0 &&
          box.top < innerHeight &&
          (element === top || element.contains(top) || Boolean(top?.contains(element))),
      };
    });
    if (stop === null) break;
    found.push(stop);
  }
  return found;
}

export async function checkKeyboard(tally, browser, box) {
  const page = await open(browser, box.url);
  const wanted = await page.$$eval("a[href], input:not([type=hidden]), button, summary, [tabindex='0']", (elements) =>
    elements
      .filter((element) => element.checkVisibility())
      .map((element) =>
        element.id
          ? `#${element.id}`
          : `${element.localName} ${element.getAttribute("href") ?? element.textContent.slice(0, 30)}`,
      ),
  );
  const found = await stops(page);
  await tally.check("keyboard: Tab stops at everything that can be used, in order", () => [
    same(
      found.map(({ what }) => what),
      wanted,
    ),
    ...found.filter(({ comesAfter }) => !comesAfter).map(({ what }) => `${what} comes too late`),
  ]);
  await tally.check("keyboard: the search comes before the filters, and these before the flows", () => {
    const index = (part) => found.findIndex(({ what }) => what.includes(part));
    const order = ["a #main", "#q", "state=problems", "span=7d", "/flows/"].map(index);
    return same(
      order.every((at, number) => at >= 0 && (number === 0 || at > order[number - 1])),
      true,
    );
  });
  await tally.check("keyboard: where the focus is can be seen", () =>
    found.filter(({ isSeen }) => !isSeen).map(({ what }) => `${what} does not show it`),
  );
  await page.close();
  const again = await open(browser, box.url);
  await tally.check("keyboard: the first stop leads past the head", async () => {
    await again.keyboard.press("Tab");
    await again.keyboard.press("Enter");
    await again.keyboard.press("Tab");
    return again.evaluate(() => location.hash === "#main" && document.activeElement.closest("main") !== null);
  });
  await again.close();
}

/** Larger letters: of the browser's own setting, and by zooming. */
export async function checkText(tally, browser, pages) {
  for (const { name, url } of pages) {
    const page = await open(browser, url);
    const size = () => page.evaluate(() => parseFloat(getComputedStyle(document.body).fontSize));
    const before = await size();
    const session = await page.createCDPSession();
    await session.send("Page.setFontSizes", { fontSizes: { standard: 32, fixed: 26 } });
    await tally.check(`${name}: letters of twice the size are, and do not widen the page`, async () => [
      same(await size(), before * 2),
      await overflow(page),
    ]);
    await session.send("Page.setFontSizes", { fontSizes: { standard: 16, fixed: 13 } });
    await page.setViewport({ width: DESKTOP.width / 4, height: DESKTOP.height / 4, deviceScaleFactor: 4 });
    await tally.check(`${name}: zoomed to 400 % it needs no sideways scrolling`, () => overflow(page));
    await page.close();
  }
}

export async function checkPrint(tally, browser, pages) {
  for (const { name, url } of pages) {
    const page = await open(browser, url, { scheme: "dark" });
    await tally.check(`${name}: prints`, async () => {
      const paper = await page.pdf({ format: "A4" });
      return same(Buffer.from(paper).subarray(0, 5).toString(), "%PDF-");
    });
    await page.emulateMediaType("print");
    await tally.check(`${name}: on paper dark stands on white, without what could be clicked`, () =>
      page.evaluate(() => {
        const { backgroundColor, color } = getComputedStyle(document.body);
        const luminance = (text) =>
          text
            .match(/\d+/g)
            .slice(0, 3)
            .map(Number)
            .reduce((sum, part) => sum + part) / 3;
        const shown = [...document.querySelectorAll("input:not([type=hidden]), button, nav a, .skip")].filter(
          (element) => element.checkVisibility(),
        );
        return [
          luminance(backgroundColor) > 250 && luminance(color) < 80 ? "" : `${color} on ${backgroundColor}`,
          ...shown.map((element) => `${element.localName} ${element.textContent} is printed`),
        ];
      }),
    );
    await page.close();
  }
}
