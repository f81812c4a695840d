/** What lies between the two ends of a bench. */
export interface Link {
  /** Said above the table. */
  readonly about: string;
  /** The address that the listening end listens at. */
  readonly host: string;
  /** The command that runs a program at one of the ends. */
  command(end: "listens" | "dials", program: readonly string[]): readonly string[];
  /** Where the dialling end finds what listens on this port. */
  reach(port: number): Promise<{ readonly host: string; readonly port: number }>;
  /** What waits at the link's narrowest point on its way to the dialling end, where that can be asked. */
  queuedBytes?(): number;
}

/** Both ends on this machine with nothing between them. */
export const loopback: Link = {
  about: "loopback",
  host: "127.0.0.1",
  command: (_end, program) => program,
  reach: async (port) => ({ host: "127.0.0.1", port }),
};
