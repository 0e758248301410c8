// Bundles the page into dist, which is committed: the server is built without
// Node. Run it by `npm run build`.
import { build } from "esbuild";
import { cp } from "node:fs/promises";
import { slim } from "./slim.mjs";

await build({
  entryPoints: ["src/app.tsx", "src/style.css"],
  bundle: true,
  // What a view needs alone comes with it.
  splitting: true,
  chunkNames: "[name]",
  plugins: [await slim("src")],
  // The client is linked from ../typescript and need not be built.
  conditions: ["discordproxy-source"],
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  outdir: "dist",
  logLevel: "warning",
});
for (const name of ["index.html", "icon.svg"]) await cp(`src/${name}`, `dist/${name}`);
