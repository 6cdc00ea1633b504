// The chat example in real browser windows.
//
//     node tests/e2e/chat.mjs URL [SCREENSHOT_DIRECTORY]
//
// Prints one line per step and ends with status 0 if all of them passed. It waits for what the page shows and
// never for a fixed time. CHROMIUM names another browser than Debian's.

import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, directory] = process.argv.slice(2);
if (!url) {
  console.error("usage: node tests/e2e/chat.mjs URL [SCREENSHOT_DIRECTORY]");
  process.exit(2);
}

const WITHIN = 15_000; // milliseconds
const problems = [];
// While the network is off requests fail, and after a refusal too: the page closes the connection while the next
// poll is on its way, which then finds no session. The browser logs both, as it should.
let requestsMayFail = false;
const CALLED_OFF = "WebSocket is closed before the connection is established"; // a refusal during the upgrade

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});

function expect(fact, text) {
  if (!fact) throw new Error(text);
}

async function openWindow(room, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(WITHIN);
  const page = await context.newPage().catch(() => context.newPage()); // a busy browser refuses one now and then
  page.on("pageerror", (error) => problems.push(`page error: ${error.message}`));
  page.on("console", (message) => {
    if (!["error", "warning"].includes(message.type()) || requestsMayFail || message.text().includes(CALLED_OFF)) return;
    problems.push(`console: ${message.text()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400 && !requestsMayFail) problems.push(`status ${response.status()}: ${response.url()}`);
  });
  await page.goto(new URL(`/#${room}`, url).href);
  return page;
}

async function enter(page, name) {
  await page.fill("#name", name);
  await page.press("#name", "Enter");
  await page.waitForSelector("#chat.joined");
}

async function open(room, name, options) {
  const page = await openWindow(room, options);
  await enter(page, name);
  return page;
}

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

const message = (page, text) => page.locator(".message", { has: page.locator(".text", { hasText: text }) }).last();
const seen = (page, text) => message(page, text).waitFor();
const delivered = (page, text) => message(page, text).locator('.tick[data-state="delivered"]').waitFor();
const here = (page, name) => page.locator("#people li", { hasText: name });

async function step(title, work) {
  await work();
  expect(problems.length === 0, problems.join("\n  "));
  console.log(`ok ${title}`);
}

async function exchange() {
  const room = `tasting-${Math.random().toString(36).slice(2, 8)}`;
  let ada, brian;

  await step("a name that is too long is refused in plain words", async () => {
    ada = await openWindow(room);
    requestsMayFail = true;
    await ada.fill("#name", "A".repeat(40));
    await ada.press("#name", "Enter");
    await ada.locator("#name-problem", { hasText: "1 to 24 characters" }).waitFor();
  });
  await step("two people enter the same room by its address", async () => {
    await enter(ada, "Ada");
    requestsMayFail = false; // the connection of the refusal is gone
    await ada.locator("#empty").waitFor();
    brian = await open(room, "Brian");
  });
  await step("each is in the other's list of people", async () => {
    await Promise.all([here(ada, "Brian").waitFor(), here(brian, "Ada").waitFor()]);
    await ada.locator(".notice", { hasText: "Brian joined" }).waitFor();
    await ada.locator('#rooms [aria-current="page"]', { hasText: room }).waitFor();
  });
  await step("both connections move from polling to WebSocket", async () => {
    for (const page of [ada, brian]) await page.waitForSelector('#chat[data-transport="websocket"]');
    await ada.locator("#upgrade", { hasText: /Upgraded after \d+ ms/ }).waitFor();
  });
  await step("the round trip is measured", async () => {
    await ada.locator("#status", { hasText: /^WebSocket · [\d.]+ ms$/ }).waitFor();
  });
  await step("one sees the other type", async () => {
    await ada.locator("#text").pressSequentially("Hel");
    await brian.locator("#typing", { hasText: "Ada is typing" }).waitFor();
    await ada.fill("#text", "");
    await brian.locator("#typing", { hasText: /^$/ }).waitFor({ state: "attached" });
  });
  await step("messages arrive both ways and get their second tick", async () => {
    await say(ada, "Is the cider ready?");
    await seen(brian, "Is the cider ready?");
    await say(brian, "Two more days. It is still talking.");
    await seen(ada, "Two more days.");
    await Promise.all([delivered(ada, "Is the cider ready?"), delivered(brian, "Two more days.")]);
  });
  await step("messages of one person keep their order", async () => {
    const words = ["one", "two", "three", "four", "five"].map((word) => `Bottle ${word}`);
    for (const text of words) {
      await say(ada, text);
      await delivered(ada, text);
    }
    await seen(brian, words.at(-1));
    const texts = (await brian.locator(".text").allTextContents()).filter((text) => text.startsWith("Bottle"));
    expect(texts.join() === words.join(), `wrong order: ${texts}`);
  });
  await step("markup is shown, not obeyed", async () => {
    const text = '<b>bold</b> <img src=x onerror="document.title=1">';
    await say(ada, text);
    await seen(brian, text);
    expect(await brian.locator(".messages b, .messages img").count() === 0, "a message became HTML");
  });
  await step("a message that is too long is refused, and can be edited", async () => {
    await say(ada, "x".repeat(501));
    const trouble = ada.locator(".trouble:visible", { hasText: "1 to 500 characters" });
    await trouble.waitFor();
    await trouble.locator("button", { hasText: "Edit" }).click();
    expect((await ada.inputValue("#text")).length === 501, "the text did not come back");
    await ada.fill("#text", "");
  });
  await step("a page that is reloaded remembers the name and gets the history", async () => {
    await brian.reload();
    await brian.waitForSelector("#chat.joined");
    await Promise.all([seen(brian, "Is the cider ready?"), delivered(brian, "Two more days."), here(brian, "Ada").waitFor()]);
    await here(ada, "Brian").waitFor();
  });
  await step("what happens in another room stays there", async () => {
    await brian.fill("#room-name", `${room} two`);
    await brian.press("#room-name", "Enter");
    await brian.locator("#room-title", { hasText: `#${room}-two` }).waitFor();
    await brian.waitForSelector("#chat.joined");
    await here(ada, "Brian").waitFor({ state: "detached" });
    await say(ada, "Has everybody gone?");
    await delivered(ada, "Has everybody gone?");
    await say(brian, "Quiet in here.");
    await delivered(brian, "Quiet in here.");
    expect(await brian.locator(".message").count() === 1, "a message came through the wall");
    await brian.goBack();
    await seen(brian, "Has everybody gone?");
    await here(ada, "Brian").waitFor();
  });
  await step("after a lost connection the page comes back and sends what waited", async () => {
    requestsMayFail = true;
    await ada.context().setOffline(true);
    await ada.locator("#banner.bad").waitFor();
    await say(ada, "Written in the dark");
    await message(ada, "Written in the dark").locator('.tick[data-state="waiting"]').waitFor();
    await ada.context().setOffline(false);
    await Promise.all([seen(brian, "Written in the dark"), delivered(ada, "Written in the dark")]);
    await ada.locator("#banner.bad").waitFor({ state: "detached" });
    expect(await brian.locator(".text", { hasText: "Written in the dark" }).count() === 1, "it was said twice");
    await ada.waitForSelector('#chat[data-transport="websocket"]');
    requestsMayFail = false;
  });
  await step("the page fits a narrow phone", async () => {
    await ada.setViewportSize({ width: 360, height: 640 });
    expect(await ada.evaluate(() => document.documentElement.scrollWidth <= 360), "it scrolls sideways");
    await ada.click('[popovertarget="people-panel"]');
    await here(ada, "Brian").waitFor();
    await ada.keyboard.press("Escape");
    await here(ada, "Brian").waitFor({ state: "hidden" });
    await ada.setViewportSize({ width: 1280, height: 800 });
  });
  await step("who closes the window leaves the list", async () => {
    await brian.context().close();
    await here(ada, "Brian").waitFor({ state: "detached" });
    await ada.locator(".notice", { hasText: "Brian left" }).last().waitFor();
    await ada.context().close();
  });
}

const SCENE = [
  ["Margaret", "Morning! The new carboy is here. 23 litres, and not a scratch on it."],
  ["Ada", "Finally. Is it the green glass one?"],
  ["Margaret", "Bottle green, like the old ones."],
  ["Margaret", "Pear or apple for the first batch?"],
  ["Linus", "Pear. We still have two crates from the garden."],
  ["Ada", "Pear it is. I will wash it out now and we can press after lunch 🍐"],
  ["Grace Hopper", "I am in. Bringing the yeast and a clean airlock."],
  ["Ada", "Perfect. Last one down to the cellar does the bottles."],
];

async function pictures() {
  const others = { reducedMotion: "reduce", locale: "en-GB" };
  const windows = { Ada: await open("cellar", "Ada", { ...others, colorScheme: "light", deviceScaleFactor: 2 }) };
  const ada = windows.Ada;
  for (const name of ["Margaret", "Linus", "Grace Hopper"]) windows[name] = await open("cellar", name, others);
  await open("lobby", "Tim", others);
  await open("lobby", "Barbara", others);
  await open("cider-school", "Edsger", others);
  for (const [name, text] of SCENE) {
    await say(windows[name], text);
    await Promise.all([delivered(windows[name], text), seen(ada, text)]);
  }
  const phone = await open("cellar", "Ada", {
    ...others, colorScheme: "dark", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true,
  });
  for (const page of [ada, phone]) await page.waitForSelector('#chat[data-transport="websocket"]');
  await ada.waitForFunction(() => document.querySelectorAll(".latency-chart rect:not(.blank)").length >= 8, null, { timeout: 60_000 });
  const shot = async (page, name) => {
    await windows.Linus.locator("#text").pressSequentially("Not");
    await page.locator("#typing", { hasText: "Linus is typing" }).waitFor();
    await page.screenshot({ path: join(directory, name) });
    await windows.Linus.fill("#text", "");
    await page.locator("#typing", { hasText: /^$/ }).waitFor({ state: "attached" });
  };
  await shot(ada, "chat.png");
  await shot(phone, "chat-phone.png");
  await ada.emulateMedia({ colorScheme: "dark" });
  await shot(ada, "chat-dark.png");
}

try {
  await exchange();
  if (directory) await step("the screenshots are taken", pictures);
} catch (error) {
  console.log(`not ok: ${error.message}`);
  for (const problem of problems) console.log(`  ${problem}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
