// Checks the types, bundles src/main.ts, and puts it together with a JavaScript engine into one component, app.wasm.

import { execSync } from "node:child_process";
import { statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const changed = (name) => statSync(path(name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const run = (command) => execSync(command, { cwd: path("."), stdio: "inherit" });

// npm leaves a copy of the lock file where it installed: an older one means other packages.
if (changed("node_modules/.package-lock.json") < changed("package-lock.json")) {
  run("npm ci --no-audit --no-fund");
}
try {
  run("npx --no-install tsc");
} catch {
  // It has said where the mistakes are.
  process.exit(1);
}
const { build } = await import("esbuild");
const { componentize } = await import("@bytecodealliance/componentize-js");

const bundle = await build({
  entryPoints: [path("src/main.ts")],
  bundle: true,
  write: false,
  format: "esm",
  target: "es2023",
  // What the server offers; see wit/world.wit.
  external: ["wasi:*"],
});
const { component } = await componentize(bundle.outputFiles[0].text, { witPath: path("wit"), worldName: "app" });
await writeFile(path("app.wasm"), component);
