/** Ways to set off a piece of text. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
}

/** Colours where standard output is a terminal that shows them and `NO_COLOR` is not set. */
export function createStyle(): Style {
  const isColoured =
    process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
  const code = (on: number, off: number) => (text: string) =>
    isColoured ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  return { bold: code(1, 22), dim: code(2, 22), good: code(32, 39) };
}
