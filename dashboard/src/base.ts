/** Where the proxy is: the page's own folder, which a reverse proxy may have below a path. */
export const base = new URL(".", location.href).href.replace(/\/$/, "");
