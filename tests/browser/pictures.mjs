// pictures.mjs HEARTBEATD FOLDER: the pictures of the status page that the documentation shows, of the box that is
// checked.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { DESKTOP, PHONE, launch, open } from "./browser.mjs";
import { Box } from "./box.mjs";
import { FEW } from "./flows.mjs";

const BYTES_MAX = 200_000;
const PICTURES = [
  ["status-page-desktop-light", "/", DESKTOP, "light"],
  ["status-page-desktop-dark", "/", DESKTOP, "dark"],
  ["status-page-phone-light", "/", PHONE, "light"],
  ["status-page-phone-dark", "/", PHONE, "dark"],
  ["status-page-flow-light", "/flows/upload-readings", DESKTOP, "light"],
];

/** Fewer colours, where a program for it is at hand: the page has few. */
function shrink(file) {
  try {
    execFileSync("pngquant", ["--force", "--skip-if-larger", "--speed", "1", "--output", file, "64", file]);
  } catch (error) {
    if (error.code !== "ENOENT" && error.status !== 98) throw error;
  }
}

const [heartbeatd, folder] = process.argv.slice(2);
fs.mkdirSync(folder, { recursive: true });
const box = await Box.make(heartbeatd, FEW);
const browser = await launch();
try {
  for (const [name, target, viewport, scheme] of PICTURES) {
    const file = path.join(folder, `${name}.png`);
    const page = await open(browser, box.url + target, { viewport, scheme });
    await page.screenshot({ path: file, captureBeyondViewport: false });
    await page.close();
    shrink(file);
    const { size } = fs.statSync(file);
    console.log(`${file}: ${size} bytes`);
    if (size > BYTES_MAX) throw new Error(`${file} is larger than ${BYTES_MAX} bytes: install pngquant, or show less`);
  }
} finally {
  await browser.close();
  await box.remove();
}
