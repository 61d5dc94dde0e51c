import { setMaxListeners } from 'node:events';

/** A signal that is aborted by the first Ctrl-C (or SIGTERM); the second one ends the process at once. */
export interface Interrupt {
  readonly signal: AbortSignal;
  /** Stops listening: a later Ctrl-C is the process's own again. */
  dispose(): void;
}

export function listenForInterrupt(): Interrupt {
  const controller = new AbortController();
  // Every request under way listens to it; ten of them at once are no leak.
  setMaxListeners(0, controller.signal);
  const names = ['SIGINT', 'SIGTERM'] as const;
  const dispose = (): void => {
    for (const name of names) process.removeListener(name, stop);
  };
  const stop = (name: NodeJS.Signals): void => {
    // The default action is for those who cannot wait.
    dispose();
    controller.abort(name);
  };
  for (const name of names) process.once(name, stop);
  return { signal: controller.signal, dispose };
}
