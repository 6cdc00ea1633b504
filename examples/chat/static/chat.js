// The page of the chat: plain JavaScript, the Socket.IO client and nothing else.

import { showConnection } from "./connection.js";
import { clear, place, remove, setState, showHistory, showMessage, showNotice, toEnd } from "./lines.js";
import { avatarOf, listed, paint, roomFrom, tidy } from "./names.js";

const byId = (id) => document.getElementById(id);
const clone = (id) => byId(id).content.firstElementChild.cloneNode(true);
const MESSAGE_LENGTH = Number(document.body.dataset.messageLength);
const ANSWER_WITHIN = 5000; // milliseconds
const HOME = "lobby";

let me = "";
let room = null; // the room this page shows, or is about to show
let joined = false; // whether the server has let us into it
let people = null; // the names in the room; null until the server tells
let unseen = 0; // messages that came while the page was in the background
const outbox = new Map(); // messages of ours that the server has not acknowledged, by key

const remembered = {
  get name() { try { return localStorage.getItem("chat-name") ?? ""; } catch { return ""; } },
  set name(name) { try { localStorage.setItem("chat-name", name); } catch { /* not allowed to: ask again next time */ } },
};

function roomInAddress() {
  try { return roomFrom(decodeURIComponent(location.hash.slice(1))) || HOME; } catch { return HOME; }
}

function showTitle() {
  document.title = `${unseen ? `(${unseen}) ` : ""}#${room} · Carboy chat`;
}

// ---------------------------------------------------------------- saying something

const textBox = byId("text");

function say(text) {
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const line = showMessage({ key, room, name: me, text, at: Date.now() / 1000, id: Infinity, state: "waiting" }, true);
  outbox.set(key, line);
  toEnd();
  deliver(line);
}

/** Send a message: one tick when it is on its way, two when the server has acknowledged it. */
function deliver(line) {
  if (!joined || line.room !== room) return setState(line, "waiting");
  setState(line, "sent");
  socket.timeout(ANSWER_WITHIN).emit("say", line.room, line.text, line.key, (error, answer) => {
    if (error && !socket.connected) {
      setState(line, "waiting"); // it goes out again, with the same key, after the next join
    } else if (error) {
      setState(line, "failed", { why: "No answer from the server.", label: "Retry", press: () => deliver(line) });
    } else if (answer.error) {
      setState(line, "failed", { why: answer.error, label: "Edit", press: () => takeBack(line) });
    } else {
      outbox.delete(line.key);
      setState(Object.assign(line, answer), "delivered");
      if (line.room === room) place(line);
    }
  });
}

function takeBack(line) {
  outbox.delete(line.key);
  remove(line);
  textBox.value = [line.text, textBox.value].filter(Boolean).join("\n");
  textBox.focus();
  fitTextBox();
}

function fitTextBox() {
  textBox.style.height = "auto";
  textBox.style.height = `${textBox.scrollHeight}px`;
  const left = MESSAGE_LENGTH - textBox.value.length;
  byId("characters").textContent = left < 0 ? `${-left} too many` : left < 80 ? `${left} left` : "";
  byId("characters").classList.toggle("over", left < 0);
  byId("composer").classList.toggle("has-text", Boolean(textBox.value.trim()));
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = textBox.value.trim();
  textBox.focus();
  if (!text) return;
  textBox.value = "";
  fitTextBox();
  tellTyping(false);
  say(text);
});

textBox.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    byId("composer").requestSubmit();
  }
});

textBox.addEventListener("input", () => {
  fitTextBox();
  tellTyping(Boolean(textBox.value.trim()));
});

// ---------------------------------------------------------------- typing

let toldTypingAt = 0;
const typists = new Map(); // name -> timer that forgets them

function tellTyping(active) {
  const now = Date.now();
  if (!joined || (active ? now - toldTypingAt < 2000 : toldTypingAt === 0)) return;
  toldTypingAt = active ? now : 0;
  socket.volatile.emit("typing", active);
}

function setTypist(name, active) {
  clearTimeout(typists.get(name));
  typists.delete(name);
  if (active && name !== me) typists.set(name, setTimeout(setTypist, 4000, name, false));
  const names = [...typists.keys()];
  const who = names.length > 3 ? "Several people" : listed(names);
  byId("typing").textContent = who && `${who} ${names.length === 1 ? "is" : "are"} typing`;
}

function forgetTypists() {
  for (const name of [...typists.keys()]) setTypist(name, false);
}

// ---------------------------------------------------------------- rooms and people

let asking = false; // one join at a time, so that the server and the page agree on the last one

function join(name) {
  if (name !== room) {
    tellTyping(false);
    forgetTypists();
    room = name;
    people = null;
    clear();
    for (const line of outbox.values()) if (line.room === room) place(line);
  }
  setJoined(false);
  showTitle();
  byId("room-title").textContent = `#${room}`;
  textBox.placeholder = `Message #${room}`;
  markRoom();
  if (asking || !socket.connected) return;
  asking = true;
  socket.timeout(ANSWER_WITHIN).emit("join", name, (error, answer) => {
    asking = false;
    if (room !== name || (error && socket.connected)) join(room);
    else if (!error) enter(answer);
  });
}

function enter(answer) {
  if (answer.error) return showBanner(answer.error, "bad");
  setJoined(true);
  showHistory(answer.history, me);
  for (const [key, line] of outbox) {
    if (line.state === "delivered") outbox.delete(key); // it had arrived: the history has it
    else if (line.state === "waiting") deliver(line);
  }
}

function setJoined(value) {
  joined = value;
  byId("chat").classList.toggle("joined", value);
}

