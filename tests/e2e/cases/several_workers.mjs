// What several workers owe to their clients, whichever of them each request reaches.

import { ack, check, checkIn, connect, disconnected, eventually, expect, next, noMore, open, run } from "./client.mjs";

const MANY = 200;

/**
 * Opens clients until two workers have some; returns pairs of a client and the process that has it.
 *
 * A worker with little to do takes every connection that comes, so more come at a time as long as one has them all.
 */
async function crew(least = 6, options = {}) {
  const members = [];
  const processes = () => new Set(members.map(([, process]) => process)).size;
  while (members.length < MANY && (members.length < least || processes() < 2)) {
    const wave = await Promise.all(Array.from({ length: 3 + members.length }, () => connect("/", options)));
    for (const client of wave) members.push([client, (await ack(client, "who"))[0]]);
  }
  expect(processes() > 1, true);
  return members;
}

/** Returns two clients that different workers have. */
async function strangers() {
  const members = await crew();
  const [one, process] = members[0];
  return [one, members.find(([, other]) => other !== process)[0]];
}

check("a session outlives any number of requests to other workers", async () => {
  const members = await crew();
  for (let round = 0; round < 10; round += 1) {
    expect(await Promise.all(members.map(([client], index) => ack(client, "echo", index))), members.map((_, index) => [index]));
  }
});

check("broadcasts reach the clients of all workers once", async () => {
  const members = await crew();
  members[0][0].emit("broadcast", "for all");
  for (const [client] of members) expect(await next(client, "news"), ["for all"]);
  await noMore(...members.map(([client]) => client));
});

check("rooms span the workers", async () => {
  const members = await crew();
  const inside = members.filter((_, index) => index % 2).map(([client]) => client);
  const outside = members.filter((_, index) => !(index % 2)).map(([client]) => client);
  for (const client of inside) await ack(client, "join", "room");
  outside[0].emit("tell", "room", "for the room");
  for (const client of inside) expect(await next(client, "news"), ["for the room"]);
  await noMore(...outside);
});

check("one worker moves and disconnects the clients of another", async () => {
  const [one, other] = await strangers();
  await ack(one, "pull", other.id, "pulled");
  one.emit("tell", "pulled", "welcome");
  expect(await next(other, "news"), ["welcome"]);
  const told = disconnected(other);
  one.emit("kick", other.id);
  expect(await told, "io server disconnect");
});

check("a client of another worker answers a question", async () => {
  const [one, other] = await strangers();
  other.on("question", (value, answer) => answer(value + 1));
  expect(await ack(one, "ask another", other.id, 1), [2]);
});

check("clients of a worker that is killed come back and are served", async () => {
  const members = await crew(12, { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 });
  const killed = members[0][1];
  members[0][0].emit("kill");
  await eventually(async () => {
    for (const [client] of members) {
      if (!client.connected) return false;
      const answer = await Promise.race([
        new Promise((resolve) => client.emit("who", resolve)),
        new Promise((resolve) => setTimeout(() => resolve(killed), 1000)),
      ]);
      if (answer === killed) return false;
    }
    return true;
  }, "all are served again", 15000);
});

checkIn(["websocket"], "clients of other workers do not notice that one is killed", async () => {
  const members = await crew(12);
  const killed = members[0][1];
  const others = members.filter(([, process]) => process !== killed).map(([client]) => client);
  const ends = [];
  for (const client of others) client.on("disconnect", (reason) => ends.push(reason));
  const told = disconnected(members[0][0]);
  members[0][0].emit("kill");
  await told;
  for (let round = 0; round < 5; round += 1) {
    expect(await Promise.all(others.map((client, index) => ack(client, "echo", index))), others.map((_, index) => [index]));
  }
  expect(ends, []);
});

await run();
