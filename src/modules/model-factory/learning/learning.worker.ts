import { parentPort, workerData } from 'node:worker_threads';
import { isProbityError } from '../../../rails/errors/probity-error.js';
import { SystemClock } from '../../../substrate/clock/system.clock.js';
import { OnnxRuntime } from '../../../substrate/models/model-runtime.js';
import { externalScores } from './external-scores.js';
import { learn } from './learn.js';
import type { LearningProgress, LearningTask } from './learning-task.js';
import type { ThreadMessage } from './run-learning.js';

/** Told at most so often: a round of a small training takes less than a millisecond. */
const TELL_MS = 250;

/** The program of a thread that does one task. It reads the files of the task, and reaches no database, bus or store. */
async function work(task: LearningTask, tell: (message: ThreadMessage) => void): Promise<void> {
  const clock = new SystemClock();
  let told = { stage: '', atMs: 0 };
  const onProgress = (progress: LearningProgress): void => {
    const atMs = clock.monotonicMs();
    if (progress.stage === told.stage && atMs - told.atMs < TELL_MS) return;
    told = { stage: progress.stage, atMs };
    tell({ progress });
  };
  try {
    const scoreExternal = externalScores(new OnnxRuntime());
    tell({ result: await learn(task, { monotonicMs: () => clock.monotonicMs(), onProgress, scoreExternal }) });
  } catch (error) {
    // Anything else ends the thread, which says what it was.
    if (!isProbityError(error)) throw error;
    tell({ fault: { code: error.code, detail: error.detail } });
  }
}

void work(workerData as LearningTask, (message) => parentPort?.postMessage(message));
