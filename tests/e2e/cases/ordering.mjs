// Nothing overtakes anything.

import { ack, check, checkIn, connect, connected, expect, next, noMore, open, run, within } from "./client.mjs";

const NUMBERS = Array.from({ length: 200 }, (_, index) => index);

async function welcomed(client) {
  expect(await next(client, "early"), [1]);
  expect(await next(client, "early"), [Buffer.from("2")]);
  expect(await next(client, "early"), [3]);
  expect(await next(client, "message"), [4]);
  return client;
}

async function counts(client) {
  const order = [];
  const all = within(
    new Promise((resolve) => {
      for (const number of NUMBERS) {
        client.emit("count", number, (answer) => {
          order.push(answer);
          if (order.length === NUMBERS.length) resolve();
        });
      }
    }),
    "200 acknowledgements",
  );
  await welcomed(client);
  for (const number of NUMBERS) expect(await next(client, "counted"), [number]);
  await all;
  expect(order, NUMBERS);
  expect(await ack(client, "received"), [NUMBERS]);
}

check("what a connect handler emits reaches the client in order", async () => {
  await noMore(await welcomed(await connect()));
});

check("200 events are handled, answered and acknowledged in order", async () => {
  await counts(await connect());
});

check("events emitted before the connection is open are handled in order", async () => {
  const client = open();
  const counted = counts(client);
  await connected(client);
  await counted;
});

checkIn(["upgrade"], "events emitted while the connection upgrades are handled in order", async () => {
  const client = open();
  await within(new Promise((resolve) => client.once("connect", resolve)), "connects");
  const counted = counts(client);
  await connected(client);
  await counted;
});

check("500 events of one handler arrive in order", async () => {
  const client = await welcomed(await connect());
  client.emit("burst", 500);
  for (let number = 0; number < 500; number += 1) {
    expect(await next(client, "number"), [number % 10 ? number : Buffer.from([number % 256])]);
  }
  await noMore(client);
});

check("a handler that waits holds up no other client", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  await welcomed(one);
  const waiting = ack(one, "wait", one.id);
  await next(one, "waiting");
  await ack(two, "release", one.id);
  expect(await waiting, [true]);
});

check("a handler that waits holds up no later event of its client", async () => {
  const client = await welcomed(await connect());
  const waiting = ack(client, "wait", client.id);
  await next(client, "waiting");
  await ack(client, "release", client.id);
  expect(await waiting, [true]);
});

await run();
