// A JSON module of the application's own.

import { ack, bytes, check, connect, expect, next, run } from "./client.mjs";

check("the module reads what the client sends", async () => {
  expect(await ack(await connect(), "types", 1.5, 1, "x", bytes(1)), [["Decimal", "int", "str", "bytes"]]);
});

check("the module writes what the handlers send", async () => {
  const client = await connect();
  expect(await ack(client, "make"), ["2024-01-01"]);
  expect(await next(client, "made"), [{ day: "2024-02-29", price: "1.10", data: Buffer.from("bytes") }]);
});

check("events and bytes come back unchanged", async () => {
  const client = await connect();
  const data = { text: "é", list: [1, bytes(3)] };
  expect(await ack(client, "echo", data, bytes(2)), [data, bytes(2)]);
  expect(await next(client, "echo"), [data, bytes(2)]);
});

await run();
