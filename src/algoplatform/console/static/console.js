// What the pages cannot do without script: here what all of them share.
export const $ = (selector, from = document) => from.querySelector(selector);
export const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
const { base, copied } = document.body.dataset;
const language = document.documentElement.lang;

function say(text) {
  $("#said").textContent = text;
  setTimeout(() => ($("#said").textContent = ""), 4000);
}

function localize(root = document) {
  const format = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
  for (const time of $$("time[datetime]", root)) time.textContent = format.format(new Date(time.dateTime));
}

// A redirect is that of a proxy's login, whose page a fetch cannot read.
export async function ask(url, options = {}) {
  const answer = await fetch(url, { redirect: "manual", headers: { "X-Part": "rows" }, ...options });
  return { answer, expired: answer.status === 401 || answer.type === "opaqueredirect" };
}

export function tellExpired() {
  const place = $("#expiry");
  if (!place) return say($("#filters")?.dataset.expired ?? "");
  const link = Object.assign(document.createElement("a"), { href: place.dataset.url, target: "_blank", textContent: place.dataset.link });
  place.replaceChildren(place.dataset.word + " ", link);
}

// A form is not sent while nobody is logged in: what was typed stays.
export async function isLoggedIn() {
  const { expired } = await ask(base + "/session").catch(() => ({ expired: false }));
  expired ? tellExpired() : $("#expiry").replaceChildren();
  return !expired;
}

// Enter that ends a composition chooses a word.
export function keepComposing(event) {
  if (event.key === "Enter" && (event.isComposing || event.keyCode === 229)) event.preventDefault();
}

// Copying works on plain HTTP too, where there is no navigator.clipboard.
async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  const area = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await copy($("#" + button.dataset.copy).textContent);
  button.focus();
  say(copied);
});

addEventListener("keydown", (event) => {
  const search = $("#searchCondition");
  if (event.key === "/" && search && !event.target.closest("input, select, textarea")) {
    event.preventDefault();
    search.focus();
  }
});

localize();
$("[role=alert][tabindex]")?.focus();
