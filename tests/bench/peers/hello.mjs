// Node.js's own `http` server, one process, as its documentation shows it.
import { createServer } from "node:http";

const [host, port] = process.argv[2].split(":");
createServer((request, response) => {
  response.writeHead(200, { "content-type": "text/plain" });
  response.end("Hello, world!\n");
}).listen(Number(port), host);
