import type { BuildJob, ShareResult } from './build-job.js';
import { evaluateDecided } from './evaluate.js';
import { evaluateUndecided, timelineOf } from './evaluate-undecided.js';

/**
 * The program of a process that works on a share of a build. It is told its job once and answers once; it ends when whoever asked has heard the answer,
 * or is gone. It reads and writes files of one folder, and reaches no database, bus or store.
 */
async function work(job: BuildJob): Promise<readonly string[] | ShareResult> {
  switch (job.kind) {
    case 'timeline':
      return await timelineOf(job);
    case 'decided':
      return await evaluateDecided(job);
    case 'undecided':
      return await evaluateUndecided(job);
  }
}

process.once('disconnect', () => process.exit(0));
process.once('message', (job) => {
  void work(job as BuildJob).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ fault: error instanceof Error ? error.message : String(error) }),
  );
});