function showPeople(names) {
  names.sort((one, other) => one.localeCompare(other));
  if (people && joined) {
    for (const name of names) if (!people.includes(name)) showNotice(name, "joined");
    for (const name of people) if (!names.includes(name)) showNotice(name, "left");
  }
  people = names;
  byId("people-count").textContent = names.length;
  byId("people").replaceChildren(...names.map((name) => {
    const element = clone("person-template");
    paint(element.querySelector(".avatar"), name);
    element.querySelector(".name").textContent = name;
    element.querySelector("small").textContent = name === me ? "you" : "";
    return element;
  }));
  byId("faces").replaceChildren(...names.slice(0, 3).map(avatarOf), names.length > 3 ? `+${names.length - 3}` : "");
}

function showRooms(sizes) {
  const names = Object.keys(sizes).sort((one, other) => (other === HOME) - (one === HOME) || one.localeCompare(other));
  byId("rooms").replaceChildren(...names.map((name) => {
    const element = clone("room-template");
    element.firstElementChild.href = `#${encodeURIComponent(name)}`;
    element.querySelector(".name").textContent = name;
    element.querySelector(".count").textContent = sizes[name] || "";
    element.querySelector(".count").title = "people here now";
    return element;
  }));
  markRoom();
}

function markRoom() {
  for (const link of byId("rooms").querySelectorAll("a")) {
    if (link.querySelector(".name").textContent === room) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function closePanels() {
  for (const panel of document.querySelectorAll(".panel:popover-open")) panel.hidePopover();
}

addEventListener("hashchange", () => {
  byId("welcome-room").textContent = `#${roomInAddress()}`;
  if (room && room !== roomInAddress()) join(roomInAddress());
});

byId("rooms").addEventListener("click", (event) => {
  if (event.target.closest("a")) closePanels();
});

byId("room-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = roomFrom(byId("room-name").value);
  byId("room-name").value = "";
  if (!name) return;
  location.hash = encodeURIComponent(name);
  closePanels();
  textBox.focus();
});

byId("copy-link").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  const address = new URL(`#${encodeURIComponent(room)}`, location.href).href;
  try {
    await navigator.clipboard.writeText(address);
    button.textContent = "Copied";
  } catch {
    button.textContent = address;
  }
  setTimeout(() => { button.textContent = "Copy the address"; }, 3000);
});

document.addEventListener("visibilitychange", () => {
  unseen = 0;
  if (room) showTitle();
});

// ---------------------------------------------------------------- the connection

const socket = globalThis.io?.({
  autoConnect: false,
  auth: (give) => give({ name: me }),
  reconnectionDelay: 500,
  reconnectionDelayMax: 4000,
});

function listen() {
  let away = false;

  socket.on("connect", () => {
    remembered.name = me;
    showOnly("chat");
    asking = false;
    join(roomInAddress());
    if (away) showBanner("Back online", "good");
    away = false;
  });

  socket.on("connect_error", (error) => {
    if (socket.active) lost(); // the network failed: the client tries again by itself
    else showWelcome(error.message); // the server refused us and said why
  });

  socket.on("disconnect", (reason) => {
    setJoined(false);
    forgetTypists();
    if (reason !== "io client disconnect") lost();
    if (reason === "io server disconnect") socket.connect();
  });

  function lost() {
    away = true;
    if (byId("chat").hidden) showWelcome("The server does not answer. Still trying…");
    else showBanner("Connection lost. Reconnecting… What you write is kept, and sent then.", "bad");
  }

  socket.on("message", (message) => {
    if (message.room !== room) return;
    setTypist(message.name, false);
    showMessage(message, message.name === me);
    document.body.classList.add("bubbling");
    if (document.hidden) unseen += 1;
    showTitle();
  });

  socket.on("people", (name, names) => { if (name === room) showPeople(names); });
  socket.on("rooms", showRooms);
  socket.on("typing", (name, typist, active) => { if (name === room) setTypist(typist, active); });
}

let bannerTimer = null;

function showBanner(text, kind) {
  clearTimeout(bannerTimer);
  byId("banner").textContent = text;
  byId("banner").className = `banner ${kind}`;
  if (kind === "good") bannerTimer = setTimeout(showBanner, 2000, "", "");
}

document.body.addEventListener("animationend", (event) => {
  if (event.animationName === "rise") document.body.classList.remove("bubbling");
});

// ---------------------------------------------------------------- the door

function showOnly(id) {
  if (!byId(id).hidden) return;
  for (const part of ["missing", "welcome", "chat"]) byId(part).hidden = part !== id;
  if (id !== "chat") return;
  paint(byId("my-avatar"), me);
  byId("my-name").textContent = me;
  fitTextBox();
  if (matchMedia("(hover: hover)").matches) textBox.focus();
}

function showWelcome(problem = "") {
  const entering = byId("welcome").hidden;
  closePanels();
  showOnly("welcome");
  byId("welcome-room").textContent = `#${roomInAddress()}`;
  byId("name-problem").textContent = problem;
  if (!entering) return;
  byId("name").value = me;
  paint(byId("name-avatar"), me || "?");
  byId("name").select();
}

byId("name").addEventListener("input", () => paint(byId("name-avatar"), tidy(byId("name").value) || "?"));

byId("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  me = tidy(byId("name").value);
  byId("name-problem").textContent = "";
  socket.disconnect().connect();
});

byId("change-name").addEventListener("click", () => {
  socket.disconnect();
  room = null;
  outbox.clear();
  showWelcome();
});

if (socket) {
  listen();
  showConnection(socket);
  me = remembered.name;
  if (me) socket.connect();
  else showWelcome();
} else {
  showOnly("missing");
}
