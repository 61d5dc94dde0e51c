import { ProbityError } from '../../rails/errors/probity-error.js';

/** Milliseconds that are left for the call. What is left travels, not the moment: two machines' clocks disagree. */
export const DEADLINE_HEADER = 'x-probity-deadline-ms';

export function rpcPath(role: string, method: string): string {
  return `rpc/${role}/${method}`;
}

export interface DeadlineLimits {
  /** For a caller that names no deadline. */
  readonly defaultMs: number;
  /** Nobody holds a request open for longer, whatever he asks for. */
  readonly maxMs: number;
}

/** @throws ProbityError RPC_REQUEST_INVALID when the header is not a whole number of milliseconds */
export function deadlineMsOf(header: string | undefined, { defaultMs, maxMs }: DeadlineLimits): number {
  if (header === undefined) return defaultMs;
  if (!/^[0-9]{1,12}$/.test(header)) {
    throw new ProbityError('RPC_REQUEST_INVALID', `${DEADLINE_HEADER} is not a whole number of milliseconds`);
  }
  return Math.min(Number(header), maxMs);
}
