// npm's standardwebhooks behind one JSON object a line: {do: "sign" | "verify", secret, id, timestamp, body, signature}
// in, {signature} or {error} out. The Python beside it asks.
"use strict";
const { createRequire } = require("node:module");
const readline = require("node:readline");
const { Webhook } = createRequire(`${process.env.NODE_LIBRARIES}/`)("standardwebhooks");

function answer(request) {
  const webhook = new Webhook(request.secret);
  if (request.do === "sign") {
    return { signature: webhook.sign(request.id, new Date(request.timestamp * 1000), request.body) };
  }
  webhook.verify(request.body, {
    "webhook-id": request.id,
    "webhook-timestamp": String(request.timestamp),
    "webhook-signature": request.signature,
  }, { jsonParse: false });
  return { signature: request.signature };
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  let reply;
  try {
    reply = answer(JSON.parse(line));
  } catch (error) {
    reply = { error: String(error.message) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
});
