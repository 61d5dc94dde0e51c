import { fork } from 'node:child_process';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { BuildJob } from './build-job.js';

const SAYS_MAX = 1_000;

/**
 * Has a process of its own work on a job. It gets an empty environment: nothing in ours is for it.
 * @throws OFS_WORKER_FAILED; what the signal was aborted with
 */
export async function inProcess<Result>(program: string, job: BuildJob, signal: AbortSignal): Promise<Result> {
  signal.throwIfAborted();
  const child = fork(program, [], { env: {}, execArgv: ['--no-warnings'], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop);
  let says = '';
  child.stderr?.on('data', (piece: Buffer) => {
    says = (says + piece.toString('utf8')).slice(-SAYS_MAX);
  });
  try {
    return await new Promise<Result>((resolve, reject) => {
      const failed = (detail: string): void => {
        reject(new ProbityError('OFS_WORKER_FAILED', `a process of the build failed: ${detail.slice(0, SAYS_MAX)}`));
      };
      child.once('message', (answer) => {
        // It ends by this, and not before: an exit may be told ahead of an answer that was sent before it.
        if (child.connected) child.disconnect();
        const { result, fault } = answer as { readonly result?: Result; readonly fault?: string };
        if (fault !== undefined || result === undefined) failed(fault ?? 'it answered nothing');
        else resolve(result);
      });
      child.once('error', ({ message }) => failed(message));
      child.once('exit', (code, name) => failed(`it ended with ${code ?? name ?? 'nothing'}: ${says}`));
      child.send(job);
    });
  } finally {
    signal.removeEventListener('abort', stop);
    signal.throwIfAborted();
  }
}
