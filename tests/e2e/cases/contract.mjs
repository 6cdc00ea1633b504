// What holds behind every server that an application is deployed on; its application is app.py.

import { ack, bytes, check, connect, disconnected, expect, http, next, noMore, run } from "./client.mjs";

check("events go both ways with every kind of value", async () => {
  const client = await connect();
  const values = [null, true, -1, 1.5, "é ☃ 😀", [1, [2]], { a: { b: [] } }];
  client.emit("echo back", ...values);
  expect(await next(client, "echo back"), values);
});

check("binary goes both ways", async () => {
  const client = await connect();
  for (const size of [0, 1, 125, 126, 65536, 300000]) {
    expect(await ack(client, "echo", { size, data: [bytes(size)] }), [{ size, data: [bytes(size)] }]);
  }
});

check("a burst is acknowledged in order", async () => {
  const client = await connect();
  const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => ack(client, "echo", index)));
  expect(answers, Array.from({ length: 200 }, (_, index) => [index]));
});

check("the server is answered what it asks", async () => {
  const client = await connect();
  client.on("question", (value, answer) => answer(value + 1));
  expect(await ack(client, "ask", 1), [2]);
});

check("rooms and broadcasts reach whom they are meant for", async () => {
  const [inside, outside] = await Promise.all([connect(), connect()]);
  await ack(inside, "join", "room");
  outside.emit("tell", "room", "for the room");
  expect(await next(inside, "news"), ["for the room"]);
  inside.emit("broadcast", "for all");
  expect(await next(inside, "news"), ["for all"]);
  expect(await next(outside, "news"), ["for all"]);
  await ack(inside, "leave", "room");
  outside.emit("tell", "room", "for nobody");
  await noMore(inside, outside);
});

check("views are served beside it, and emit", async () => {
  const client = await connect();
  expect(await http("/"), ["index", true]);
  expect(await http("/upload", { method: "POST", body: bytes(200000) }), [200000]);
  const body = JSON.stringify({ data: "from a view", to: client.id });
  expect(await http("/emit", { method: "POST", headers: { "Content-Type": "application/json" }, body }), ["sent"]);
  expect(await next(client, "news"), ["from a view"]);
});

check("handlers see the request of the handshake", async () => {
  const client = await connect("/", { query: { color: "blue" } });
  const [[path, scheme, host, color]] = await ack(client, "request");
  expect([path, color], ["/socket.io/", "blue"]);
  expect(new URL(`${scheme}://${host}`).hostname, new URL(client.io.uri).hostname);
});

check("many clients are served at once", async () => {
  const clients = await Promise.all(Array.from({ length: 12 }, () => connect()));
  const answers = await Promise.all(clients.map((client, index) => ack(client, "echo", index)));
  expect(answers, Array.from({ length: 12 }, (_, index) => [index]));
});

check("a client that leaves is let go, and comes back", async () => {
  const client = await connect();
  const gone = disconnected(client);
  client.disconnect();
  expect(await gone, "io client disconnect");
  expect(await ack(await connect(), "echo", 1), [1]);
});

await run();
