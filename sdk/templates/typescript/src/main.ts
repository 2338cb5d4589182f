// What the server calls. Everything that can be tested without a server is in app.ts.

import { get } from "wasi:config/store@0.2.0-rc.1";
import { answer } from "./app";

addEventListener("fetch", (event) => {
  const { request } = event as FetchEvent;
  (event as FetchEvent).respondWith(answer(request, get));
});
