// flask.json, which needs the application's context.

import { ack, bytes, check, connect, expect, next, run, url } from "./client.mjs";

check("handlers send what the application's provider can write", async () => {
  const client = await connect();
  client.emit("make");
  expect(await next(client, "made"), [{ day: "2024-02-29", data: Buffer.from("bytes") }]);
  expect(await ack(client, "echo", { a: 1.5 }, bytes(2)), [{ a: 1.5 }, bytes(2)]);
});

check("views and threads send what the application's provider can write", async () => {
  const client = await connect();
  await fetch(`${url}/emit`, { method: "POST" });
  expect(await next(client, "made"), [{ day: "2024-02-29" }]);
  client.emit("thread");
  expect(await next(client, "made"), [{ day: "2024-02-29" }]);
});

await run();
