import { page } from "./page.js";

/**
 * Answers a request.
 * @param {Request} request
 * @param {(key: string) => string | undefined} config what is set with `typecase config set`
 * @returns {Promise<Response>}
 */
export async function answer(request, config) {
  const { pathname, searchParams } = new URL(request.url);
  switch (`${request.method} ${pathname}`) {
    case "GET /":
      return new Response(page, { headers: { "content-type": "text/html; charset=utf-8" } });
    case "GET /hello": {
      const name = searchParams.get("name") ?? "world";
      console.log(`greeting ${name}`);
      return new Response(`${config("greeting") ?? "Hello"}, ${name}!\n`);
    }
    case "POST /sum": {
      const numbers = await request.json().catch(() => undefined);
      if (!Array.isArray(numbers) || !numbers.every(Number.isFinite)) {
        return problem(422, "Unprocessable Content", "Send a list of numbers as JSON.");
      }
      return Response.json({ sum: numbers.reduce((sum, number) => sum + number, 0) });
    }
    default:
      return problem(404, "Not Found", `There is nothing at ${request.method} ${pathname}.`);
  }
}

/** An error as a document that programs can read (RFC 9457). */
export function problem(status, title, detail) {
  const headers = { "content-type": "application/problem+json" };
  return new Response(JSON.stringify({ type: "about:blank", title, status, detail }), { status, headers });
}
