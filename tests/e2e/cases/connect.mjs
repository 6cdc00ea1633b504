// Who is let in, who is not, and what each is told.

import { mode, check, connect, connected, eventually, expect, fence, http, next, noMore, open, refused, run, sibling } from "./client.mjs";

check("a client without credentials is accepted and its handler is given None", async () => {
  const client = await connect();
  const [{ auth, sid }] = await next(client, "welcome");
  expect([auth, sid], [null, client.id]);
});

check("a client's credentials reach the handler", async () => {
  const client = await connect("/", { auth: { token: "a", nested: { list: [1, null, "é"] } } });
  const [{ auth }] = await next(client, "welcome");
  expect(auth, { token: "a", nested: { list: [1, null, "é"] } });
});

check("empty credentials arrive as None", async () => {
  const client = await connect("/", { auth: {} });
  expect((await next(client, "welcome"))[0].auth, null);
});

check("a handler without argument is not given the credentials", async () => {
  const client = await connect("/plain", { auth: { token: "a" } });
  expect(await next(client, "welcome"), ["no argument"]);
});

check("every result but False accepts", async () => {
  const clients = await Promise.all(["/none", "/zero", "/empty"].map((namespace) => connect(namespace)));
  expect(clients.map((client) => client.connected), [true, true, true]);
});

check("False refuses with the default message", async () => {
  const client = open("/false");
  const error = await refused(client);
  expect([error.message, error.data, client.connected], ["Connection rejected by server", undefined, false]);
});

check("a refused client receives nothing of what its handler emitted", async () => {
  const main = await connect();
  await next(main, "welcome");
  const client = sibling(main, "/false");
  await refused(client);
  await fence(main);
  expect(client.inbox.untaken(), []);
});

check("ConnectionRefusedError without arguments gives the default message", async () => {
  const error = await refused(open("/refused"));
  expect([error.message, error.data], ["Connection rejected by server", undefined]);
});

check("the message of a refusal reaches the client", async () => {
  const error = await refused(open("/message"));
  expect([error.message, error.data], ["no entry", undefined]);
});

check("the data of a refusal reaches the client", async () => {
  const error = await refused(open("/data"));
  expect([error.message, error.data], ["no entry", { code: 42 }]);
});

check("several data of a refusal reach the client as a list", async () => {
  const error = await refused(open("/details"));
  expect([error.message, error.data], ["no entry", [1, "two"]]);
});

check("a refused client may try again on the same connection", async () => {
  const main = await connect();
  const client = sibling(main, "/password", { auth: { password: "wrong" } });
  expect((await refused(client)).message, "wrong password");
  client.auth = { password: "secret" };
  client.connect();
  await connected(client);
  expect(client.connected, true);
});

check("an exception in the handler refuses the client", async () => {
  const error = await refused(open("/raises"));
  expect([typeof error.message, error.message.includes("on purpose")], ["string", false]);
});

check("a handler that raises TypeError runs once and refuses the client", async () => {
  const before = (await http("/runs"))["/type-error"] ?? 0;
  await refused(open("/type-error"));
  expect((await http("/runs"))["/type-error"], before + 1);
});

check("disconnect in the handler refuses the client", async () => {
  await refused(open("/leaves"));
});

check("a refused client has no disconnect handler run", async () => {
  const main = await connect();
  for (const namespace of ["/false", "/refused", "/raises", "/leaves"]) await refused(sibling(main, namespace));
  await fence(main);
  expect((await http("/runs"))["disconnects of refused clients"], undefined);
});

/** Opens a client, and waits until its connect handler runs. */
async function slow(accept) {
  const name = `slow ${mode} ${Math.random()}`;
  const client = open("/slow", { auth: { name, accept } });
  await eventually(async () => (await http("/waiting")).includes(name), "the connect handler runs");
  return { client, release: () => http(`/release/${encodeURIComponent(name)}`) };
}

check("a client receives nothing before it is accepted, and all of it then", async () => {
  const { client, release } = await slow(true);
  await http("/news");
  expect([client.connected, client.inbox.untaken()], [false, []]);
  await release();
  await connected(client);
  expect(await next(client, "early"), ["from the handler"]);
  expect(await next(client, "news"), ["to everybody"]);
});

check("a client that is refused in the end receives nothing of what was held", async () => {
  const { client, release } = await slow(false);
  await http("/news");
  const error = refused(client);
  await release();
  await error;
  expect(client.inbox.untaken(), []);
});

check("a client that leaves while its connect handler runs has one disconnect handler run", async () => {
  const disconnects = async () => (await http("/runs"))["disconnects of slow clients"] ?? 0;
  const { client, release } = await slow(true);
  const before = await disconnects();
  client.io.engine.close();
  await release();
  await eventually(async () => (await disconnects()) === before + 1, "the disconnect handler runs");
  await http("/news");
  expect(await disconnects(), before + 1);
});

check("an unknown namespace is refused and costs the connection nothing", async () => {
  const main = await connect();
  await next(main, "welcome");
  await refused(sibling(main, "/unknown"));
  await noMore(main);
  expect(main.connected, true);
});

await run();
