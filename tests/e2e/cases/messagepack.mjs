// The MessagePack parser in place of the default one.

import parser from "socket.io-msgpack-parser";

import * as shared from "./client.mjs";
import { ack, bytes, check, connected, disconnected, expect, next, noMore, refused, run, sibling } from "./client.mjs";

const open = (namespace, options) => shared.open(namespace, { parser, ...options });
const connect = (namespace, options) => connected(open(namespace, options));

const DATA = { text: "é☃😀", numbers: [0, -1, 127, 128, 65536, -40000, 2 ** 40, 1.5], nested: { list: [null, true, false, [], {}] } };

check("credentials reach the connect handler", async () => {
  const client = await connect("/", { auth: { token: "a" } });
  expect(await next(client, "welcome"), [{ token: "a" }]);
});

check("a refusal reaches the client", async () => {
  const error = await refused(open("/refused"));
  expect([error.message, error.data], ["no entry", { code: 1 }]);
});

check("values of every kind come back unchanged", async () => {
  const client = await connect();
  await next(client, "welcome");
  expect(await ack(client, "echo", DATA, 1, "two"), [DATA, 1, "two"]);
  expect(await next(client, "echo"), [DATA, 1, "two"]);
  expect(await ack(client, "echo"), []);
});

check("bytes come back at every depth", async () => {
  const client = await connect();
  const data = { a: [bytes(3), { b: bytes(0) }], c: bytes(70000) };
  expect(await ack(client, "echo", bytes(2), data), [bytes(2), data]);
});

check("a handler is given Python's types", async () => {
  const client = await connect();
  expect(await ack(client, "types", 1, 1.5, "x", bytes(1), [], {}, true, null), [
    ["int", "float", "str", "bytes", "list", "dict", "bool", "NoneType"],
  ]);
});

check("send goes both ways", async () => {
  const client = await connect();
  await next(client, "welcome");
  client.send("hello");
  expect(await next(client, "message"), ["hello"]);
});

check("the client answers a call and a callback", async () => {
  const client = await connect();
  await next(client, "welcome");
  client.once("question", (data, reply) => reply([data, 2]));
  expect(await ack(client, "ask"), [[Buffer.from([1]), 2]]);
  await next(client, "question");
  client.once("question", (reply) => reply("answer", bytes(2)));
  client.emit("ask by callback");
  await next(client, "question");
  expect(await next(client, "answered"), [["answer", bytes(2)]]);
});

check("a broadcast reaches everybody", async () => {
  const clients = await Promise.all([connect(), connect()]);
  for (const client of clients) await next(client, "welcome");
  clients[0].emit("everybody", { data: bytes(3) });
  for (const client of clients) expect(await next(client, "echo"), [{ data: bytes(3) }]);
  await noMore(...clients);
});

check("namespaces share the connection", async () => {
  const other = await connected(sibling(await connect(), "/other"));
  expect(await ack(other, "echo", 1), [1]);
});

check("a disconnect reaches the client", async () => {
  const client = await connect();
  const told = disconnected(client);
  client.emit("leave");
  expect(await told, "io server disconnect");
});

await run();
