// This module runs in every runtime.

/** Of a WebTransport stream, what is used here. */
export interface WebTransportStreamLike {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/**
 * Of a WebTransport session in the shape that the W3C gave it, what is used here: an implementation
 * of that shape can be brought where a runtime has none.
 */
export interface WebTransportLike {
  readonly ready: Promise<unknown>;
  readonly closed: Promise<unknown>;
  readonly incomingBidirectionalStreams: ReadableStream<WebTransportStreamLike>;
  /** Opens a stream; `sendOrder` ranks what is sent, where the runtime has it. */
  createBidirectionalStream(options?: { sendOrder?: number }): Promise<WebTransportStreamLike>;
  /** Ends the session and every stream of it. */
  close(info?: { closeCode?: number; reason?: string }): void;
}

/** A certificate that is trusted by what it is. */
export interface CertificateHash {
  readonly algorithm: string;
  readonly value: Uint8Array<ArrayBuffer>;
}

/** The constructor of a {@linkcode WebTransportLike}. */
export type WebTransportConstructor = new (
  url: string,
  options?: { serverCertificateHashes?: CertificateHash[] },
) => WebTransportLike;
