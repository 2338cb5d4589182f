// The server's own interfaces, from wit/.

declare module "wasi:config/store@0.2.0-rc.1" {
  /** What was set for a key, else the default in typecase.toml. */
  export function get(key: string): string | undefined;
  export function getAll(): [string, string][];
}

declare module "wasi:logging/logging@0.1.0-draft" {
  export type Level = "trace" | "debug" | "info" | "warn" | "error" | "critical";
  /** A message in the app's log; `console.log` and `console.error` write there too. */
  export function log(level: Level, context: string, message: string): void;
}
