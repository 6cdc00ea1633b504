// Flask's own session, shared with the HTTP side.

import { ack, check, connect, expect, http, run, url } from "./client.mjs";

/** Logs in over HTTP, and returns the cookie. */
async function login(user) {
  const answer = await fetch(`${url}/login/${user}`);
  return answer.headers.get("set-cookie").split(";")[0];
}

check("what a handler changes reaches the HTTP side", async () => {
  const cookie = await login("alice");
  const client = await connect("/", { extraHeaders: { cookie } });
  expect(await ack(client, "get", "user"), ["alice"]);
  await ack(client, "set", "user", "bob");
  expect(await http("/whoami", { headers: { cookie } }), { user: "bob" });
});

check("what the HTTP side changes reaches the handlers", async () => {
  const cookie = await login("alice");
  const client = await connect("/", { extraHeaders: { cookie } });
  expect(await ack(client, "get", "user"), ["alice"]);
  await fetch(`${url}/login/carol`, { headers: { cookie } });
  expect(await ack(client, "get", "user"), ["carol"]);
});

check("two connections of one browser share the session", async () => {
  const cookie = await login("alice");
  const [one, two] = await Promise.all([0, 1].map(() => connect("/", { extraHeaders: { cookie } })));
  await ack(one, "set", "value", 1);
  expect(await ack(two, "get", "value"), [1]);
});

await run();
