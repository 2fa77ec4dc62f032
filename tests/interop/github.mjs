// npm's @octokit/webhooks-methods behind one JSON object a line: {secret, body} in, {signature} out. The Python beside it
// asks.
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const library = `${process.env.NODE_LIBRARIES}/node_modules/@octokit/webhooks-methods/dist-node/index.js`;
const { sign } = await import(pathToFileURL(library).href);

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { secret, body } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify({ signature: await sign(secret, body) })}\n`);
}
