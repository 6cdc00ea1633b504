// A client that is connected when its server stops. It prints "ready", and how its connection ended.

import { connect, disconnected, next } from "./client.mjs";

const client = await connect();
const told = disconnected(client);
client.emit("slow", (answer) => console.log(`answer: ${answer}`));
await next(client, "started");
console.log("ready");
console.log(`reason: ${await told}`);
client.io._close();
