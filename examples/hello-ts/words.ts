// Plain functions without HTTP: easy to test, here a module of their own.

export interface Counts {
  words: number;
  longest: string;
}

export function count(text: string): Counts {
  const words = text.split(/\s+/).filter((word) => word !== "");
  const longest = words.reduce((longest, word) => (word.length > longest.length ? word : longest), "");
  return { words: words.length, longest };
}
