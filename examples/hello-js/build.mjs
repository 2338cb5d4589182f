// Puts app.js and a JavaScript engine together into one component, hello-js.wasm.

import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { componentize } from "@bytecodealliance/componentize-js";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

const { component } = await componentize({
  sourcePath: path("app.js"),
  witPath: path("wit"),
  worldName: "app",
});
await writeFile(path("hello-js.wasm"), component);
