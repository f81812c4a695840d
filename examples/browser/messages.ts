// What the page and its worker say to each other.

/** A tensor as the page shows it; `id` is its place in the list. */
export interface TensorLine {
  readonly id: number;
  readonly name: string;
  readonly partition: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/** Where a tensor is in its life. */
export type TensorState = "waiting" | "paused" | "moving" | "here" | "failed";

/** What the page asks for. */
export type Order =
  | { readonly kind: "connect"; readonly url: string; readonly token: string | undefined }
  | { readonly kind: "load"; readonly model: string; readonly anew: boolean }
  | { readonly kind: "pause"; readonly ids: readonly number[]; readonly isPaused: boolean }
  | { readonly kind: "prioritise"; readonly ids: readonly number[]; readonly priority: number }
  | { readonly kind: "draw"; readonly id: number };

/** A change of one tensor: its id, the bytes that are here, and its state. */
export type TensorChange = readonly [id: number, bytes: number, state: TensorState];

/** The values of a tensor, small enough to be drawn. */
export interface Picture {
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly deviation: number;
  /** Values that are no numbers or infinite. */
  readonly strange: number;
  /** How many values lie in each of equal steps from `min` to `max`. */
  readonly histogram: readonly number[];
  /** Means of patches, row by row. */
  readonly map: { readonly rows: number; readonly columns: number; readonly means: Float32Array };
}

/** What the worker tells. */
export type News =
  | {
      readonly kind: "models";
      readonly models: readonly { readonly name: string; readonly byteLength: number }[];
      /** The one whose loading an earlier visit did not finish, if that is here. */
      readonly unfinished: string;
    }
  | {
      readonly kind: "listing";
      readonly model: string;
      readonly tensors: readonly TensorLine[];
      /** Whether what has come outlives the page. */
      readonly isKept: boolean;
    }
  | {
      readonly kind: "progress";
      readonly bytes: number;
      readonly totalBytes: number;
      readonly resumedBytes: number;
      readonly bytesPerSecond: number;
      readonly retries: number;
      readonly changes: readonly TensorChange[];
    }
  | {
      readonly kind: "done";
      /** Whether everything had come in an earlier visit already. */
      readonly wasHere: boolean;
      readonly files: readonly { readonly name: string; readonly byteLength: number }[];
      readonly resumedBytes: number;
      readonly elapsedMs: number;
    }
  | { readonly kind: "failed"; readonly message: string; readonly canGoOn: boolean }
  | { readonly kind: "picture"; readonly id: number; readonly picture: Picture | undefined };

/** The levels that the buttons set. */
export const PRIORITIES = { Low: 0, Normal: 50, High: 100, Critical: 200 } as const;
