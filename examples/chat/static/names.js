// Names of people and rooms: how they are tidied, shortened and painted.

export const tidy = (text) => text.trim().split(/\s+/).join(" ");

/** "Home brew!" is the room home-brew; an empty string if nothing is left. */
export function roomFrom(text) {
  return text.trim().toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 24);
}

/** ["Ada", "Grace", "Linus"] is "Ada, Grace and Linus". */
export function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function initials(name) {
  const words = name.split(" ").filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)].map((word) => [...word][0]) : [...name].slice(0, 1);
  return letters.join("").toLocaleUpperCase();
}

/** Give an avatar the initials of a name, and a colour that is always the same for that name. */
export function paint(avatar, name) {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 65521;
  avatar.textContent = initials(name);
  avatar.style.setProperty("--hue", hash % 360);
}

export function avatarOf(name) {
  const avatar = document.createElement("span");
  avatar.className = "avatar";
  paint(avatar, name);
  return avatar;
}
