// The list: search while typing, the number of images, selected rows.
import { $, $$, ask, tellExpired } from "./console.js";

const filters = $("#filters");
let timer, running, asked;
const address = (path, query) => path + (query.size ? "?" + query : "");

async function count(query, signal) {
  const { answer } = await ask(address($("#count").dataset.url, query), { signal });
  if (answer.ok) $("#count").textContent = await answer.text();
}

async function search(push) {
  clearTimeout(timer);
  const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value));
  const url = address(filters.action, query);
  if (url === asked) return;
  asked = url;
  running?.abort();
  running = new AbortController();
  try {
    const { answer, expired } = await ask(url, { signal: running.signal });
    tellExpired(expired);
    if (expired) return (asked = "");
    const text = await answer.text();
    $("#rows").innerHTML = text;
    history[push ? "pushState" : "replaceState"](null, "", url);
    $(".clear").hidden = !query.size;
    choose();
    if (answer.ok) await count(query, running.signal);
  } catch (error) {
    if (error.name !== "AbortError") asked = "";
  }
}

function choose() {
  const chosen = $$("#rows tbody input:checked").length;
  const form = $("#chosen");
  if (!form) return;
  $("#selected").textContent = chosen ? form.dataset.selected.replace("%", chosen) : "";
  for (const button of $$("button", form)) button.disabled = !chosen;
}

const soon = (event) => {
  clearTimeout(timer);
  if (!event.isComposing) timer = setTimeout(search, 300);
};
filters.addEventListener("input", soon);
filters.addEventListener("compositionend", soon);
filters.addEventListener("submit", (event) => (event.preventDefault(), search(true)));
addEventListener("popstate", () => location.reload());
$("#rows").addEventListener("change", choose);
choose();
count(new URLSearchParams(location.search));

const changes = $("#changes");
setInterval(async () => {
  if (document.hidden || !changes.dataset.since) return;
  const { answer } = await ask(`${changes.dataset.url}?${new URLSearchParams({ since: changes.dataset.since })}`);
  if (answer.status !== 200) return;
  const again = Object.assign(document.createElement("a"), { href: location.href, textContent: changes.dataset.reload });
  changes.replaceChildren((await answer.text()) + " ", again);
}, 30000);
