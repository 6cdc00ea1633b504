// The session between the events of one connection.

import { ack, check, connect, connected, expect, http, run, sibling, url } from "./client.mjs";

/** Logs in over HTTP, and returns the cookie. */
async function login(user) {
  const answer = await fetch(`${url}/login/${user}`);
  return answer.headers.get("set-cookie").split(";")[0];
}

check("a value set in one event is there in the next", async () => {
  const client = await connect();
  await ack(client, "set", "value", { a: [1] });
  expect(await ack(client, "get", "value"), [{ a: [1] }]);
  expect(await ack(client, "remove", "value"), [false]);
  expect(await ack(client, "get", "value"), []);
});

check("a value set in the connect handler is there in the events", async () => {
  expect(await ack(await connect(), "get", "connects"), [1]);
});

check("connections do not share their sessions", async () => {
  const [one, two] = await Promise.all([connect(), connect()]);
  await ack(one, "set", "value", 1);
  expect(await ack(two, "get", "value"), []);
});

check("the namespaces of one connection share one session", async () => {
  const main = await connect();
  const other = await connected(sibling(main, "/other"));
  await ack(main, "set", "value", "shared");
  expect(await ack(other, "get", "value"), ["shared"]);
  expect(await ack(other, "get", "connects"), [2]);
});

check("the session starts as the HTTP side had it", async () => {
  const cookie = await login("alice");
  const client = await connect("/", { extraHeaders: { cookie } });
  expect(await ack(client, "get", "user"), ["alice"]);
});

check("what handlers change stays with the connection", async () => {
  const cookie = await login("alice");
  const client = await connect("/", { extraHeaders: { cookie } });
  await ack(client, "set", "user", "bob");
  expect(await ack(client, "get", "user"), ["bob"]);
  expect(await http("/whoami", { headers: { cookie } }), { user: "alice" });
  const again = await connect("/", { extraHeaders: { cookie } });
  expect(await ack(again, "get", "user"), ["alice"]);
});

await run();
