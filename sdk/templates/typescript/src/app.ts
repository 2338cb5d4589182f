import { page } from "./page";

/** What is set with `typecase config set`, by its key. */
export type Config = (key: string) => string | undefined;

/** Answers a request. */
export async function answer(request: Request, config: Config): Promise<Response> {
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
      const numbers: unknown = await request.json().catch(() => undefined);
      if (!isNumbers(numbers)) {
        return problem(422, "Unprocessable Content", "Send a list of numbers as JSON.");
      }
      return Response.json({ sum: numbers.reduce((sum, number) => sum + number, 0) });
    }
    default:
      return problem(404, "Not Found", `There is nothing at ${request.method} ${pathname}.`);
  }
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(Number.isFinite);
}

/** An error as a document that programs can read (RFC 9457). */
export function problem(status: number, title: string, detail: string): Response {
  const headers = { "content-type": "application/problem+json" };
  return new Response(JSON.stringify({ type: "about:blank", title, status, detail }), { status, headers });
}
