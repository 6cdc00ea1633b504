// The error handler for all namespaces.

import { ack, check, connect, expect, fence, next, run } from "./client.mjs";

check("the default error handler serves a namespace without its own", async () => {
  expect(await ack(await connect(), "fail"), [["default", "/", "fail", "on purpose"]]);
});

check("a namespace's own error handler goes before the default one", async () => {
  expect(await ack(await connect("/own"), "fail"), [["own", "on purpose"]]);
});

check("an exception in a callback costs the client nothing", async () => {
  const client = await connect();
  client.on("question", (reply) => reply(1));
  client.emit("ask");
  await next(client, "question");
  await fence(client);
  expect(await ack(client, "fail"), [["default", "/", "fail", "on purpose"]]);
});

check("the default error handler goes before the error method of a class", async () => {
  expect(await ack(await connect("/class"), "fail"), [["default", "/class", "fail", "on purpose"]]);
});

await run();
