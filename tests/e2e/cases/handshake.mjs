// What a handler sees of the request that opened the connection.

import { ack, check, connect, eventually, expect, http, mode, next, run, url } from "./client.mjs";

const OPTIONS = { query: { color: "red", empty: "" }, extraHeaders: { "X-Color": "blue", cookie: "flavor=sweet" } };

async function verify(found, client) {
  expect(found.args.color, "red");
  expect([found.args.empty, found.args.EIO, found.args.transport], ["", "4", mode === "websocket" ? "websocket" : "polling"]);
  expect([found.path, found.method, found.endpoint], ["/socket.io/", "GET", null]);
  expect([found.header, found.cookie], ["blue", "sweet"]);
  expect([found.address, found.host], ["127.0.0.1", new URL(url).host]);
  expect([found.sid, found.namespace], [client.id, "/"]);
}

check("the request of a connect handler is the handshake", async () => {
  const client = await connect("/", OPTIONS);
  const [found] = await next(client, "request");
  await verify(found, client);
});

check("the request of every event is the handshake", async () => {
  const client = await connect("/", OPTIONS);
  const [found] = await ack(client, "describe");
  await verify(found, client);
});

check("the environment of the handshake is at hand", async () => {
  const client = await connect("/", OPTIONS);
  const [[query, known]] = await ack(client, "environ");
  expect([query.includes("color=red"), known], [true, true]);
});

check("current_app is the application", async () => {
  expect(await ack(await connect(), "application"), [[true, true]]);
});

check("url_for and templates work", async () => {
  const client = await connect();
  expect((await ack(client, "url"))[0].endsWith("/?page=2"), true);
  expect(await ack(client, "render", "<World>"), ["Hello, &lt;World&gt;!"]);
});

check("g is fresh for every event", async () => {
  const client = await connect();
  expect(await ack(client, "globals"), []);
  expect(await ack(client, "globals"), []);
});

check("teardown functions run after every event", async () => {
  const before = (await http("/torn-down")).filter((name) => name === "render").length;
  await ack(await connect(), "render", "x");
  await eventually(async () => (await http("/torn-down")).filter((name) => name === "render").length === before + 1, "the teardown runs");
});

await run();
