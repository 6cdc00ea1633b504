// What a handler returns is what the client's callback is given.

import { ack, check, connect, connected, expect, fence, noMore, run, sibling } from "./client.mjs";

const RESULTS = {
  none: [],
  value: [{ a: [1, "two", null] }],
  false: [false],
  zero: [0],
  "empty text": [""],
  tuple: [1, "two", [3]],
  "empty tuple": [],
  "one in a tuple": [null],
  list: [[1, 2]],
  "empty list": [[]],
  bytes: [Buffer.from([0, 1])],
  "bytes inside": ["a", { data: Buffer.from([2]) }],
};

async function gives(event) {
  const client = await connect();
  expect(await ack(client, event), RESULTS[event]);
}

check("None acknowledges with no arguments", () => gives("none"));
check("a value acknowledges with one argument", () => gives("value"));
check("False acknowledges with false", () => gives("false"));
check("zero acknowledges with 0", () => gives("zero"));
check("an empty text acknowledges with an empty text", () => gives("empty text"));
check("a tuple acknowledges with several arguments", () => gives("tuple"));
check("an empty tuple acknowledges with no arguments", () => gives("empty tuple"));
check("None in a tuple acknowledges with null", () => gives("one in a tuple"));
check("a list acknowledges with one list", () => gives("list"));
check("an empty list acknowledges with one empty list", () => gives("empty list"));
check("bytes acknowledge with bytes", () => gives("bytes"));
check("bytes inside a tuple acknowledge with bytes", () => gives("bytes inside"));

check("an event that asks for no acknowledgement gets none", async () => {
  const client = await connect();
  client.emit("value");
  await noMore(client);
});

check("an unknown event is never acknowledged", async () => {
  const client = await connect();
  let answered = false;
  client.emit("unknown", () => (answered = true));
  expect(await ack(client, "echo", 1), [1]);
  await fence(client);
  expect([answered, client.connected], [false, true]);
});

check("what a handler emits arrives before its acknowledgement", async () => {
  const client = await connect();
  expect(await ack(client, "emits first"), ["after"]);
  expect(client.inbox.untaken(), [["before", 1]]);
});

check("acknowledgements in flight find their own callbacks", async () => {
  const client = await connect();
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => ack(client, "echo", index)));
  expect(answers, Array.from({ length: 50 }, (_, index) => [index]));
});

check("each namespace acknowledges its own events", async () => {
  const client = await connect();
  const other = await connected(sibling(client, "/other"));
  expect(await Promise.all([ack(other, "value"), ack(client, "value")]), [["other"], RESULTS.value]);
});

check("emitWithAck resolves with the result", async () => {
  const client = await connect();
  expect(await client.timeout(5000).emitWithAck("echo", "x"), "x");
});

await run();
