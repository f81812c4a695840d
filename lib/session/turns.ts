// This module runs in every runtime.

interface Waiting {
  readonly priority: () => number;
  readonly start: () => void;
}

/** Writes that a disk is given at once: enough to keep it busy, few enough to keep their order. */
export const DISK_TURNS = 4;

/** A turn of a piece of work, which may give it to others for a while. */
export interface Turn {
  /** Others may go on from here; without effect where that is so already. */
  leave(): void;
  /** Waits for another turn, where it has none. */
  take(): Promise<void>;
}

/** Lets a few pieces of work go on at a time, the most urgent first and equals as they came. */
export class Turns {
  readonly #atOnce: number;
  readonly #waiting: Waiting[] = [];
  #underWay = 0;

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Runs a piece of work when its turn has come. */
  async run<T>(priority: () => number, work: (turn: Turn) => Promise<T>): Promise<T> {
    let isHeld = false;
    const turn = {
      leave: () => {
        if (isHeld) this.#next();
        isHeld = false;
      },
      take: async () => {
        if (!isHeld) await this.#take(priority);
        isHeld = true;
      },
    };
    await turn.take();
    try {
      return await work(turn);
    } finally {
      turn.leave();
    }
  }

  async #take(priority: () => number): Promise<void> {
    if (this.#underWay >= this.#atOnce) {
      await new Promise<void>((start) => this.#waiting.push({ priority, start }));
    } else {
      this.#underWay++;
    }
  }

  #next(): void {
    let at = 0;
    for (let n = 1; n < this.#waiting.length; n++) {
      const isFirst = (this.#waiting[n]?.priority() ?? 0) > (this.#waiting[at]?.priority() ?? 0);
      if (isFirst) at = n;
    }
    const [next] = this.#waiting.splice(at, 1);
    if (next) next.start();
    else this.#underWay--;
  }
}
