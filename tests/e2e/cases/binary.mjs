// Bytes, alone and among other values, in both directions.

import { ack, bytes, check, connect, expect, next, run } from "./client.mjs";

check("bytes from the client arrive as bytes", async () => {
  const client = await connect();
  expect(await ack(client, "describe", bytes(3), new Uint8Array([1, 2]), new Uint8Array([1]).buffer), [["bytes 3", "bytes 2", "bytes 1"]]);
});

check("nested bytes from the client arrive in their places", async () => {
  const client = await connect();
  const data = { a: [bytes(1), { b: bytes(2) }], c: "text", d: bytes(4) };
  expect(await ack(client, "describe", data), [{ a: ["bytes 1", { b: "bytes 2" }], c: "text", d: "bytes 4" }].map((item) => [item]));
});

check("bytes at the top level come back unchanged", async () => {
  const client = await connect();
  client.emit("echo", bytes(1000));
  expect(await next(client, "echo"), [bytes(1000)]);
});

check("bytes come back in an acknowledgement", async () => {
  const client = await connect();
  expect(await ack(client, "echo", bytes(10)), [bytes(10)]);
});

check("nested bytes come back in an acknowledgement", async () => {
  const client = await connect();
  const data = { a: [bytes(1), { b: bytes(2, 3) }], c: "text" };
  expect(await ack(client, "echo", data, 5), [data, 5]);
});

check("ten attachments come back in their order", async () => {
  const client = await connect();
  const data = Array.from({ length: 10 }, (_, index) => bytes(index + 1, index));
  expect(await ack(client, "echo", data), [data]);
});

check("no bytes at all are still bytes", async () => {
  const client = await connect();
  expect(await ack(client, "echo", bytes(0), { empty: bytes(0) }), [bytes(0), { empty: bytes(0) }]);
});

check("200 KB come back unchanged", async () => {
  const client = await connect();
  const data = bytes(200_000);
  expect(await ack(client, "echo", data), [data]);
  expect(await next(client, "echo"), [data]);
});

check("send carries bytes", async () => {
  const client = await connect();
  client.send(bytes(5));
  expect(await next(client, "message"), [bytes(5)]);
});

check("what a handler makes arrives in its order", async () => {
  const client = await connect();
  client.emit("make");
  expect(await next(client, "top"), [Buffer.from([0, 1, 255])]);
  expect(await next(client, "array"), [Buffer.from([2])]);
  expect(await next(client, "nested"), [{ a: [Buffer.from("one"), { b: Buffer.from("two") }], c: Buffer.alloc(0) }]);
  expect(await next(client, "several"), [Buffer.from("1"), "text", Buffer.from("2")]);
  expect(await next(client, "text"), ["after the bytes"]);
});

check("a client answers a call with bytes", async () => {
  const client = await connect();
  client.on("reverse", (data, reply) => reply(Buffer.from(data).reverse()));
  expect(await ack(client, "ask"), [["bytes", Buffer.from([3, 2, 1])]]);
});

check("a broadcast carries bytes to everybody", async () => {
  const clients = await Promise.all([connect(), connect(), connect()]);
  clients[0].emit("everybody", { data: bytes(5000) });
  for (const client of clients) expect(await next(client, "echo"), [{ data: bytes(5000) }]);
});

check("a placeholder in an event without bytes is data", async () => {
  const client = await connect();
  expect(await ack(client, "placeholder", { _placeholder: true, num: 0 }), [{ _placeholder: true, num: 0 }]);
});

check("binary and text events from the client keep their order", async () => {
  const client = await connect();
  for (let index = 0; index < 20; index += 1) client.emit("echo", index % 2 ? bytes(index) : index);
  for (let index = 0; index < 20; index += 1) expect(await next(client, "echo"), [index % 2 ? bytes(index) : index]);
});

await run();
