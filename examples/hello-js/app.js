// The smallest app in JavaScript: the standard fetch event, answered with one sentence.

const GREETING = "Hello, world!\n";

addEventListener("fetch", (event) => {
  event.respondWith(new Response(GREETING, { headers: { "content-type": "text/plain" } }));
});
