// This module runs in every runtime.

/** What a bucket says of an object. */
export interface R2ObjectHead {
  readonly key: string;
  readonly size: number;
  /** Differs once the object's content does. */
  readonly etag: string;
}

/** An object, or only what it is where the condition of a `get` does not hold. */
export interface R2ObjectRead extends R2ObjectHead {
  readonly body?: ReadableStream<Uint8Array>;
}

/** Of an `R2Bucket` of Cloudflare's, what is used here. */
export interface R2BucketLike {
  /** What an object is, without its content; `null` where there is none. */
  head(key: string): Promise<R2ObjectHead | null>;
  /** A range of an object, while it is the version of this etag; `null` where there is none. */
  get(
    key: string,
    options: {
      readonly range: { readonly offset: number; readonly length: number };
      readonly onlyIf: { readonly etagMatches: string };
    },
  ): Promise<R2ObjectRead | null>;
  /** A page of the objects whose keys begin so. */
  list(options: { readonly prefix: string; readonly cursor?: string }): Promise<{
    readonly objects: readonly R2ObjectHead[];
    readonly truncated: boolean;
    readonly cursor?: string;
  }>;
}
