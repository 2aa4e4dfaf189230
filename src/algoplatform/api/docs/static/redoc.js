// ReDoc loads its maker's logo from a CDN, which is unreachable here: fail such images at once.
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
