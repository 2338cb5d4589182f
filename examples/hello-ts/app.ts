// Two routes with JSON, and a third that sends its answer piece by piece.

import { count, type Counts } from "./words.ts";

const GREETING = "Hello, world!\n";
const LINES_MAX = 1_000;
const PAUSE_MS = 100;

declare const self: ServiceWorkerGlobalScope;

self.addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request: Request): Promise<Response> {
  const url = new URL(request.url);
  switch (`${request.method} ${url.pathname}`) {
    case "GET /":
      return new Response(GREETING, { headers: { "content-type": "text/plain" } });
    case "POST /words":
      return words(request);
    case "GET /lines":
      return lines(Number(url.searchParams.get("count") ?? 3));
    default:
      return json({ error: `there is no ${request.method} ${url.pathname}` }, 404);
  }
}

async function words(request: Request): Promise<Response> {
  let body: unknown;
  try {
    body = await request.json();
  } catch {
    return json({ error: "the body is not JSON" }, 400);
  }
  if (!isText(body)) {
    return json({ error: 'send {"text": "some words"}' }, 422);
  }
  const counts: Counts = count(body.text);
  return json(counts);
}

function isText(body: unknown): body is { text: string } {
  return typeof body === "object" && body !== null && "text" in body && typeof body.text === "string";
}

/** Each line leaves when it is made: the client sees them one after the other. */
function lines(wanted: number): Response {
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > LINES_MAX) {
    return json({ error: `count is a number from 1 to ${LINES_MAX}` }, 422);
  }
  let sent = 0;
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (sent > 0) {
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
      sent += 1;
      controller.enqueue(encoder.encode(`${JSON.stringify({ line: sent })}\n`));
      if (sent === wanted) {
        controller.close();
      }
    },
  });
  return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
}

function json(value: unknown, status = 200): Response {
  return new Response(`${JSON.stringify(value)}\n`, {
    status,
    headers: { "content-type": "application/json" },
  });
}
