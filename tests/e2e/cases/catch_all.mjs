// Handlers registered for every namespace.

import { ack, check, connect, expect, run } from "./client.mjs";

check("a handler of every namespace is told which one it is in", async () => {
  expect(await ack(await connect("/red"), "who", 1), [["who", "/red", 1]]);
  expect(await ack(await connect("/blue/green"), "who"), [["who", "/blue/green"]]);
});

check("a namespace's own handler goes before", async () => {
  expect(await ack(await connect("/own"), "who"), [["own"]]);
});

check("a handler of every event in every namespace is told the event", async () => {
  expect(await ack(await connect("/red"), "something", 1), [["rest", "/red", "something", 1]]);
  expect(await ack(await connect("/own"), "something"), [["rest", "/own", "something"]]);
});

await run();
