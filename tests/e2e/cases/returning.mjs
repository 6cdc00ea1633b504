// Many clients that lose their server and come back by themselves. It prints "connected" and "lost" when all are,
// then "returned" with the seconds between the first that was back and the last.

import { io } from "socket.io-client";

const [url] = process.argv.slice(2);
const COUNT = 30;

const clients = Array.from({ length: COUNT }, () => 
  io(url, { transports: ["websocket"], forceNew: true, reconnectionDelay: 500 }),
);

const all = (event) =>
  Promise.all(clients.map((client) => new Promise((done) => client.once(event, () => done(performance.now())))));

await all("connect");
const lost = all("disconnect");
const back = lost.then(() => all("connect"));
console.log("connected");
await lost;
console.log("lost");
const times = await back;
console.log(`returned ${(Math.max(...times) - Math.min(...times)) / 1000}`);
clients.forEach((client) => client.close());
