// This module runs in every runtime.

const MAX_QUOTED = 80;

// What JSON leaves as it is and a terminal acts upon: C1 controls, zero-width and bidirectional marks.
const UNSAFE = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]/g;

/** Text from a file, in quotes, cut to 80 characters and escaped so that a terminal shows it as it is. */
export function quote(text: string): string {
  const quoted = JSON.stringify(text.slice(0, MAX_QUOTED)).replace(
    UNSAFE,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return text.length > MAX_QUOTED ? `${quoted}...` : quoted;
}
