// ReDoc shows its maker's sign from a CDN, which is out of reach here; its place stays empty.
const setAttribute = HTMLImageElement.prototype.setAttribute;
HTMLImageElement.prototype.setAttribute = function (name, value) {
  if (name !== "src" || !String(value).startsWith("https://")) setAttribute.call(this, name, value);
};
Redoc.init("openapi.json", { nativeScrollbars: true }, document.getElementById("page"));
