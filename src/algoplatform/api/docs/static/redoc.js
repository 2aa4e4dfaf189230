// ReDoc shows its maker's sign from a CDN, which is out of reach here: it is told at once that there is none.
const { get, set } = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
const { setAttribute } = Element.prototype;
function elsewhere(image, address) {
  const { protocol, origin } = new URL(address, document.baseURI);
  const other = protocol.startsWith("http") && origin !== location.origin;
  if (other) queueMicrotask(() => image.dispatchEvent(new Event("error")));
  return other;
}
Object.defineProperty(HTMLImageElement.prototype, "src", {
  get,
  set(address) {
    if (!elsewhere(this, address)) set.call(this, address);
  },
});
HTMLImageElement.prototype.setAttribute = function (name, value) {
  if (name !== "src" || !elsewhere(this, value)) setAttribute.call(this, name, value);
};
Redoc.init("openapi.json", { nativeScrollbars: true }, document.getElementById("page"));
