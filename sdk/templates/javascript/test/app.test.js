// `npm test` runs these in Node.js, without a server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { answer } from "../src/app.js";

const config = new Map([["greeting", "Hi"]]);
const ask = (path, options) => answer(new Request(`http://test${path}`, options), (key) => config.get(key));

test("has a page", async () => {
  const response = await ask("/");
  assert.match(response.headers.get("content-type"), /^text\/html/);
  assert.match(await response.text(), /<h1>It works<\/h1>/);
});

test("greets as the config says", async () => {
  assert.equal(await (await ask("/hello?name=Ann")).text(), "Hi, Ann!\n");
});

test("adds numbers", async () => {
  const response = await ask("/sum", { method: "POST", body: "[1, 2.5]" });
  assert.deepEqual(await response.json(), { sum: 3.5 });
});

test("refuses what it does not know", async () => {
  assert.equal((await ask("/sum", { method: "POST", body: "{}" })).status, 422);
  assert.equal((await ask("/nowhere")).status, 404);
});
