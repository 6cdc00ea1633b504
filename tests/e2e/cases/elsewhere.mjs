// What is emitted from outside the handlers.

import { ack, check, connect, connected, disconnected, eventually, expect, http, next, noMore, run, sibling } from "./client.mjs";

let count = 0;

function post(path, body) {
  return http(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

check("emit from a view reaches everybody", async () => {
  const clients = await Promise.all([connect(), connect()]);
  await post("/emit", { data: { a: 1 }, options: {} });
  for (const client of clients) expect(await next(client, "news"), [{ a: 1 }]);
  await noMore(...clients);
});

check("emit from a view reaches a room, a sid and a namespace", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  const other = await connected(sibling(one, "/other"));
  count += 1;
  await ack(one, "join", `room${count}`);
  await post("/emit", { data: 1, options: { to: `room${count}` } });
  expect(await next(one, "news"), [1]);
  await post("/emit", { data: 2, options: { to: two.id } });
  expect(await next(two, "news"), [2]);
  await post("/emit", { data: 3, options: { namespace: "/other" } });
  expect(await next(other, "news"), [3]);
  await noMore(one, two, other);
});

check("send from a view reaches everybody", async () => {
  const client = await connect();
  await post("/send", { data: "text", options: {} });
  expect(await next(client, "message"), ["text"]);
});

check("the context's emit works in a view when it names its recipients", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  await post("/context-emit", { data: 1, options: { broadcast: true } });
  for (const client of [one, two]) expect(await next(client, "news"), [1]);
  await post("/context-emit", { data: 2, options: { to: two.id } });
  expect(await next(two, "news"), [2]);
  await noMore(one, two);
});

check("a callback of a view's emit is given the answer", async () => {
  const client = await connect();
  client.on("question", (reply) => reply(client.id));
  await post("/ask", { sid: client.id });
  await eventually(async () => JSON.stringify(await http("/answers")).includes(client.id), "the callback runs");
});

check("a view may call a client", async () => {
  const client = await connect();
  client.on("question", (value, reply) => reply(value + 1));
  expect(await post("/call", { sid: client.id }), [2]);
});

check("a view may move a client in and out of rooms", async () => {
  const client = await connect();
  await post("/join", { sid: client.id, room: "moved" });
  await post("/emit", { data: 1, options: { to: "moved" } });
  expect(await next(client, "news"), [1]);
  await post("/leave", { sid: client.id, room: "moved" });
  await post("/emit", { data: 2, options: { to: "moved" } });
  await noMore(client);
});

check("a view may disconnect a client", async () => {
  const client = await connect();
  const told = disconnected(client);
  await post("/disconnect", { sid: client.id });
  expect(await told, "io server disconnect");
});

check("a background task emits", async () => {
  const client = await connect();
  expect(await ack(client, "background", "text"), [true]);
  expect(await next(client, "news"), [["text", { option: 1 }]]);
});

check("a background task may be joined", async () => {
  expect(await ack(await connect(), "joined background"), [["done"]]);
});

check("a thread emits", async () => {
  const client = await connect();
  client.emit("thread", "text");
  expect(await next(client, "news"), ["text"]);
});

check("what several threads emit arrives complete and in the order of each", async () => {
  const client = await connect();
  await post("/threads", { sid: client.id });
  const seen = [0, 0, 0, 0, 0];
  for (let index = 0; index < 100; index += 1) {
    const [number, value] = await next(client, "count");
    expect(value, seen[number]);
    seen[number] += 1;
  }
  await noMore(client);
});

await run();
