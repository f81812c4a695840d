import { assert } from "chai";
import type { Report } from "../../lib/cli/report.ts";
import { WorkMeter } from "../../lib/cli/work_meter.ts";
import type { WorkProgress } from "../../lib/cli/work_progress.ts";
import { deferred } from "../../lib/deferred.ts";
import type { Suite } from "../harness.ts";

/** A report of which the next progress can be waited for. */
function told() {
  let next = deferred<WorkProgress>();
  const report: Report = {
    event: () => {},
    failure: () => {},
    close: () => {},
    progress: (progress) => {
      next.resolve(progress);
      next = deferred();
    },
  };
  return { report, next: () => next.promise };
}

export const workMeterSuite: Suite = ({ test }) => {
  test("work meter: what is done again is no rate below nothing, and counts once", async () => {
    const { report, next } = told();
    const work = new WorkMeter(report);
    work.begin(1000);
    try {
      const mark = work.mark;
      work.skip(600);
      await next();
      assert.equal((await next()).bytes, 600);
      work.backTo(mark);
      for (let times = 0; times < 2; times++) {
        const { bytes, bytesPerSecond } = await next();
        assert.equal(bytes, 0);
        assert.isAtLeast(bytesPerSecond ?? 0, 0);
      }
      work.skip(200);
      await next();
      work.begin(500);
      const anew = await next();
      assert.deepInclude(anew, { bytes: 0, totalBytes: 500 });
      assert.isAtLeast(anew.bytesPerSecond ?? 0, 0);
    } finally {
      work.end();
    }
  });
};
