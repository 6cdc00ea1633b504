// What every case shares: clients that remember what they receive, waits that end, and the report of named checks.
//
// A case is run as `node <case>.mjs URL MODE` and prints one JSON line for each check: {"check": name, "error": null or why}.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { io } from "socket.io-client";

export const [url, mode] = process.argv.slice(2);

const TRANSPORTS = { websocket: ["websocket"], polling: ["polling"], upgrade: ["polling", "websocket"] };
// A master listens before its workers are there, and on a busy machine they take seconds to start.
const WAIT = 15000;
const CHECK_WAIT = 30000;

const checks = [];
let opened = [];
let fences = 0;

/** Registers a check that runs in every mode. */
export function check(name, body) {
  checks.push({ name, body });
}

/** Registers a check that runs in some modes only. */
export function checkIn(modes, name, body) {
  if (modes.includes(mode)) checks.push({ name, body });
}

/** Runs the checks one after another, prints what became of each, and ends the process. */
export async function run() {
  let failed = 0;
  for (const { name, body } of checks) {
    opened = [];
    let error = null;
    try {
      await within(body(), "the check ends", CHECK_WAIT);
    } catch (thrown) {
      error = String(thrown?.stack ?? thrown);
      failed += 1;
    }
    await Promise.all(opened.map(close));
    console.log(JSON.stringify({ check: name, error }));
  }
  process.exitCode = failed ? 1 : 0;
  setTimeout(() => process.exit(), 500).unref();
}

/** Awaits a promise, and fails with what was waited for when it takes too long. */
export async function within(promise, what, wait = WAIT) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${wait} ms in vain: ${what}`)), wait);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until a condition holds, looking every few milliseconds. */
export async function eventually(condition, what, wait = WAIT) {
  const deadline = Date.now() + wait;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${wait} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Opens a client on a connection of its own, without waiting for it. */
export function open(namespace = "/", options = {}) {
  const socket = io(url + namespace, {
    transports: TRANSPORTS[mode],
    forceNew: true,
    reconnection: false,
    timeout: WAIT,
    rejectUnauthorized: false,
    ...options,
  });
  opened.push(socket);
  return remember(socket);
}

/** Opens another namespace on the connection of a client, without waiting for it. */
export function sibling(client, namespace, options = {}) {
  return remember(client.io.socket(namespace, options));
}

/** Waits until a client is connected, and has reached the transport that this mode is about. */
export async function connected(socket) {
  if (!socket.connected) {
    await within(
      new Promise((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("connect_error", (error) => reject(new Error(`refused: ${error.message}`)));
      }),
      `${socket.nsp} connects`,
    );
  }
  const { engine } = socket.io;
  if (mode === "upgrade" && engine.transport.name !== "websocket") {
    await within(new Promise((resolve) => engine.once("upgrade", resolve)), "the connection upgrades");
  }
  assert.equal(engine.transport.name, mode === "polling" ? "polling" : "websocket");
  return socket;
}

/** Opens a client and waits for it. */
export function connect(namespace = "/", options = {}) {
  return connected(open(namespace, options));
}

/** Waits for the refusal of a client, and returns its error. */
export function refused(socket) {
  return within(
    new Promise((resolve, reject) => {
      socket.once("connect_error", resolve);
      socket.once("connect", () => reject(new Error(`${socket.nsp} was accepted`)));
    }),
    `${socket.nsp} is refused`,
  );
}

/** Waits for the end of a client's connection, and returns the reason it is told. */
export function disconnected(socket) {
  return within(new Promise((resolve) => socket.once("disconnect", resolve)), `${socket.nsp} disconnects`);
}

/** Emits an event, and returns the list of the acknowledgement's arguments. */
export function ack(client, event, ...args) {
  return within(
    new Promise((resolve) => client.emit(event, ...args, (...answers) => resolve(answers))),
    `"${event}" is acknowledged`,
  );
}

/** Returns the arguments of the next event that a client receives, which must have this name. */
export async function next(client, event) {
  const received = await within(client.inbox.take(), `"${event}" arrives`);
  assert.equal(received.event, event, `"${received.event}" ${JSON.stringify(received.args)} arrived instead of "${event}"`);
  return received.args;
}

/** Sees to it that nothing but what was taken has reached the clients, nor is on its way to them. */
export async function noMore(...clients) {
  await Promise.all(clients.map(fence));
  for (const client of clients) expect(client.inbox.untaken(), []);
}

/** Waits until all that the server had sent to a client has arrived. */
export async function fence(client) {
  // The answer to a CONNECT follows whatever was sent before on the same connection, be it yes or no.
  fences += 1;
  const probe = client.io.socket(`/fence-${fences}`);
  await within(
    new Promise((resolve) => {
      probe.once("connect", resolve);
      probe.once("connect_error", resolve);
    }),
    "the answer to a CONNECT",
  );
  probe.disconnect();
}

/** Compares deeply and strictly; binary values by their bytes, whatever class holds them. */
export function expect(actual, expected) {
  assert.deepEqual(plain(actual), plain(expected));
}

/** Fetches a JSON answer of the application's HTTP side. */
export async function http(path, options = {}) {
  const answer = await within(fetch(url + path, options), `${path} answers`);
  assert.equal(answer.status, 200, `${path} answered ${answer.status}`);
  return answer.json();
}

/** Disconnects a client and waits for its connection to close. */
export async function close(socket) {
  const { engine } = socket.io;
  socket.disconnect();
  socket.io._close();
  if (!engine || engine.readyState === "closed") return;
  await within(new Promise((resolve) => engine.once("close", resolve)), "the connection closes", 1000).catch(() => {});
}

/** Returns bytes that no two indices share. */
export function bytes(length, seed = 7) {
  return Buffer.from(Array.from({ length }, (_, index) => (index * 31 + seed + (index >> 8)) & 255));
}

class Inbox {
  #received = [];
  #waiting = [];

  put(event, args) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting({ event, args });
    else this.#received.push({ event, args });
  }

  take() {
    if (this.#received.length) return Promise.resolve(this.#received.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  untaken() {
    return this.#received.map(({ event, args }) => [event, ...args]);
  }
}

function remember(socket) {
  socket.inbox = new Inbox();
  socket.onAny((event, ...args) => socket.inbox.put(event, args.filter((arg) => typeof arg !== "function")));
  return socket;
}

function plain(value) {
  if (value instanceof ArrayBuffer) return plain(Buffer.from(value));
  if (ArrayBuffer.isView(value)) {
    const buffer = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return { bytes: buffer.length > 64 ? `${buffer.length} ${createHash("sha1").update(buffer).digest("hex")}` : buffer.toString("hex") };
  }
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}
