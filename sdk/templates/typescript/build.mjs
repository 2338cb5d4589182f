// Checks the types, bundles src/main.ts into source.js, and puts that together with a JavaScript engine into one component, app.wasm.

import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { inSources } from "./stack.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const changed = (name) => statSync(path(name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const color = process.stderr.isTTY || Boolean(process.env.FORCE_COLOR);
// It has been said what is wrong, so nothing is added.
const fail = () => process.exit(1);

// npm leaves a copy of the lock file where it installed: an older one means other packages.
if (changed("node_modules/.package-lock.json") < changed("package-lock.json")) {
  console.error("npm ci: fetching the packages of package-lock.json");
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: path("."), stdio: "inherit" });
  if (npm.status !== 0) fail();
}
const types = spawnSync(path("node_modules/.bin/tsc"), ["--pretty"], { cwd: path("."), encoding: "utf8" });
if (types.status !== 0) {
  const said = types.error?.message ?? types.stdout.trimEnd();
  console.error(color ? said : stripVTControlCharacters(said));
  fail();
}
const { build } = await import("esbuild");
const { componentize } = await import("@bytecodealliance/componentize-js");

const { outputFiles } = await build({
  entryPoints: [path("src/main.ts")],
  bundle: true,
  write: false,
  outfile: path("source.js"),
  sourcemap: "external",
  sourcesContent: false,
  format: "esm",
  target: "es2023",
  // What the server offers; see wit/world.wit.
  external: ["wasi:*"],
  color,
}).catch(fail);
const [{ sources, mappings }, code] = [JSON.parse(outputFiles[0].text), outputFiles[1].text];

// The component knows the lines of your files, so that its log can name them.
const source = `${code}\nglobalThis.sourceMap = ${JSON.stringify({ sources, mappings })};\n`;
await writeFile(path("source.js"), source);
try {
  const { component } = await componentize(source, { witPath: path("wit"), worldName: "app" });
  await writeFile(path("app.wasm"), component);
} catch (error) {
  // Its first line says what ran the code; the others, what went wrong there.
  const said = error.message.replace(/^Failed to initialize component .*:\n/, "");
  console.error(inSources(said, { sources, mappings }));
  fail();
}
