// The forms of a record and of a plan. Lists are rows.
import { $, $$, isLoggedIn } from "./console.js";

function renumber(list) {
  $$(".row", list).forEach((row, at) => {
    for (const key of ["id", "for", "aria-describedby"]) {
      for (const part of $$(`[${key}]`, row)) part.setAttribute(key, part.getAttribute(key).replace(/-\d+/, "-" + at));
    }
    $("button", row).value = `remove:${list.dataset.list}:${at}`;
    for (const part of $$("[aria-label]", row)) part.ariaLabel = part.ariaLabel.replace(/\d+/, at + 1);
    for (const part of $$("label .hidden", row)) part.textContent = part.textContent.replace(/\d+/, at + 1);
  });
}

function addRow(list, after) {
  const row = $("#row-" + list.dataset.list).content.cloneNode(true).firstElementChild;
  after ? after.after(row) : $(".tools", list).before(row);
  renumber(list);
  return row;
}

// Rows of several inputs that may hold commas: what a spreadsheet copies.
const isTable = (name) => name === "cameras" || name === "nodes";

function split(name, text) {
  const separator = isTable(name) || /\n/.test(text) ? /\r?\n/ : name === "env" ? /(?<!\\),/ : ",";
  return text.split(separator).map((item) => item.trim()).filter(Boolean);
}

function columns(name, item, number) {
  if (isTable(name)) return item.split("\t");
  const parts = name === "env" ? (/^([^:=]*)[:=](.*)$/s.exec(item) ?? ["", item, ""]).slice(1) : item.split(":");
  const row = [...parts.slice(0, number - 1), parts.slice(number - 1).join(":")];
  return name === "env" ? [row[0], row[1].replaceAll("\\,", ",")] : row;
}

function paste(event) {
  const row = event.target.closest(".row");
  const inputs = row ? $$("input", row) : [];
  if (event.target !== inputs[0]) return;
  const list = row.closest("[data-list]");
  const name = list.dataset.list;
  const items = split(name, event.clipboardData.getData("text")).map((item) => columns(name, item, inputs.length));
  const isWhole = !inputs[0].value || inputs[0].selectionEnd - inputs[0].selectionStart === inputs[0].value.length;
  if (items.length < 2 && !(isWhole && items.length && items[0][1])) return;
  event.preventDefault();
  let last = row;
  items.forEach((item, at) => {
    if (at || !isWhole) last = addRow(list, last);
    $$("input", last).forEach((input, column) => (input.value = item[column] ?? ""));
  });
  $("input", last).focus();
  list.dispatchEvent(new Event("input", { bubbles: true }));
}

// Forms: nothing typed is lost, and nothing is sent twice.
const form = $("#form");
let dirty = form.hasAttribute("data-dirty"), sending = false, checked = false;
form.addEventListener("input", () => (dirty = true));
form.addEventListener("paste", paste);
form.addEventListener("click", (event) => {
  const [action, name, at] = event.target.closest("button[name=do]")?.value.split(":") ?? [];
  if (action !== "add" && action !== "remove") return;
  event.preventDefault();
  const list = $("#" + name);
  if (action === "add") {
    $("input", addRow(list)).focus();
  } else {
    const rows = $$(".row", list);
    if (rows.length === 1) addRow(list);
    rows[at].remove();
    renumber(list);
    $("input", $$(".row", list)[Math.min(at, rows.length - 2)] ?? list).focus();
  }
  dirty = true;
});
form.addEventListener("submit", async (event) => {
  if (checked) return;
  event.preventDefault();
  if (sending) return;
  sending = true;
  sending = checked = await isLoggedIn();
  if (checked) form.requestSubmit(event.submitter);
});
$("#cpuRequests")?.addEventListener("input", ({ target }) => {
  const cores = $("[data-cores]");
  cores.textContent = /^\d{1,9}$/.test(target.value) ? " = " + cores.dataset.cores.replace("%", target.value / 1000) : "";
});
addEventListener("beforeunload", (event) => dirty && !checked && event.preventDefault());
addEventListener("pageshow", () => (sending = checked = false));
addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key !== "s") return;
  event.preventDefault();
  form.requestSubmit($(".save"));
});
