// The official parsers behind standard streams: one question as a line of JSON, one answer as a line of JSON.
//
// Bytes stand as {"$bytes": base64}. An answer is {"value": ...}, {"error": message}, or {"value": null} for a
// packet that is not complete.

import { createInterface } from "node:readline";
import { decodePayload, encodePayload } from "engine.io-parser";
import * as json from "socket.io-parser";
import msgpack from "socket.io-msgpack-parser";

const isBytes = (value) => Buffer.isBuffer(value) || value instanceof ArrayBuffer || ArrayBuffer.isView(value);

const pack = (value) => {
  if (isBytes(value)) return { $bytes: Buffer.from(value).toString("base64") };
  if (Array.isArray(value)) return value.map(pack);
  if (value === null || typeof value !== "object" || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, pack(item)]));
};

const unpack = (value) => {
  if (Array.isArray(value)) return value.map(unpack);
  if (value === null || typeof value !== "object") return value;
  if ("$bytes" in value) return Buffer.from(value.$bytes, "base64");
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unpack(item)]));
};

const decode = (decoder, messages) => {
  let packet = null;
  decoder.on("decoded", (decoded) => (packet ??= decoded));
  for (const message of messages) if (packet === null) decoder.add(message);
  return packet && [packet.type, packet.nsp, packet.id, packet.data];
};

const encode = (encoder, [type, nsp, id, data]) => {
  const packet = { type, nsp };
  if (id !== null) packet.id = id;
  if (data !== null) packet.data = data;
  return encoder.encode(packet);
};

const QUESTIONS = {
  decodePayload: (body) => decodePayload(body).map(({ type, data }) => [type, data ?? ""]),
  encodePayload: (packets) => new Promise((done) => encodePayload(packets.map((data) => ({ type: "message", data })), done)),
  decodeJSON: ({ messages, maxAttachments }) => decode(new json.Decoder({ maxAttachments }), messages),
  encodeJSON: (packet) => encode(new json.Encoder(), packet),
  decodeMessagePack: (message) => decode(new msgpack.Decoder(), [message]),
  encodeMessagePack: (packet) => encode(new msgpack.Encoder(), packet),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { name, argument } = JSON.parse(line);
  let answer;
  try {
    answer = { value: pack(await QUESTIONS[name](unpack(argument))) };
  } catch (error) {
    answer = { error: String(error.message) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
