// A server that is run in an unusual way serves all the same; its application has an "echo" event.

import { ack, bytes, check, connect, expect, run } from "./client.mjs";

check("events go both ways", async () => {
  const client = await connect();
  expect(await ack(client, "echo", { text: "é" }, [1, bytes(100)]), [{ text: "é" }, [1, bytes(100)]]);
});

check("several clients are served at once", async () => {
  const clients = await Promise.all(Array.from({ length: 5 }, () => connect()));
  const answers = await Promise.all(clients.map((client, index) => ack(client, "echo", index)));
  expect(answers, [[0], [1], [2], [3], [4]]);
});

await run();
