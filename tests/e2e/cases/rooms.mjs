// Rooms, and disconnects by the server.

import { ack, check, connect, disconnected, expect, next, noMore, run } from "./client.mjs";

const FIRST = "from the connect handler";
let count = 0;

function room() {
  count += 1;
  return `room${count}`;
}

function sorted(...names) {
  return [names.sort()];
}

check("a client is in the room of its sid and in those of its connect handler", async () => {
  const client = await connect();
  expect(await ack(client, "rooms"), sorted(client.id, FIRST));
});

check("a room joined in the connect handler reaches the client", async () => {
  const client = await connect();
  await ack(client, "tell", FIRST, "x");
  expect(await next(client, "told"), ["x"]);
});

check("join and leave are in force when they return", async () => {
  const client = await connect();
  const red = room();
  expect(await ack(client, "join", red), sorted(client.id, FIRST, red));
  expect(await ack(client, "join", red), sorted(client.id, FIRST, red));
  expect(await ack(client, "leave", red), sorted(client.id, FIRST));
});

check("emits between join and leave reach the room as it was", async () => {
  const client = await connect();
  await ack(client, "join and tell", room());
  expect(await next(client, "told"), ["inside"]);
  await noMore(client);
});

check("a room reaches its members while they are in it", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  const red = room();
  await ack(one, "join", red);
  await ack(two, "tell", red, 1);
  expect(await next(one, "told"), [1]);
  await ack(one, "leave", red);
  await ack(two, "tell", red, 2);
  await noMore(one, two);
});

check("another client may be put into a room and taken out", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  const red = room();
  expect(await ack(one, "join other", two.id, red), sorted(two.id, FIRST, red));
  await ack(one, "tell", red, "x");
  expect(await next(two, "told"), ["x"]);
  expect(await ack(one, "leave other", two.id, red), sorted(two.id, FIRST));
});

check("a closed room has no members left", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  const [red, blue] = [room(), room()];
  for (const client of [one, two]) {
    await ack(client, "join", red);
    await ack(client, "join", blue);
  }
  await ack(one, "close", red);
  await ack(one, "close by server", blue);
  await ack(one, "tell", red, "anybody?");
  await ack(one, "tell", blue, "anybody?");
  await noMore(one, two);
  expect(await ack(two, "rooms"), sorted(two.id, FIRST));
});

check("a room may be named by a number", async () => {
  const client = await connect();
  expect(await ack(client, "join by number"), [true]);
  expect(await next(client, "told"), ["seven"]);
});

check("nobody can join the room of another client's sid", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  expect(await ack(one, "steal", two.id), ["refused"]);
});

check("a client that left is in no room", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  const red = room();
  await ack(one, "join", red);
  const told = disconnected(one);
  one.emit("leave self");
  await told;
  await ack(two, "tell", red, "x");
  await noMore(two);
});

check("a handler may disconnect its own client", async () => {
  const client = await connect();
  const told = disconnected(client);
  client.emit("leave self");
  expect(await told, "io server disconnect");
});

check("a handler may disconnect another client", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  const told = disconnected(two);
  expect(await ack(one, "kick", two.id), ["kicked"]);
  expect(await told, "io server disconnect");
  expect(one.connected, true);
});

check("the server object may disconnect a client", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  const told = disconnected(two);
  one.emit("kick by server", two.id);
  expect(await told, "io server disconnect");
});

await run();
