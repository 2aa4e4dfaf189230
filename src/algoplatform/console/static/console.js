// What the pages cannot do without script: search while typing, rows, the guard against leaving, progress.
const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
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
async function ask(url, options = {}) {
  const answer = await fetch(url, { redirect: "manual", headers: { "X-Part": "rows" }, ...options });
  return { answer, expired: answer.status === 401 || answer.type === "opaqueredirect" };
}

function tellExpired() {
  const place = $("#expiry");
  if (!place) return say($("#filters")?.dataset.expired ?? "");
  const link = Object.assign(document.createElement("a"), { href: place.dataset.url, target: "_blank", textContent: place.dataset.link });
  place.replaceChildren(place.dataset.word + " ", link);
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

// The list.
const filters = $("#filters");
if (filters) {
  let timer, running, asked;
  const conditions = () => new URLSearchParams([...new FormData(filters)].filter(([, value]) => value));
  const address = (path, query) => path + (query.size ? "?" + query : "");
  const place = (query, name) => query.delete(name);
  async function count(query) {
    for (const name of ["after", "before", "pageSize"]) place(query, name);
    const { answer } = await ask(address($("#count").dataset.url, query));
    if (answer.ok) $("#count").textContent = await answer.text();
  }
  async function search(push) {
    clearTimeout(timer);
    const query = conditions();
    const url = address(filters.action, query);
    if (url === asked) return;
    asked = url;
    running?.abort();
    running = new AbortController();
    try {
      const { answer, expired } = await ask(url, { signal: running.signal });
      if (expired) return (asked = ""), tellExpired();
      const text = await answer.text();
      if (asked !== url) return;
      $("#rows").innerHTML = text;
      history[push ? "pushState" : "replaceState"](null, "", url);
      $(".clear").hidden = !query.size;
      choose();
      if (answer.ok) await count(query);
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
  filters.addEventListener("compositionend", (event) => soon({ isComposing: false }));
  filters.addEventListener("submit", (event) => (event.preventDefault(), search(true)));
  filters.addEventListener("keydown", (event) => {
    // Enter that ends a composition chooses a word.
    if (event.key === "Enter" && (event.isComposing || event.keyCode === 229)) event.preventDefault();
  });
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
}

// Lists as rows.
function renumber(list) {
  $$(".row", list).forEach((row, at) => {
    const name = list.dataset.list;
    const first = $("input", row);
    const fault = $("p", row);
    first.id = `${name}-${at}`;
    if (fault) first.setAttribute("aria-describedby", (fault.id = `${first.id}-fault`));
    $("button", row).value = `remove:${name}:${at}`;
    for (const part of $$("[aria-label]", row)) part.ariaLabel = part.ariaLabel.replace(/\d+/, at + 1);
  });
}

function addRow(list, after) {
  const row = $("#row-" + list.dataset.list).content.cloneNode(true).firstElementChild;
  after ? after.after(row) : $(".tools", list).before(row);
  renumber(list);
  return row;
}

function split(name, text) {
  const separator = /\n/.test(text) ? /\r?\n/ : name === "env" ? /(?<!\\),/ : ",";
  return text.split(separator).map((item) => item.trim()).filter(Boolean);
}

function columns(name, item, number) {
  if (number === 1) return [item];
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
if (form) {
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
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.isComposing || event.keyCode === 229)) event.preventDefault();
  });
  form.addEventListener("submit", async (event) => {
    if (checked) return;
    event.preventDefault();
    if (sending) return;
    sending = true;
    const { expired } = await ask(base + "/session").catch(() => ({ expired: false }));
    if (expired) return (sending = false), tellExpired();
    $("#expiry").replaceChildren();
    checked = true;
    form.requestSubmit(event.submitter);
  });
  $("#cpuRequests").addEventListener("input", ({ target }) => {
    const cores = $("[data-cores]");
    cores.textContent = /^\d{1,9}$/.test(target.value) ? " = " + cores.dataset.cores.replace("%", target.value / 1000) : "";
  });
  addEventListener("beforeunload", (event) => dirty && !checked && event.preventDefault());
  addEventListener("pageshow", () => (sending = checked = false));
}

// Import, with progress of sending and of checking.
const importing = $("#import");
if (importing) {
  const write = $("[name=dryRun][value=false]", importing);
  const stop = $("#abort");
  const { sending, checking, aborted, failed } = importing.dataset;
  const show = (text, value) => (($("#step").textContent = text), ($("#bar").value = value));
  const buttons = () => $$("[name=dryRun]", importing);
  write.disabled = true;
  importing.addEventListener("change", () => (write.disabled = true));
  function finished(text) {
    stop.hidden = $("#progress").hidden = true;
    for (const button of buttons()) button.disabled = button === write;
    if (text) $("#result").textContent = text;
  }
  importing.addEventListener("submit", async (event) => {
    event.preventDefault();
    const data = new FormData(importing);
    const { value } = event.submitter ?? buttons()[0];
    data.set("dryRun", value);
    const { expired } = await ask(base + "/session").catch(() => ({ expired: false }));
    if (expired) return tellExpired();
    $("#expiry").replaceChildren();
    $("#result").replaceChildren();
    for (const button of buttons()) button.disabled = true;
    stop.hidden = $("#progress").hidden = false;
    show(sending, 0);
    const request = new XMLHttpRequest();
    const last = () => request.responseText.trimEnd().split("\n").at(-1);
    request.open("POST", importing.action);
    request.setRequestHeader("X-Part", "progress");
    request.upload.onprogress = ({ loaded, total }) => show(sending, (50 * loaded) / total);
    request.onprogress = () => {
      const lines = request.responseText.split("\n");
      const line = lines.at(-2);
      if (request.status !== 200 || !line?.startsWith('{"checked"')) return;
      const { checked, size } = JSON.parse(line);
      show(checking, 50 + (50 * checked) / (size || 1));
    };
    request.onload = () => {
      if (request.status !== 200) {
        const page = new DOMParser().parseFromString(request.responseText, "text/html");
        finished();
        $("#result").replaceChildren(...($("#result, main", page)?.childNodes ?? [failed]));
        return;
      }
      if (!last().startsWith('{"html"')) return finished(failed);
      const { html, ok } = JSON.parse(last());
      finished();
      $("#result").innerHTML = html;
      write.disabled = !(ok && value === "true");
    };
    request.onerror = () => finished(failed);
    request.onabort = () => finished(aborted);
    stop.onclick = () => request.abort();
    request.send(data);
  });
}

addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "s" && form) {
    event.preventDefault();
    form.requestSubmit($(".save"));
  }
  const search = $("#searchCondition");
  if (event.key === "/" && search && !event.target.closest("input, select, textarea")) {
    event.preventDefault();
    search.focus();
  }
});

localize();
$("[role=alert][tabindex]")?.focus();
