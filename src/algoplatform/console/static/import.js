// Import, with progress of sending and of checking.
import { $, $$, isLoggedIn } from "./console.js";

const importing = $("#import");
const [preview, write] = $$("[name=dryRun]", importing);
const stop = $("#abort");
const { sending, checking, aborted, failed } = importing.dataset;
const show = (text, value) => (($("#step").textContent = text), ($("#bar").value = value));
write.disabled = true;
importing.addEventListener("change", () => (write.disabled = true));
function finished(...result) {
  stop.hidden = $("#progress").hidden = true;
  preview.disabled = false;
  $("#result").replaceChildren(...result);
}
importing.addEventListener("submit", async (event) => {
  event.preventDefault();
  const data = new FormData(importing, event.submitter);
  if (!(await isLoggedIn())) return;
  $("#result").replaceChildren();
  preview.disabled = write.disabled = true;
  stop.hidden = $("#progress").hidden = false;
  show(sending, 0);
  const request = new XMLHttpRequest();
  const last = () => request.responseText.split("\n").at(-2) ?? "";
  request.open("POST", importing.action);
  request.setRequestHeader("X-Part", "progress");
  request.upload.onprogress = ({ loaded, total }) => show(sending, (50 * loaded) / total);
  request.onprogress = () => {
    if (request.status !== 200 || !last().startsWith('{"checked"')) return;
    const { checked, size } = JSON.parse(last());
    show(checking, 50 + (50 * checked) / (size || 1));
  };
  request.onload = () => {
    if (request.status !== 200) {
      const page = new DOMParser().parseFromString(request.responseText, "text/html");
      return finished(...($("#result, main", page)?.childNodes ?? [failed]));
    }
    if (!last().startsWith('{"html"')) return finished(failed);
    const { html, ok } = JSON.parse(last());
    finished();
    $("#result").innerHTML = html;
    write.disabled = !(ok && data.get("dryRun") === "true");
  };
  request.onerror = () => finished(failed);
  request.onabort = () => finished(aborted);
  stop.onclick = () => request.abort();
  request.send(data);
});
