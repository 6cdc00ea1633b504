// Which handler an event finds, by its namespace and name.

import { ack, check, connect, connected, disconnected, eventually, expect, http, next, noMore, run, sibling } from "./client.mjs";

check("a handler without namespace serves the main one", async () => {
  expect(await ack(await connect(), "who", 1), [["main", "/", 1]]);
});

check("a decorated handler serves its namespace", async () => {
  const client = await connect("/decorated");
  expect(await next(client, "hello"), ["/decorated"]);
  expect(await ack(client, "who", 1), [["decorated", "/decorated", 1]]);
});

check("a handler given to on_event serves its namespace", async () => {
  const client = await connect("/registered");
  expect(await next(client, "hello"), ["/registered"]);
  expect(await ack(client, "who", 1), [["registered", "/registered", 1]]);
});

check("the methods of a class serve its namespace", async () => {
  const client = await connect("/class", { auth: { token: 1 } });
  expect(await next(client, "hello"), [["/class", { token: 1 }]]);
  expect(await ack(client, "who", 1), [["class", "/class", client.id, 1]]);
});

check("a class has its disconnect method run with the reason", async () => {
  const client = await connect("/class");
  const before = (await http("/left")).length;
  client.disconnect();
  await eventually(async () => (await http("/left")).length > before, "on_disconnect runs");
  expect((await http("/left")).at(-1), "client disconnect");
});

check("methods of a class need not take what they do not use", async () => {
  const client = await connect("/plain-class", { auth: { token: 1 } });
  expect(await next(client, "hello"), ["plain"]);
  client.disconnect();
  await eventually(async () => (await http("/left")).includes("plain"), "on_disconnect runs");
});

check("an event that a class has no method for is acknowledged with nothing", async () => {
  expect(await ack(await connect("/class"), "unknown", 1), []);
});

check("the emit and send of a class reach everybody in its namespace", async () => {
  const [one, two, main] = await Promise.all([connect("/class"), connect("/class"), connect()]);
  for (const client of [one, two]) await next(client, "hello");
  one.emit("news", "x");
  for (const client of [one, two]) {
    expect(await next(client, "news"), ["x"]);
    expect(await next(client, "message"), ["x"]);
  }
  await noMore(one, two, main);
});

check("the rooms of a class are those of its namespace", async () => {
  const [one, two, three] = await Promise.all([connect("/class"), connect("/class"), connect("/class")]);
  for (const client of [one, two, three]) await next(client, "hello");
  expect((await ack(one, "enter", "red"))[0].sort(), [one.id, "red"].sort());
  await ack(two, "enter", "red");
  await ack(one, "tell", "red", "psst");
  expect(await next(two, "told"), ["psst"]);
  await noMore(one, two, three);
  await ack(one, "close", "red");
  await ack(one, "tell", "red", "anybody?");
  await noMore(one, two, three);
});

check("a class may dispatch its events itself", async () => {
  const [answer] = await ack(await connect("/dispatching"), "anything", 1);
  expect([answer[0], answer.at(-1)], ["anything", 1]);
});

check("a catch-all handler is given the events that no other handler takes", async () => {
  const client = await connect("/decorated");
  expect(await ack(client, "something", 1, "two"), [["rest", "something", 1, "two"]]);
  expect(await ack(client, "who"), [["decorated", "/decorated"]]);
});

check("an event named like a lifecycle handler ends the connection and runs nothing", async () => {
  for (const event of ["connect", "disconnect"]) {
    const client = await connect("/class");
    await next(client, "hello");
    const told = disconnected(client);
    client.packet({ type: 2, data: [event, "forged"], options: {}, nsp: client.nsp });
    expect((await told).startsWith("transport"), true);
    expect(client.inbox.untaken(), []);
  }
  expect((await http("/left")).includes("forged"), false);
});

check("an event named by a star goes where unknown events go", async () => {
  expect(await ack(await connect("/decorated"), "*", 1), [["rest", "*", 1]]);
});

check("the namespaces of one connection have sids of their own", async () => {
  const main = await connect();
  const others = await Promise.all(["/decorated", "/registered", "/class"].map((name) => connected(sibling(main, name))));
  expect(new Set([main, ...others].map((client) => client.id)).size, 4);
  expect(await ack(others[1], "who"), [["registered", "/registered"]]);
  expect(await ack(main, "who"), [["main", "/"]]);
});

await run();
