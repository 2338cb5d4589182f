// The smallest app in JavaScript: the standard fetch event, answered with one sentence. `/fail` shows what
// `typecase logs` makes of an error.

const GREETING = "Hello, world!\n";

addEventListener("fetch", (event) => {
  if (event.request.url.endsWith("/fail")) return event.respondWith(fail());
  event.respondWith(new Response(GREETING, { headers: { "content-type": "text/plain" } }));
});

async function fail() {
  throw new Error("no greeting");
}
