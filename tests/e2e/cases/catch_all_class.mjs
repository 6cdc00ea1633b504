// A class registered for every namespace.

import { ack, check, connect, expect, next, run } from "./client.mjs";

check("a class of every namespace serves any of them", async () => {
  const client = await connect("/red");
  expect(await next(client, "hello"), ["/red"]);
  expect(await ack(client, "who", 1), [["/red", 1]]);
  expect(await ack(await connect("/blue"), "who"), [["/blue"]]);
});

await run();
