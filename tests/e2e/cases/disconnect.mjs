// Why a client left, as either side is told.

import { check, checkIn, connect, connected, disconnected, eventually, expect, http, mode, next, run, sibling, url } from "./client.mjs";

let count = 0;

function named() {
  count += 1;
  return `${mode}-${process.pid}-${count}`;
}

function enter(name, namespace = "/") {
  return connect(namespace, { query: { name } });
}

function reasons(name) {
  return eventually(
    async () => {
      const found = await http(`/reasons/${name}`);
      return found.length ? found : null;
    },
    `the server notices that ${name} left`,
  );
}

check("a client that disconnects is a client disconnect", async () => {
  const name = named();
  const client = await enter(name);
  const told = disconnected(client);
  client.disconnect();
  expect(await told, "io client disconnect");
  expect(await reasons(name), [["client disconnect", ["everybody"]]]);
});

check("a client that the server disconnects is a server disconnect", async () => {
  const name = named();
  const client = await enter(name);
  const told = disconnected(client);
  client.emit("kick");
  expect(await told, "io server disconnect");
  expect(await reasons(name), [["server disconnect", ["everybody"]]]);
});

check("who is disconnected by a handler has left when it goes on", async () => {
  const name = named();
  const before = await enter(name, "/single");
  const told = disconnected(before);
  const after = await enter(name, "/single");
  expect(await told, "io server disconnect");
  expect(await after.emitWithAck("am I active"), true);
  expect(await reasons(name), [["still a member", true]]);
});

checkIn(["websocket", "upgrade"], "a websocket that is closed is a transport close", async () => {
  const name = named();
  const client = await enter(name);
  client.io.engine.close();
  expect(await reasons(name), [["transport close", ["everybody"]]]);
});

checkIn(["websocket", "upgrade"], "a websocket that is cut off is a transport close", async () => {
  const name = named();
  const client = await enter(name);
  client.io.engine.transport.ws.terminate();
  expect(await reasons(name), [["transport close", ["everybody"]]]);
});

checkIn(["polling"], "a polling client that closes its session is a client disconnect", async () => {
  const name = named();
  const client = await enter(name);
  client.io.engine.close();
  expect(await reasons(name), [["client disconnect", ["everybody"]]]);
});

checkIn(["websocket"], "a client that answers no ping is a ping timeout", async () => {
  const name = named();
  const client = await enter(name);
  client.io.engine._sendPacket = () => {};
  expect(await reasons(name), [["ping timeout", ["everybody"]]]);
});

checkIn(["polling"], "a polling client that vanishes is a ping timeout", async () => {
  const name = named();
  const polls = `${url}/socket.io/?EIO=4&transport=polling&name=${name}`;
  const opening = await (await fetch(polls)).text();
  const { sid } = JSON.parse(opening.slice(1));
  await fetch(`${polls}&sid=${sid}`, { method: "POST", body: "40" });
  expect(await reasons(name), [["ping timeout", ["everybody"]]]);
});

check("each namespace of a connection has its handler run once", async () => {
  const name = named();
  const client = await enter(name);
  await connected(sibling(client, "/plain"));
  client.io._close();
  const found = await eventually(async () => {
    const all = await http(`/reasons/${name}`);
    return all.length >= 2 ? all : null;
  }, "both handlers run");
  expect(found.filter((entry) => entry === "/plain").length, 1);
  expect(found.length, 2);
});

check("a namespace that is left leaves the others connected", async () => {
  const name = named();
  const client = await enter(name);
  const other = await connected(sibling(client, "/plain"));
  const told = disconnected(other);
  other.emit("kick");
  expect(await told, "io server disconnect");
  expect(await reasons(name), ["/plain"]);
  expect(client.connected, true);
});

check("a namespace that was left may be entered again", async () => {
  const client = await enter(named());
  const other = await connected(sibling(client, "/plain"));
  const first = other.id;
  other.emit("kick");
  await disconnected(other);
  other.connect();
  await connected(other);
  expect(first === other.id, false);
});

check("a disconnect handler reaches the others with what it emits", async () => {
  const watcher = await enter(named());
  const name = named();
  const client = await enter(name);
  client.disconnect();
  let left = null;
  while (left !== name) [left] = await next(watcher, "left");
});

await run();
