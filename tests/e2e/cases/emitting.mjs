// Who receives what, for every way to name the recipients.

import { ack, check, connect, connected, expect, next, noMore, run, sibling } from "./client.mjs";

let count = 0;

/** Returns three clients and two rooms of this check's own: the first two are in red, the last two in blue. */
async function three() {
  count += 1;
  const [red, blue] = [`red${count}`, `blue${count}`];
  const clients = await Promise.all([connect(), connect(), connect()]);
  await Promise.all([
    ack(clients[0], "join", red),
    ack(clients[1], "join", red),
    ack(clients[1], "join", blue),
    ack(clients[2], "join", blue),
  ]);
  return { clients, red, blue };
}

async function reaches(clients, indices, event = "news", args = ["payload"]) {
  for (const index of indices) expect(await next(clients[index], event), args);
  await noMore(...clients);
}

check("emit answers the sender alone", async () => {
  const { clients } = await three();
  await ack(clients[0], "emit", {});
  await reaches(clients, [0]);
});

check("emit with broadcast reaches everybody", async () => {
  const { clients } = await three();
  await ack(clients[0], "emit", { broadcast: true });
  await reaches(clients, [0, 1, 2]);
});

check("emit with broadcast and without self reaches the others", async () => {
  const { clients } = await three();
  await ack(clients[0], "emit", { broadcast: true, include_self: false });
  await reaches(clients, [1, 2]);
});

check("emit to a room reaches its members", async () => {
  const { clients, blue } = await three();
  await ack(clients[0], "emit", { to: blue });
  await reaches(clients, [1, 2]);
});

check("room means the same as to", async () => {
  const { clients, red } = await three();
  await ack(clients[2], "emit", { room: red });
  await reaches(clients, [0, 1]);
});

check("a target goes before broadcast", async () => {
  const { clients, red } = await three();
  await ack(clients[2], "emit", { to: red, broadcast: true });
  await reaches(clients, [0, 1]);
});

check("emit to a room without self skips the sender", async () => {
  const { clients, red } = await three();
  await ack(clients[0], "emit", { to: red, include_self: false });
  await reaches(clients, [1]);
});

check("emit to several rooms reaches each member once", async () => {
  const { clients, red, blue } = await three();
  await ack(clients[0], "emit", { to: [red, blue] });
  await reaches(clients, [0, 1, 2]);
});

check("emit to a tuple of rooms reaches each member once", async () => {
  const { clients, red, blue } = await three();
  await ack(clients[0], "rooms in a tuple", [red, blue]);
  await reaches(clients, [0, 1, 2]);
});

check("emit to a sid reaches that client", async () => {
  const { clients } = await three();
  await ack(clients[0], "emit", { to: clients[2].id });
  await reaches(clients, [2]);
});

check("emit to a room and a sid reaches both", async () => {
  const { clients, red } = await three();
  await ack(clients[0], "emit", { to: [red, clients[2].id] });
  await reaches(clients, [0, 1, 2]);
});

check("emit to a room that nobody is in reaches nobody", async () => {
  const { clients } = await three();
  await ack(clients[0], "emit", { to: "nobody" });
  await reaches(clients, []);
});

check("emit to an empty text or list reaches nobody", async () => {
  const { clients } = await three();
  await ack(clients[0], "emit", { to: "" });
  await ack(clients[0], "emit", { to: [] });
  await ack(clients[0], "server emit", { to: "" });
  await ack(clients[0], "server emit", { to: [] });
  await reaches(clients, []);
});

check("skip_sid leaves one client out", async () => {
  const { clients } = await three();
  await ack(clients[0], "emit", { broadcast: true, skip_sid: clients[1].id });
  await reaches(clients, [0, 2]);
});

check("skip_sid leaves a list of clients out", async () => {
  const { clients } = await three();
  await ack(clients[0], "emit", { broadcast: true, skip_sid: [clients[0].id, clients[1].id] });
  await reaches(clients, [2]);
});

check("skip_sid leaves a tuple of clients out", async () => {
  const { clients } = await three();
  await ack(clients[0], "skip in a tuple", [clients[0].id, clients[1].id]);
  await reaches(clients, [2]);
});

check("emit in another namespace reaches its clients", async () => {
  const { clients } = await three();
  const other = await connected(sibling(clients[2], "/other"));
  await ack(clients[0], "emit", { broadcast: true, namespace: "/other" });
  expect(await next(other, "news"), ["payload"]);
  await noMore(...clients, other);
});

check("rooms of the same name in two namespaces are two rooms", async () => {
  const { clients, red } = await three();
  const other = await connected(sibling(clients[2], "/other"));
  await ack(other, "join", red);
  await ack(clients[0], "emit", { to: red, namespace: "/other" });
  expect(await next(other, "news"), ["payload"]);
  await noMore(...clients, other);
});

check("send answers the sender with a message", async () => {
  const { clients } = await three();
  await ack(clients[0], "send", "text", {});
  await reaches(clients, [0], "message", ["text"]);
});

check("send with json makes it a json event", async () => {
  const { clients, blue } = await three();
  await ack(clients[0], "send", { a: 1 }, { json: true, to: blue });
  await reaches(clients, [1, 2], "json", [{ a: 1 }]);
});

check("send with broadcast and without self reaches the others", async () => {
  const { clients } = await three();
  await ack(clients[0], "send", "text", { broadcast: true, include_self: false });
  await reaches(clients, [1, 2], "message", ["text"]);
});

check("the server object's emit reaches everybody", async () => {
  const { clients } = await three();
  await ack(clients[0], "server emit", {});
  await reaches(clients, [0, 1, 2]);
});

check("the server object's emit takes a room, a sid and clients to skip", async () => {
  const { clients, blue } = await three();
  await ack(clients[0], "server emit", { to: blue });
  await reaches(clients, [1, 2]);
  await ack(clients[0], "server emit", { to: clients[0].id });
  await reaches(clients, [0]);
  await ack(clients[0], "server emit", { skip_sid: [clients[0].id, clients[2].id] });
  await reaches(clients, [1]);
  await ack(clients[0], "server emit", { include_self: false });
  await reaches(clients, [1, 2]);
});

check("the server object's send takes json, a room and a namespace", async () => {
  const { clients, red } = await three();
  await ack(clients[2], "server send", [1], { json: true, to: red });
  await reaches(clients, [0, 1], "json", [[1]]);
  const other = await connected(sibling(clients[0], "/other"));
  await ack(clients[2], "server send", "text", { namespace: "/other" });
  expect(await next(other, "message"), ["text"]);
  await noMore(...clients, other);
});

check("a tuple becomes several arguments and a list stays one", async () => {
  const client = await connect();
  await ack(client, "shapes");
  expect(await next(client, "tuple"), [1, [2], "three"]);
  expect(await next(client, "list"), [[1, 2]]);
  expect(await next(client, "nothing"), []);
  expect(await next(client, "message"), [1, 2]);
  await noMore(client);
});

await run();
