// Bundles app.ts and what it imports into one script, and puts it and a JavaScript engine into one component.

import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { componentize } from "@bytecodealliance/componentize-js";
import { build } from "esbuild";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

const { outputFiles } = await build({
  entryPoints: [path("app.ts")],
  bundle: true,
  format: "esm",
  target: "es2022",
  // The names in a stack trace stay those of the source.
  minify: false,
  write: false,
});
await mkdir(path("dist"), { recursive: true });
await writeFile(path("dist/app.js"), outputFiles[0].contents);

const { component } = await componentize({
  sourcePath: path("dist/app.js"),
  witPath: path("wit"),
  worldName: "app",
});
await writeFile(path("dist/hello-ts.wasm"), component);
