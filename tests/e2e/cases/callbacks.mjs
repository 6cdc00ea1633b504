// The server asks, the client answers.

import { ack, bytes, check, connect, connected, expect, next, noMore, run, sibling } from "./client.mjs";

let count = 0;

check("a callback is given the client's answer in the context of who asked", async () => {
  const client = await connect();
  client.on("question", (value, reply) => reply(value + 1, "two"));
  await ack(client, "ask", 41);
  expect(await next(client, "question"), [41]);
  expect(await next(client, "answered"), [[client.id, "/", [42, "two"]]]);
});

check("a callback knows its namespace", async () => {
  const client = await connect("/other");
  client.on("question", (reply) => reply());
  client.emit("ask");
  expect(await next(client, "question"), []);
  expect(await next(client, "answered"), [[client.id, "/other", []]]);
});

check("a callback is given bytes", async () => {
  const client = await connect();
  client.on("question", (reply) => reply({ data: bytes(100) }));
  client.emit("ask");
  await next(client, "question");
  expect(await next(client, "answered"), [[client.id, "/", [{ data: bytes(100) }]]]);
});

check("a callback runs once however often the client answers", async () => {
  const client = await connect();
  client.on("question", (reply) => {
    reply(1);
    client.packet({ type: 3, id: 1, data: [2], nsp: "/" });
    client.packet({ type: 3, id: 0, data: [2], nsp: "/" });
  });
  client.emit("ask");
  await next(client, "question");
  expect(await next(client, "answered"), [[client.id, "/", [1]]]);
  await noMore(client);
});

check("an answer to a question that was never asked does nothing", async () => {
  const client = await connect();
  client.packet({ type: 3, id: 12345, data: [2], nsp: "/" });
  await noMore(client);
  expect(client.connected, true);
});

check("send takes a callback", async () => {
  const client = await connect();
  client.on("message", (text, reply) => reply(text.length));
  client.emit("ask by send");
  expect(await next(client, "message"), ["question"]);
  expect(await next(client, "answered"), [[8]]);
});

check("the answer of another client reaches who asked", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  two.on("question", (reply) => reply("from two"));
  one.emit("ask other", two.id);
  expect(await next(one, "answered"), [[one.id, ["from two"]]]);
  await next(two, "question");
  await noMore(one, two);
});

check("a callback of a broadcast runs once for each recipient", async () => {
  count += 1;
  const clients = await Promise.all([connect(), connect(), connect()]);
  for (const [index, client] of clients.entries()) {
    client.on("question", (reply) => reply(index));
    await ack(client, "join", `room${count}`);
  }
  await ack(clients[0], "ask everybody", `room${count}`);
  for (const client of clients) await next(client, "question");
  const answers = [];
  for (let index = 0; index < 3; index += 1) {
    const [[sid, [answer]]] = await next(clients[0], "answered");
    expect(sid, clients[0].id);
    answers.push(answer);
  }
  expect(answers.sort(), [0, 1, 2]);
  await noMore(...clients);
});

check("call returns the client's one answer", async () => {
  const client = await connect();
  client.on("question", (value, reply) => reply({ twice: value * 2 }));
  expect(await ack(client, "call", 21), [["dict", { twice: 42 }]]);
});

check("call returns several answers as a tuple and none as None", async () => {
  const client = await connect();
  client.once("question", (reply) => reply(1, "two"));
  expect(await ack(client, "call"), [["tuple", [1, "two"]]]);
  client.once("question", (reply) => reply());
  expect(await ack(client, "call"), [["NoneType", null]]);
});

check("call works in a namespace", async () => {
  const client = await connected(sibling(await connect(), "/other"));
  client.on("question", (reply) => reply("other"));
  expect(await ack(client, "call"), [["str", "other"]]);
});

check("a handler may call again and again", async () => {
  const client = await connect();
  client.on("question", (value, reply) => reply(value));
  expect(await ack(client, "call twice"), [3]);
});

check("many handlers may call at the same time", async () => {
  const client = await connect();
  client.on("question", (value, reply) => setTimeout(() => reply(value), 30));
  const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => ack(client, "call", index)));
  expect(answers, Array.from({ length: 10 }, (_, index) => [["int", index]]));
});

check("call gives up after its timeout", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  const [[name]] = await ack(one, "call other", two.id, 0.2);
  expect(name, "TimeoutError");
});

check("the timeout of call is the builtin error too", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  expect(await ack(one, "call other", two.id, 0.2), [["TimeoutError", true]]);
});

check("call gives up at once when the client leaves", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  two.on("question", () => two.disconnect());
  expect(await ack(one, "call other", two.id, 30), [["TimeoutError", true]]);
});

check("call gives up at once when the client's connection breaks", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  two.on("question", () => two.io.engine.close());
  expect(await ack(one, "call other", two.id, 30), [["TimeoutError", true]]);
});

check("call refuses to ask everybody", async () => {
  expect(await ack(await connect(), "call nobody"), ["Cannot use call() to broadcast. Name the client that is to answer with to="]);
});

await run();
