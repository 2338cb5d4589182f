/** The answer at `/`. */
export const page = /* html */ `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>my-app</title>
    <style>
      :root { color-scheme: light dark; }
      body { font: 1.1rem/1.6 system-ui, sans-serif; margin: 0; }
      main { margin: 10vh auto; max-width: 40rem; padding: 0 1rem; }
      input, button { font: inherit; padding: 0.2rem 0.6rem; }
    </style>
  </head>
  <body>
    <main>
      <h1>It works</h1>
      <p>This is <code>src/page.ts</code> of <strong>my-app</strong>; its routes are in <code>src/app.ts</code>.
        Change them: with <code>typecase dev</code>, this page follows.</p>
      <form action="hello">
        <input name="name" placeholder="Your name" aria-label="Your name" required>
        <button>Be greeted</button>
      </form>
      <h2>For programs</h2>
      <p><code>GET hello?name=Ann</code> answers a greeting.</p>
      <p><code>POST sum</code> with <code>[1, 2.5]</code> answers <code>{"sum":3.5}</code>.</p>
    </main>
  </body>
</html>
`;
