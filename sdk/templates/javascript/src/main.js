// What the server calls. Everything that can be tested without a server is in app.js.

import { get } from "wasi:config/store@0.2.0-rc.1";
import { answer } from "./app.js";

addEventListener("fetch", (event) => event.respondWith(answer(event.request, get)));
