// Counts both ways over one connection, and prints what came and how it ended: url, numbers, transports.
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";

const require = createRequire(new URL("../../package.json", import.meta.url));
const { io } = require("socket.io-client");

const [url, count, ...transports] = process.argv.slice(2);
const socket = io(url, { transports, reconnection: false, forceNew: true });
const report = { received: [], acknowledged: [], transport: null, ended: null };

function finish(reason) {
  report.ended = reason;
  writeFileSync(1, JSON.stringify(report));
  process.exit(0);
}

// Most of the counting comes behind the upgrade, or behind its failure.
let settled = transports.length === 1;
socket.io.once("open", () => {
  for (const event of ["upgrade", "upgradeError"]) socket.io.engine.once(event, () => { settled = true; });
});

socket.on("connect", () => {
  let next = 0;
  const timer = setInterval(() => {
    // Some in one go, some with bytes: these are two messages, between which nothing may come.
    for (let burst = 0; burst < 3 && next < (settled ? count : count / 4); burst++, next++) {
      const number = next;
      const data = number % 5 === 0 ? Buffer.alloc(200, number % 256) : "x".repeat(number % 50);
      socket.emit("count", number, data, (answer) => report.acknowledged.push(answer));
    }
    if (next >= count) clearInterval(timer);
  }, 1);
});
socket.on("number", (number, data) => {
  report.received.push(number);
});
socket.on("done", () => {
  report.transport = socket.io.engine.transport.name;
  // The last acknowledgement may stand behind it.
  setInterval(() => report.acknowledged.length >= count && finish("done"), 5);
});
socket.on("disconnect", (reason) => finish(reason));
socket.on("connect_error", (error) => finish(String(error)));
setTimeout(() => finish("too late"), 20000);
