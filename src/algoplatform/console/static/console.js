// What the pages cannot do without script: here what all of them share.
export const $ = (selector, from = document) => from.querySelector(selector);
export const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
const { base, copied } = document.body.dataset;

// A redirect is that of a proxy's login, whose page a fetch cannot read.
export async function ask(url, options = {}) {
  const answer = await fetch(url, { redirect: "manual", headers: { "X-Part": "rows" }, ...options });
  return { answer, expired: answer.status === 401 || answer.type === "opaqueredirect" };
}

export function tellExpired(expired) {
  $("#expiry").replaceChildren(...(expired ? [$("#expired").content.cloneNode(true)] : []));
}

// A form is not sent while nobody is logged in: what was typed stays.
export async function isLoggedIn() {
  const { expired } = await ask(base + "/session").catch(() => ({ expired: false }));
  tellExpired(expired);
  return !expired;
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
  $("#said").textContent = copied;
  setTimeout(() => ($("#said").textContent = ""), 4000);
});

addEventListener("keydown", (event) => {
  // Enter that ends a composition chooses a word.
  if (event.key === "Enter" && (event.isComposing || event.keyCode === 229)) event.preventDefault();
  const search = $("#searchCondition");
  if (event.key === "/" && search && !event.target.closest("input, select, textarea")) {
    event.preventDefault();
    search.focus();
  }
});

const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });
for (const time of $$("time[datetime]")) time.textContent = format.format(new Date(time.dateTime));
$("[role=alert][tabindex]")?.focus();
