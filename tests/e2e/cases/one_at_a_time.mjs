// async_handlers=False.

import { ack, check, connect, expect, next, run } from "./client.mjs";

check("the events of one client never overlap and keep their order", async () => {
  const client = await connect();
  const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => ack(client, "work", index)));
  expect(answers, Array.from({ length: 20 }, (_, index) => [[index, 0]]));
  for (let index = 0; index < 20; index += 1) expect(await next(client, "worked"), [index]);
});

check("one client's event does not wait for another's", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  const waiting = ack(one, "wait");
  await next(one, "waiting");
  await ack(two, "release");
  expect(await waiting, [true]);
});

await run();
