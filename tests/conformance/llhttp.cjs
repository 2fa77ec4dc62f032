// Node's own server, whose parser is llhttp, over the cases of the table: one a line in, in hexadecimal; what it makes of
// it out, as one JSON object a line: {messages: [{method, target, body}], error}.
"use strict";
const http = require("node:http");
const net = require("node:net");
const readline = require("node:readline");

const server = http.createServer({ maxHeaderSize: 65536 }, (request, response) => {
  const { messages } = request.socket.seen;
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts).toString("hex");
    messages.push({ method: request.method, target: request.url, body });
    response.end();
  });
});
server.on("checkContinue", (request, response) => server.emit("request", request, response));
server.on("checkExpectation", (request, response) => server.emit("request", request, response));
server.on("connection", (socket) => {
  socket.seen = { messages: [], error: null };
  socket.on("close", () => server.emit("seen", socket.seen));
});
server.on("clientError", (error, socket) => {
  socket.seen.error ??= error.code;
  socket.destroy();
});

// One connection after the other, so that what was seen last is this case's.
function read(bytes) {
  return new Promise((resolve) => {
    server.once("seen", resolve);
    const peer = net.connect(server.address().port, "127.0.0.1", () => peer.end(bytes));
    peer.on("error", () => {});
    peer.resume();
  });
}

server.listen(0, "127.0.0.1", async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await read(Buffer.from(line, "hex")))}\n`);
  }
  server.close();
});
