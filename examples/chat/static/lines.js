// The lines of the room on the page: messages and notices, oldest first.
// What comes from other people enters the page as text (textContent) only, never as HTML.

import { listed, paint } from "./names.js";

const MOST_LINES = 200;
const SAME_BREATH = 300; // seconds
const TICKS = { waiting: "Waiting for the connection", sent: "Sent", delivered: "Delivered", failed: "Not delivered" };

const log = document.getElementById("messages");
const scroller = document.getElementById("scroller");
const newest = document.getElementById("newest");
const empty = document.getElementById("empty");
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const clone = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

// A line is {id, element}, with {key, name, text, at, state} for a message and {what, names} for a notice.
let lines = [];
let following = true; // whether the reader is at the end, and wants to stay there

export function toEnd() {
  following = true;
  scroller.scrollTop = scroller.scrollHeight;
  newest.hidden = true;
}

/** Put a line where it belongs: the server numbers messages, and ours without a number yet come last. */
export function place(line) {
  lines = lines.filter((other) => other !== line);
  let index = lines.length;
  while (index > 0 && lines[index - 1].id > line.id) index -= 1;
  lines.splice(index, 0, line);
  const next = lines[index + 1]?.element ?? null;
  if (!line.element.isConnected || line.element.nextElementSibling !== next) log.insertBefore(line.element, next);
  while (lines.length > MOST_LINES) lines.shift().element.remove();
  group();
  if (following) toEnd();
  else if (line.text && !line.mine) newest.hidden = false;
}

/** Messages of one person in one breath share a name and an avatar. */
function group() {
  let previous = null;
  for (const line of lines) {
    const follows = Boolean(previous?.text && line.text && previous.name === line.name && line.at - previous.at < SAME_BREATH);
    line.element.classList.toggle("follows", follows);
    previous?.element.classList.toggle("followed", follows);
    previous = line;
  }
  previous?.element.classList.remove("followed");
  empty.hidden = lines.some((line) => line.text);
}

/** Show a message, or what is new about one that is there already, and return its line. */
export function showMessage(message, mine) {
  const known = lines.find((line) => line.key === message.key && line.name === message.name);
  if (known) {
    Object.assign(known, message);
    setState(known, "delivered");
    place(known);
    return known;
  }
  const line = { ...message, mine, element: clone("message-template") };
  const part = (selector) => line.element.querySelector(selector);
  line.element.classList.toggle("mine", mine);
  paint(part(".avatar"), message.name);
  part(".author").textContent = message.name;
  part(".text").textContent = message.text;
  part("time").textContent = clock.format(message.at * 1000);
  part("time").dateTime = new Date(message.at * 1000).toISOString();
  if (mine) setState(line, message.state ?? "delivered");
  else part(".tick").remove();
  place(line);
  return line;
}

/** Set the ticks of a message of ours; for one that failed, say why and offer a way out. */
export function setState(line, state, { why = "", label = "", press = null } = {}) {
  line.state = state;
  const tick = line.element.querySelector(".tick");
  tick?.setAttribute("data-state", state);
  tick?.setAttribute("aria-label", TICKS[state]);
  const trouble = line.element.querySelector(".trouble");
  trouble.hidden = state !== "failed";
  trouble.querySelector("span").textContent = why;
  trouble.querySelector("button").textContent = label;
  trouble.querySelector("button").onclick = press;
  if (following) toEnd();
}

/** Say that somebody joined or left; several in a row share one line. */
export function showNotice(name, what) {
  let notice = lines.findLast((line) => Number.isFinite(line.id));
  if (notice?.what !== what) notice = { id: notice?.id ?? 0, what, names: [], element: clone("notice-template") };
  notice.names = [...notice.names.filter((other) => other !== name), name];
  notice.element.firstElementChild.textContent = `${listed(notice.names)} ${what}`;
  place(notice);
}

/** Show what was said before; it is there to be read, not to be read out. */
export function showHistory(messages, me) {
  log.setAttribute("aria-live", "off");
  for (const message of messages) showMessage(message, message.name === me);
  group();
  toEnd();
  requestAnimationFrame(() => log.setAttribute("aria-live", "polite"));
}

export function remove(line) {
  lines = lines.filter((other) => other !== line);
  line.element.remove();
  group();
}

export function clear() {
  lines = [];
  log.replaceChildren();
  group();
}

scroller.addEventListener("scroll", () => {
  following = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
  if (following) newest.hidden = true;
});
new ResizeObserver(() => { if (following) toEnd(); }).observe(scroller);
newest.addEventListener("click", toEnd);
