import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { ErrorCode } from '../../../rails/errors/registry.js';
import type { Clock } from '../../../substrate/clock/clock.port.js';
import type { LearningProgress, LearningResult, LearningTask, RunLearning } from './learning-task.js';

/** What a thread says: how far it is, and once what came of it. */
export type ThreadMessage =
  | { readonly progress: LearningProgress }
  | { readonly result: LearningResult }
  | { readonly fault: { readonly code: ErrorCode; readonly detail: string } };

/** The program of the thread, compiled. */
const PROGRAM = fileURLToPath(new URL('./learning.worker.js', import.meta.url));

/**
 * Learning in threads of their own, each with the memory and the time that the policy of its task allows.
 *
 * @param program the compiled program of a thread; specs, which run from sources, name theirs
 */
export function learningThreads(clock: Clock, program: string = PROGRAM): RunLearning {
  return async (task, { signal, onProgress }) => {
    signal.throwIfAborted();
    const { memory_mb, seconds_max } = task.policy.body.limits;
    const done = new AbortController();
    const thread = new Worker(program, {
      workerData: task satisfies LearningTask,
      execArgv: ['--no-warnings'],
      resourceLimits: { maxOldGenerationSizeMb: memory_mb },
    });
    const abandon = (): void => done.abort();
    signal.addEventListener('abort', abandon);
    try {
      return await new Promise<LearningResult>((resolve, reject) => {
        thread.on('message', (message: ThreadMessage) => {
          if ('progress' in message) onProgress?.(message.progress);
          else if ('result' in message) resolve(message.result);
          else reject(new ProbityError(message.fault.code, message.fault.detail));
        });
        thread.once('error', (error) => reject(crashed(error, memory_mb)));
        thread.once('exit', (code) => reject(crashed(new Error(`it ended with ${code} and said nothing`), memory_mb)));
        void clock.sleep(seconds_max * 1_000, done.signal).then(() => {
          if (signal.aborted) reject(signal.reason as Error);
          else if (!done.signal.aborted)
            reject(new ProbityError('MF_RESOURCE_EXHAUSTED', `it took more than ${seconds_max} seconds`));
        });
      });
    } finally {
      signal.removeEventListener('abort', abandon);
      done.abort();
      await thread.terminate();
    }
  };
}

function crashed(error: unknown, memoryMb: number): ProbityError {
  const { code, message } = error as Partial<NodeJS.ErrnoException>;
  if (code === 'ERR_WORKER_OUT_OF_MEMORY')
    return new ProbityError('MF_RESOURCE_EXHAUSTED', `it took more than ${memoryMb} MB`, { cause: error });
  return new ProbityError('MF_RUNTIME_CRASH', (message ?? 'no reason was given').slice(0, 1_000), { cause: error });
}
