// Where an error comes from, in the files that you write. The engine knows but one file, source.js, which build.mjs makes of them all.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * What was thrown, for the log: with its stack, and what it was caused by.
 * @param {unknown} error
 * @returns {string}
 */
export function described(error) {
  if (!(error instanceof Error)) return `thrown: ${String(error)}`;
  const stack = inSources(error.stack ?? "", globalThis.sourceMap).trim().replace(/^/gm, "    ");
  const cause = error.cause === undefined ? "" : `\n  caused by ${described(error.cause)}`;
  return `${error}\n${stack}${cause}`;
}

/**
 * A text that names the author's files wherever it named source.js.
 * @param {string} text
 * @param {{ sources: string[], mappings: string } | undefined} map
 * @returns {string}
 */
export function inSources(text, map) {
  if (!map) return text;
  let lines;
  return text.replace(/\bsource\.js:(\d+):(\d+)/g, (place, line, column) => {
    lines ??= segmentsByLine(map.mappings);
    const [, file, fileLine, fileColumn] = lines[line - 1]?.findLast(([start]) => start < column) ?? [];
    return file === undefined ? place : `${map.sources[file]}:${fileLine + 1}:${fileColumn + 1}`;
  });
}

/** For each line its segments: column, file, line and column there. In the map each number is a difference to the one before. */
function segmentsByLine(mappings) {
  let [file, fileLine, fileColumn] = [0, 0, 0];
  return mappings.split(";").map((line) => {
    let start = 0;
    return line.split(",").filter(Boolean).map((segment) => {
      const [steps = 0, ...to] = numbersIn(segment);
      start += steps;
      [file, fileLine, fileColumn] = [file + (to[0] ?? 0), fileLine + (to[1] ?? 0), fileColumn + (to[2] ?? 0)];
      return [start, file, fileLine, fileColumn];
    });
  });
}

/** Numbers as source maps write them: five bits a letter, the lowest of the first is the sign. */
function numbersIn(letters) {
  const found = [];
  let [value, shift] = [0, 0];
  for (const letter of letters) {
    const digit = DIGITS.indexOf(letter);
    value |= (digit & 31) << shift;
    shift += 5;
    if (digit < 32) {
      found.push(value & 1 ? -(value >> 1) : value >> 1);
      [value, shift] = [0, 0];
    }
  }
  return found;
}
