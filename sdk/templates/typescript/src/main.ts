// What the server calls. Everything that can be tested without a server is in app.ts.

import { get } from "wasi:config/store@0.2.0-rc.1";
import { log } from "wasi:logging/logging@0.1.0-draft";
import { described } from "../stack.mjs";
import { answer, problem } from "./app";

addEventListener("fetch", (event) => (event as FetchEvent).respondWith(respond((event as FetchEvent).request)));

async function respond(request: Request): Promise<Response> {
  try {
    return await answer(request, get);
  } catch (error) {
    // Where it happened is for the log; clients learn only that it was not their fault.
    log("error", "", described(error));
    return problem(500, "Internal Server Error", "The app failed. Its log says why.");
  }
}
