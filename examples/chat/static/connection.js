// What the page shows of the connection: the transport, its upgrade, and how long a round trip takes.

const EVERY = 2500; // milliseconds
const ANSWER_WITHIN = 5000;
const KEPT = 24;
const WORDS = { polling: "Polling", websocket: "WebSocket" };

const byId = (id) => document.getElementById(id);
let transport = "";
let roundTrips = [];

export function showConnection(socket) {
  socket.io.on("open", () => watch(socket));
  socket.io.on("close", () => {
    byId("upgrade").textContent = "";
    showTransport("");
  });
  socket.on("connect", () => measure(socket));
  setInterval(measure, EVERY, socket);
  showTransport("");
  draw();
}

function watch(socket) {
  const engine = socket.io.engine;
  const opened = performance.now();
  showTransport(engine.transport.name);
  byId("upgrade").textContent = transport === "polling" ? "Trying for something faster…" : "";
  engine.on("upgrade", (upgraded) => {
    byId("upgrade").textContent = `Upgraded after ${Math.round(performance.now() - opened)} ms`;
    showTransport(upgraded.name);
    measure(socket);
  });
}

function measure(socket) {
  if (!socket.connected || document.hidden) return;
  const started = performance.now();
  socket.timeout(ANSWER_WITHIN).emit("latency", (error) => {
    if (error) return;
    roundTrips = [...roundTrips, performance.now() - started].slice(-KEPT);
    showTransport(transport);
    draw();
  });
}

function showTransport(name) {
  transport = name;
  const last = roundTrips.at(-1);
  const time = last === undefined ? "" : `${last < 9.5 ? last.toFixed(1) : Math.round(last)} ms`;
  byId("status").textContent = name ? [WORDS[name] ?? name, time].filter(Boolean).join(" · ") : "Not connected";
  byId("latency").textContent = time || "…";
  byId("chat").dataset.transport = name;
  for (const chip of document.querySelectorAll(".transports [data-transport]")) {
    chip.classList.toggle("active", chip.dataset.transport === name);
  }
}

/** Draw the last round trips as bars, newest on the right. The usual one is half as high as the chart. */
function draw() {
  const usual = roundTrips.toSorted((one, other) => one - other)[roundTrips.length >> 1] ?? 0;
  const full = Math.max(2, 2 * usual);
  const bars = Array.from({ length: KEPT }, (_, index) => {
    const value = roundTrips[index - KEPT + roundTrips.length];
    const height = value === undefined ? 3 : Math.min(36, Math.max(4, (value / full) * 36));
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    bar.classList.toggle("blank", value === undefined);
    const shape = { x: index * 8 + 1, y: 36 - height, width: 6, height, rx: 1.5 };
    for (const [attribute, number] of Object.entries(shape)) bar.setAttribute(attribute, number);
    return bar;
  });
  byId("latency-chart").replaceChildren(...bars);
}
