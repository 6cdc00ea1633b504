// What becomes of exceptions in handlers.

import { ack, check, connect, eventually, expect, fence, http, next, open, refused, run, url } from "./client.mjs";

check("an error handler is given the exception and its result is the acknowledgement", async () => {
  expect(await ack(await connect(), "fail", 1, "two"), [["main", "OnPurpose", "on purpose", "fail", [1, "two"]]]);
});

check("an error handler serves its namespace and may emit", async () => {
  const client = await connect("/chat");
  expect(await ack(client, "fail"), ["chat"]);
  expect(await next(client, "failed"), ["on purpose"]);
});

check("an exception that nobody handles gives no acknowledgement and costs the client nothing", async () => {
  const client = await connect("/unhandled");
  let answered = false;
  client.emit("fail", () => (answered = true));
  expect(await ack(client, "echo", 1), [1]);
  await fence(client);
  expect([answered, client.connected], [false, true]);
});

check("arguments that do not fit are an error for the error handler", async () => {
  const [name, type] = (await ack(await connect(), "two", 1))[0];
  expect([name, type.endsWith("Error")], ["main", true]);
  expect(await ack(await connect("/chat"), "two", 1, 2, 3), ["chat"]);
});

check("arguments that do not fit give no acknowledgement where nobody handles errors", async () => {
  const client = await connect("/strict");
  let answered = false;
  client.emit("two", 1, () => (answered = true));
  client.emit("two", 1, 2, 3, () => (answered = true));
  expect(await ack(client, "echo", 1), [1]);
  await fence(client);
  expect([answered, client.connected], [false, true]);
});

check("an error handler cannot let in a client whose connect handler failed", async () => {
  const client = open("/gate");
  await refused(client);
  expect(client.inbox.untaken(), []);
});

check("a refusal is no error", async () => {
  expect((await refused(open("/refusing"))).message, "refused");
});

check("a disconnect handler that fails has run once", async () => {
  const client = await connect("/chat");
  const before = (await http("/disconnects")).length;
  client.disconnect();
  await eventually(async () => (await http("/disconnects")).length > before, "the handler runs");
  const main = await connect();
  await ack(main, "fail");
  expect((await http("/disconnects")).length, before + 1);
});

check("the error method of a class is given the exception in the context of its event", async () => {
  expect(await ack(await connect("/class"), "fail"), [["class", "/class", "fail", "on purpose"]]);
});

check("the error method of a class cannot let in a refused client", async () => {
  expect((await refused(open("/class", { auth: { refuse: true } }))).message, "refused");
});

check("an exception in a view is answered with 500", async () => {
  expect((await fetch(`${url}/fail`)).status, 500);
});

await run();
