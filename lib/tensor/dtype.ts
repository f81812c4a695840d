// This module runs in every runtime.

/** How a dtype lays out its elements: `blockBytes` hold `blockElements` elements. */
export interface DTypeLayout {
  /** The number that stands for the dtype in binary listings; never reused. */
  readonly code: number;
  readonly blockElements: number;
  readonly blockBytes: number;
}

/**
 * The dtypes of safetensors, one element a block, and the quantised block types of GGUF.
 *
 * Sources: the safetensors format's dtype list; ggml's block structures for the `Q` types.
 */
export const DTYPES = {
  F64: { code: 1, blockElements: 1, blockBytes: 8 },
  F32: { code: 2, blockElements: 1, blockBytes: 4 },
  F16: { code: 3, blockElements: 1, blockBytes: 2 },
  BF16: { code: 4, blockElements: 1, blockBytes: 2 },
  F8_E4M3: { code: 5, blockElements: 1, blockBytes: 1 },
  F8_E5M2: { code: 6, blockElements: 1, blockBytes: 1 },
  I64: { code: 7, blockElements: 1, blockBytes: 8 },
  I32: { code: 8, blockElements: 1, blockBytes: 4 },
  I16: { code: 9, blockElements: 1, blockBytes: 2 },
  I8: { code: 10, blockElements: 1, blockBytes: 1 },
  U64: { code: 11, blockElements: 1, blockBytes: 8 },
  U32: { code: 12, blockElements: 1, blockBytes: 4 },
  U16: { code: 13, blockElements: 1, blockBytes: 2 },
  U8: { code: 14, blockElements: 1, blockBytes: 1 },
  BOOL: { code: 15, blockElements: 1, blockBytes: 1 },
  Q4_0: { code: 32, blockElements: 32, blockBytes: 18 },
  Q4_1: { code: 33, blockElements: 32, blockBytes: 20 },
  Q5_0: { code: 34, blockElements: 32, blockBytes: 22 },
  Q5_1: { code: 35, blockElements: 32, blockBytes: 24 },
  Q8_0: { code: 36, blockElements: 32, blockBytes: 34 },
  Q2_K: { code: 37, blockElements: 256, blockBytes: 84 },
  Q3_K: { code: 38, blockElements: 256, blockBytes: 110 },
  Q4_K: { code: 39, blockElements: 256, blockBytes: 144 },
  Q5_K: { code: 40, blockElements: 256, blockBytes: 176 },
  Q6_K: { code: 41, blockElements: 256, blockBytes: 210 },
} as const;

/** The name of a dtype, as safetensors and GGUF spell it. */
export type DType = keyof typeof DTYPES;

const NAME_BY_CODE: ReadonlyMap<number, DType> = new Map(
  Object.entries<DTypeLayout>(DTYPES).map(([name, layout]) => [layout.code, name as DType]),
);

/** Whether `name` is a dtype that headrace knows. */
export function isDType(name: unknown): name is DType {
  return typeof name === "string" && Object.hasOwn(DTYPES, name);
}

/** The dtype that a binary listing's code stands for, or `undefined`. */
export function dtypeOfCode(code: number): DType | undefined {
  return NAME_BY_CODE.get(code);
}
