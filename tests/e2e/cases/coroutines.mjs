// Handlers that are coroutines.

import { ack, bytes, check, connect, eventually, expect, fence, http, next, noMore, open, refused, run } from "./client.mjs";

check("a connect handler may be a coroutine", async () => {
  const client = await connect("/", { auth: { token: 1 } });
  expect(await next(client, "welcome"), [{ token: 1 }]);
});

check("a coroutine may refuse the client", async () => {
  const error = await refused(open("/refused"));
  expect([error.message, error.data], ["no entry", 1]);
  await refused(open("/false"));
});

check("a disconnect handler may be a coroutine", async () => {
  const before = (await http("/left")).length;
  const client = await connect();
  client.disconnect();
  await eventually(async () => (await http("/left")).length > before, "the handler runs");
});

check("the result of a coroutine is the acknowledgement", async () => {
  const client = await connect();
  expect(await ack(client, "echo", 1, { data: bytes(10) }), [1, { data: bytes(10) }]);
  expect(await ack(client, "echo"), []);
});

check("coroutines and functions serve side by side", async () => {
  const client = await connect();
  expect(await Promise.all([ack(client, "echo", 1), ack(client, "plain")]), [[1], ["plain"]]);
});

check("a coroutine emits before and after it waits", async () => {
  const client = await connect();
  await next(client, "welcome");
  expect(await ack(client, "emit"), ["done"]);
  expect(await next(client, "before"), ["emit"]);
  expect(await next(client, "after"), [[client.id, "/"]]);
  expect(await next(client, "from the server"), []);
  await noMore(client);
});

check("a coroutine joins and leaves rooms", async () => {
  const client = await connect();
  await next(client, "welcome");
  expect(await ack(client, "rooms", "red"), [[client.id, "red"].sort()]);
  expect(await next(client, "told"), ["red"]);
});

check("a coroutine reads and writes the session", async () => {
  const client = await connect();
  await ack(client, "session set", { a: 1 });
  expect(await ack(client, "session get"), [{ a: 1 }]);
  expect(await ack(await connect(), "session get"), []);
});

check("each coroutine has contexts of its own", async () => {
  const [one, two] = await Promise.all([connect("/", { query: { color: "red" } }), connect("/", { query: { color: "blue" } })]);
  const answers = await Promise.all([ack(one, "globals", 1), ack(one, "globals", 2), ack(two, "globals", 3)]);
  expect(answers, [[[1, "red"]], [[2, "red"]], [[3, "blue"]]]);
});

check("a coroutine that waits holds up nobody", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  const name = one.id;
  await next(one, "welcome");
  const waiting = ack(one, "wait", name);
  await next(one, "waiting");
  expect(await ack(one, "plain"), ["plain"]);
  await ack(two, "release", name);
  expect(await waiting, ["released"]);
});

check("a coroutine that fails gives no acknowledgement and costs the client nothing", async () => {
  const client = await connect();
  let answered = false;
  client.emit("fail", () => (answered = true));
  expect(await ack(client, "echo", 1), [1]);
  await fence(client);
  expect([answered, client.connected], [false, true]);
});

check("an error handler is given the exception of a coroutine", async () => {
  expect(await ack(await connect("/handled"), "fail"), [["handled", "on purpose"]]);
});

check("a blocking call in a coroutine is refused at once", async () => {
  const [message] = await ack(await connect(), "block");
  expect([typeof message, message?.length > 10], ["string", true]);
});

check("methods of a class may be coroutines", async () => {
  const client = await connect("/class");
  await next(client, "hello");
  expect(await ack(client, "double", 21), [42]);
  expect(await ack(client, "unknown"), []);
});

await run();
