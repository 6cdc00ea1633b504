// Events of every kind, to the server and back.

import { check, connect, expect, fence, next, noMore, run } from "./client.mjs";

const VALUES = [0, -1, 1.5, 1e100, 2 ** 53, true, false, "", "text", "\u2028 \u0000 \" \\ 😀", [], {}, [[]], { a: { b: [1, { c: null }] } }];

check("send reaches the message handler and comes back as a message", async () => {
  const client = await connect();
  client.send("hello");
  expect(await next(client, "message"), ["hello"]);
  client.send({ a: 1 });
  expect(await next(client, "message"), [{ a: 1 }]);
});

check("a json event reaches its handler and send with json answers with one", async () => {
  const client = await connect();
  client.emit("json", { list: [1, 2.5, "three", null, true] });
  expect(await next(client, "json"), [{ list: [1, 2.5, "three", null, true] }]);
});

check("an event without arguments has none on either side", async () => {
  const client = await connect();
  client.emit("none");
  expect(await next(client, "none"), []);
});

check("an event with one argument keeps its value", async () => {
  const client = await connect();
  for (const value of VALUES) {
    client.emit("one", value);
    expect(await next(client, "one"), [value]);
  }
});

check("an event with three arguments keeps them apart", async () => {
  const client = await connect();
  client.emit("three", 1, [2, 2], { three: 3 });
  expect(await next(client, "three"), [1, [2, 2], { three: 3 }]);
});

check("a handler registered by event is named after its function", async () => {
  const [client, other] = await Promise.all([connect(), connect("/other")]);
  client.emit("named_after_function", 1);
  expect(await next(client, "named"), [1]);
  other.emit("named_elsewhere", 2);
  expect(await next(other, "named elsewhere"), [2]);
});

check("one function may handle two events", async () => {
  const client = await connect();
  client.emit("first name");
  expect(await next(client, "called"), ["first name"]);
  client.emit("second name");
  expect(await next(client, "called"), ["second name"]);
});

check("an event name may hold any character", async () => {
  const client = await connect();
  client.emit("héllo ☃ 😀", "ünï");
  expect(await next(client, "héllo ☃ 😀"), ["ünï"]);
});

check("default and rest parameters take what was sent", async () => {
  const client = await connect();
  client.emit("defaults", 1);
  expect(await next(client, "defaults"), [[1, "default", []]]);
  client.emit("defaults", 1, 2, 3, 4);
  expect(await next(client, "defaults"), [[1, 2, [3, 4]]]);
});

check("request event holds the name and the arguments", async () => {
  const client = await connect();
  client.emit("request event", 1, "two");
  expect(await next(client, "request event"), [{ message: "request event", args: [1, "two"] }]);
});

check("what a handler emits keeps its shape and order", async () => {
  const client = await connect();
  client.emit("shapes");
  expect(await next(client, "nothing"), []);
  expect(await next(client, "no values"), []);
  expect(await next(client, "one null"), [null]);
  expect(await next(client, "a list"), [[1, 2]]);
  expect(await next(client, "a tuple"), [1, 2]);
  expect(await next(client, "a tuple inside"), [{ pair: [1, 2] }]);
  expect(await next(client, "number keys"), [{ 1: "one" }]);
  expect(await next(client, "false"), [false]);
  expect(await next(client, "big"), [2 ** 70]);
  await noMore(client);
});

check("data changed after emit arrive as they were", async () => {
  const client = await connect();
  client.emit("later");
  expect(await next(client, "later"), [[1]]);
});

check("a string cut inside an emoji costs the client nothing", async () => {
  const client = await connect();
  client.emit("one", "cut \ud83d");
  expect(await next(client, "one"), ["cut \ud83d"]);
  await fence(client);
  expect(client.connected, true);
});

check("messages and events of one handler arrive in its order", async () => {
  const client = await connect();
  client.emit("mixed", "x");
  expect(await next(client, "message"), ["x"]);
  expect(await next(client, "custom"), ["x"]);
  expect(await next(client, "json"), [{ text: "x" }]);
});

check("a text of 300 KB goes both ways", async () => {
  const client = await connect();
  const text = "0123456789é".repeat(25000);
  client.send(text);
  expect(await next(client, "message"), [text]);
});

await run();
